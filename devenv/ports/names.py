"""Names and IDs in an order."""

from typing import TypeAlias

# Names or IDs of nodes, images, components or files, which no holder can change.
Names: TypeAlias = tuple[str, ...]
