"""Types of JSON objects, and of what else is read or written with JSON's values."""

from collections.abc import Mapping
from typing import Any, TypeAlias

# An object that is only read: an answer of Docker's, a document of a user's, an entry of a journal.
JsonMap: TypeAlias = Mapping[str, Any]
# An object that devenv makes, or changes.
JsonObject: TypeAlias = dict[str, Any]
