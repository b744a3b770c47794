"""Unpacks gzip as it comes, in pieces that are never large, however well it was packed."""

import zlib
from collections.abc import Iterator

# Bytes.
_PIECE = 1 << 20
# zlib's word for a gzip header and a window of 32 KiB.
_GZIP = 31


class Gunzip:
    """One stream, of one member or several, as eStargz has them."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=_GZIP)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what a chunk unpacks to. Raises zlib.error where it is no gzip."""
        while chunk:
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=_GZIP)
            yield self._member.decompress(chunk, _PIECE)
            chunk = self._member.unconsumed_tail or self._member.unused_data

    @property
    def whole(self) -> bool:
        """Whether the last member has come to its end."""
        return self._member.eof
