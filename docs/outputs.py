"""Writes the outputs in the guide anew: `python docs/outputs.py`.

A comment `<!-- output: devenv … -->` before a code block names the command that printed the block,
on a terminal of 100 columns. tests/test_guide.py compares them.
"""

import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from rich.text import Text

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs" / "guide").glob("*.md"))
_BLOCK = re.compile(
    r"(<!-- output: devenv (?P<args>.*?) -->\n```\n)(?P<output>.*?)(```\n)", re.DOTALL
)
_CLEAR = "\x1b[2K"


def on_terminal(argv: list[str]) -> str:
    """Run a program on a terminal of 100 columns, and return what stays on it, without colours."""
    leader, follower = pty.openpty()
    env = {**os.environ, "COLUMNS": "100", "LINES": "60", "TERM": "xterm-256color", "NO_COLOR": "1"}
    with subprocess.Popen(
        argv, cwd=ROOT, stdin=follower, stdout=follower, stderr=follower, env=env
    ) as program:
        os.close(follower)
        written = _read_all(leader)
        program.wait()
    return "".join(f"{_lasting(line)}\n" for line in written.removesuffix("\n").split("\n"))


def _read_all(terminal: int) -> str:
    written = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            # The program has ended.
            break
        if not piece:
            break
        written += piece
    return written.decode().replace("\r\n", "\n")


def _lasting(line: str) -> str:
    """Leave out what was cleared from a line, and every control sequence."""
    return Text.from_ansi(line.rpartition(_CLEAR)[2]).plain.rstrip()


def rewritten(page: str, run: Callable[[list[str]], str] = on_terminal) -> str:
    """Return a page with each output as its command prints it now."""

    def replaced(match: re.Match[str]) -> str:
        argv = [sys.executable, "-m", "devenv", *shlex.split(match["args"])]
        shown = f"$ devenv {match['args']}\n{run(argv)}"
        return f"{match[1]}{shown}{match[4]}"

    return _BLOCK.sub(replaced, page)


def main() -> None:
    """Rewrite each page."""
    for page in PAGES:
        page.write_text(rewritten(page.read_text()))


if __name__ == "__main__":
    main()
