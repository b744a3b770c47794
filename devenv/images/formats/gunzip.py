"""Unpacks a gzip stream in small pieces, however well it was packed."""

import zlib
from collections.abc import Iterator

# Bytes that one piece has at most.
_PIECE = 1 << 20
# What zlib calls a gzip header and a window of 32 KiB.
_GZIP = 31


class Gunzip:
    """One stream with one gzip member or several, as eStargz writes them."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=_GZIP)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the unpacked content of a chunk. Raises zlib.error if it is not gzip."""
        while chunk:
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=_GZIP)
            yield self._member.decompress(chunk, _PIECE)
            chunk = self._member.unconsumed_tail or self._member.unused_data

    @property
    def is_complete(self) -> bool:
        """Whether the last member has ended."""
        return self._member.eof
