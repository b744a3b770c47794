"""The progress of a transfer."""

from collections.abc import Callable

# Gets the bytes so far, and the bytes in all as far as they are known.
Progress = Callable[[int, int], None]
