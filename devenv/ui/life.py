"""A sign of life while a command looks around.

It needs nothing but the standard library: rich alone takes 0.1 s to import.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from devenv.ui import verbosity

# Seconds between two frames.
_PAUSE = 0.1
_FRAMES, _PLAIN_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\"
_CLEAR = "\r\x1b[2K"


@contextmanager
def sign_of_life(what: str) -> Iterator[None]:
    """Show at once, on a terminal, that the command is at work, and how long it has been.

    It clears its line at the end, and nothing else may write to the terminal meanwhile. It shows
    nothing if standard error is not a terminal, or with --quiet; with --verbose, it is a line.
    """
    stream = sys.stderr
    if verbosity.is_verbose():
        # What is shown besides would tear the line.
        _write(stream, f"{what}\n")
        yield
        return
    if verbosity.is_quiet() or not _is_terminal(stream):
        yield
        return
    ended = threading.Event()
    began = time.monotonic()
    frames = _frames(stream)
    _write(stream, f"{frames[0]} {what}")
    thread = threading.Thread(target=_draw, args=(stream, what, frames, began, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        _write(stream, _CLEAR)


def _is_terminal(stream: TextIO | None) -> bool:
    # A closed stream raises ValueError.
    with suppress(ValueError, OSError):
        return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
    return False


def _frames(stream: TextIO) -> str:
    try:
        _FRAMES.encode(stream.encoding or "ascii")
    except (UnicodeError, LookupError):
        return _PLAIN_FRAMES
    return _FRAMES


def _draw(stream: TextIO, what: str, frames: str, began: float, ended: threading.Event) -> None:
    number = 0
    while not ended.wait(_PAUSE):
        number += 1
        frame = frames[number % len(frames)]
        seconds = time.monotonic() - began
        _write(stream, f"{_CLEAR}{frame} {what}  {seconds:.0f} s")


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:
        return
    # The terminal may have been closed.
    with suppress(OSError, ValueError):
        stream.write(text)
        stream.flush()
