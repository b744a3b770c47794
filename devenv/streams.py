"""The standard streams, even if they are closed, full, without a reader or without Unicode.

A command goes on whatever happens to them. What can't be written is dropped, and `finish` reports
that.
"""

import codecs
import errno
import io
import os
import select
import sys
import unicodedata
from typing import TextIO

_STDOUT = 1
_STDERR = 2
# ASCII by another name. Click takes the name ascii for a mistake, and writes UTF-8 instead.
_ENCODING = "devenv-ascii"
# The name of the error handler that spells characters in ASCII.
_ERRORS = "devenv.ascii"
_SPELLING = {
    "✓": "+", "✗": "x", "→": "->", "·": "-", "•": "*",
    "█": "#", "░": ".", "━": "-", "─": "-", "│": "|",
    "\N{EN DASH}": "-", "\N{EM DASH}": "--", "\N{MULTIPLICATION SIGN}": "x",
    "\N{LEFT SINGLE QUOTATION MARK}": "'", "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"', "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
}  # fmt: skip


class _Output(io.RawIOBase):
    """One of the two output streams, by its number.

    Writing to it never fails: it keeps the first error, and drops what is written after that.
    """

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
        """Write, or keep the first error: a closed or full stream must not end the command."""
        size = len(chunk)
        if self._was_closed:
            self.error = self.error or OSError(errno.EBADF, "it is closed")
        if self.error:
            return size
        try:
            return os.write(self._number, chunk)
        except BlockingIOError:
            # Another program has set the pipe to non-blocking, and it is full for now.
            select.select([], [self._number], [])
            return 0
        except OSError as error:
            self.error = error
            return size


def guard() -> None:
    """Replace the standard streams by ones that never fail. A missing one becomes an empty one."""
    closed = {number for number in range(3) if _is_closed(number)}
    # os.open takes the lowest free number. Otherwise a socket or a lock would get it, and be taken
    # for a stream.
    for _ in closed:
        os.open(os.devnull, os.O_RDWR)
    codecs.register_error(_ERRORS, _in_ascii)
    codecs.register(_codec)
    sys.stdout = _stream(sys.stdout, _STDOUT, was_closed=_STDOUT in closed)
    sys.stderr = _stream(sys.stderr, _STDERR, was_closed=_STDERR in closed)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False))


def finish(code: int) -> int:
    """Return the exit code: 1 instead of 0 if the result could not be written, which it reports.

    A reader that left early is not an error.
    """
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
    """Return a text stream over a standard stream that never fails, whatever its encoding."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if codecs.lookup(encoding).name == "ascii":
        encoding = _ENCODING
    output = _Output(number, was_closed=was_closed)
    buffered = io.BufferedWriter(output)  # type: ignore[type-var]
    is_by_line = number == _STDERR or output.isatty()
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
    """Spell the characters that an encoding does not have in ASCII, as nearly as possible."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(map(_spell, text)), error.end


def _spell(character: str) -> str:
    if character in _SPELLING:
        return _SPELLING[character]
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"
