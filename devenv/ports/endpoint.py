"""An endpoint on the host to which a Docker engine can push."""

from contextlib import AbstractContextManager
from typing import Any, Protocol


class Blob(Protocol):
    """A blob that the engine is sending."""

    # Bytes that have arrived.
    size: int

    def write(self, chunk: bytes) -> None: ...


class BlobSink(Protocol):
    """Takes what the engine pushes.

    `has`, `begin` and `Blob.write` raise DevenvError to refuse the whole push.
    """

    def has(self, digest: str) -> int:
        """Return the size in bytes of a blob that need not be sent, -1 of one that must be."""

    def begin(self) -> Blob: ...

    def end(self, blob: Any, digest: str) -> bool:
        """Take a blob that has arrived whole. Return whether it has that digest."""

    def manifest(self, body: bytes) -> str:
        """Take an image manifest. Return its digest, "" if `body` is not an image manifest."""


class Endpoint(Protocol):
    """A registry on the host's loopback, to which the engine can push for a while."""

    def listening(
        self, sink: BlobSink, port: int, *, plain: bool = False
    ) -> AbstractContextManager[int]:
        """Listen for as long as the context lasts. The context gives the port.

        It is `port`, unless that is 0 or taken: then any that is free. `plain` means without TLS.
        """
