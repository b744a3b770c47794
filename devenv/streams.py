"""The standard streams, even if they are closed, full, without a reader or without Unicode.

Whatever becomes of them, what a command is doing goes on: what can't be written is dropped, and told at the end.
"""

import codecs
import errno
import io
import os
import select
import sys
import unicodedata
from typing import TextIO

_STDERR = 2
# Click takes one that is called ascii for a mistake, and writes UTF-8.
_ENCODING = "devenv-ascii"
_ERRORS = "devenv.ascii"
_ASCII = {
    "✓": "+", "✗": "x", "→": "->", "·": "-", "•": "*", "█": "#", "░": ".", "━": "-", "─": "-", "│": "|",
    "\N{EN DASH}": "-", "\N{EM DASH}": "--", "\N{MULTIPLICATION SIGN}": "x",
    "\N{LEFT SINGLE QUOTATION MARK}": "'", "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"', "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
}  # fmt: skip


class _Output(io.RawIOBase):
    """One of the two output streams. Writing to it never fails: the first error is kept, and the rest is dropped."""

    def __init__(self, number: int, *, was_closed: bool) -> None:
        super().__init__()
        self._number, self._was_closed = number, was_closed
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return not self._was_closed and os.isatty(self._number)

    def write(self, chunk: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        size = len(chunk)
        if self._was_closed:
            self.error = self.error or OSError(errno.EBADF, "it is closed")
        if self.error:
            return size
        try:
            return os.write(self._number, chunk)
        except BlockingIOError:
            # Another program has made the pipe that way.
            select.select([], [self._number], [])
            return 0
        except OSError as error:
            self.error = error
            return size


def guard() -> None:
    """Replace the standard streams by ones that never fail. A missing stream becomes an empty one."""
    closed = {number for number in range(3) if _is_closed(number)}
    # The lowest number that is free: otherwise a socket or a lock would be taken for a stream.
    for _ in closed:
        os.open(os.devnull, os.O_RDWR)
    codecs.register_error(_ERRORS, _in_ascii)
    codecs.register(_codec)
    sys.stdout = _stream(sys.stdout, 1, was_closed=1 in closed)
    sys.stderr = _stream(sys.stderr, _STDERR, was_closed=_STDERR in closed)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False))


def finish(code: int) -> int:
    """Return the exit code, and say if the result could not be written. A reader that left is no error."""
    sys.stdout.flush()
    error = _stdout_error()
    if error and error.errno != errno.EPIPE:
        sys.stderr.write(
            f"Error: The result can't be written to standard output: {error.strerror}.\n"
        )
        code = code or 1
    sys.stderr.flush()
    return code


def is_unread() -> bool:
    """Whether standard output has no reader any more."""
    return _stdout_error() is not None


def _stdout_error() -> OSError | None:
    output = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return output.error if isinstance(output, _Output) else None


def _is_closed(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return True
    return False


def _stream(stream: TextIO | None, number: int, *, was_closed: bool) -> io.TextIOWrapper:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if codecs.lookup(encoding).name == "ascii":
        encoding = _ENCODING
    output = _Output(number, was_closed=was_closed)
    buffered = io.BufferedWriter(output)  # type: ignore[type-var]
    is_by_line = number != 1 or output.isatty()
    return io.TextIOWrapper(buffered, encoding, _ERRORS, line_buffering=is_by_line)


def _codec(name: str) -> codecs.CodecInfo | None:
    if name.replace("_", "-") != _ENCODING:
        return None
    ascii_codec = codecs.lookup("ascii")
    return codecs.CodecInfo(
        ascii_codec.encode, ascii_codec.decode, ascii_codec.streamreader, ascii_codec.streamwriter,
        ascii_codec.incrementalencoder, ascii_codec.incrementaldecoder, name=_ENCODING,
    )  # fmt: skip


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Spell what an encoding lacks in ASCII, as near as it gets."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_ASCII.get(character) or _nearest(character) for character in text), error.end


def _nearest(character: str) -> str:
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"
