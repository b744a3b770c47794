"""Makes docs/up.svg from a real run: `python docs/picture.py devenv up`, in a terminal of 80 columns."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text


def record(argv: list[str]) -> str:
    """Run a program in a terminal of its own and return what it wrote there."""
    leader, follower = pty.openpty()
    env = {**os.environ, "COLUMNS": "80", "LINES": "40", "TERM": "xterm-256color"}
    with subprocess.Popen(argv, stdin=follower, stdout=follower, stderr=follower, env=env) as child:
        os.close(follower)
        written = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:
                # The program has ended.
                break
            if not piece:
                break
            written += piece
        child.wait()
    return written.decode(errors="replace")


def lasting(written: str) -> list[str]:
    """Return the lines that stay: a bar's are written over by the next."""
    lines = [line.rsplit("\x1b[2K", 1)[-1].replace("\r", "") for line in written.split("\n")]
    return [line for line in lines if "✓" in line or "✗" in line or line[:1].isalpha()]


def main() -> None:
    """Record and draw."""
    console = Console(record=True, width=80, file=Path(os.devnull).open("w"))  # noqa: SIM115
    console.print(Text(f"$ {' '.join(Path(a).name for a in sys.argv[1:])}", style="bold"))
    for line in lasting(record(sys.argv[1:])):
        console.print(Text.from_ansi(line))
    drawn = console.export_svg(title="devenv up")
    # Nothing is loaded from elsewhere.
    alone = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
    (Path(__file__).parent / "up.svg").write_text(alone.replace("Fira Code", "monospace"))


if __name__ == "__main__":
    main()
