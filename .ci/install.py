"""Installs what a lock file lists, and shows how far pip is: `python .ci/install.py FILE`.

It needs nothing but Python and pip, since nothing else is installed yet.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_PACKAGE = re.compile(r"^[A-Za-z0-9][\w.-]*==", re.MULTILINE)
# pip writes one of these for each package, then the third, before it copies the files.
_STEP = re.compile(r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)")
_LAST_STEP = "Installing collected packages"
# Packages between two lines where the output is no terminal.
_INTERVAL = 20
_CLEAR = "\r\x1b[2K"


def states(lines: Iterator[str], total: int) -> Iterator[tuple[int, str]]:
    """Yield how many packages pip has looked at, and what it is at, for each of its lines."""
    count = 0
    for line in lines:
        if match := _STEP.match(line):
            count += 1
            yield count, f"[{count}/{total}] {match[1]}"
        elif line.startswith(_LAST_STEP):
            yield 0, f"Unpacking {line.count(',') + 1} packages"


def main(lock: str) -> int:
    """Run pip, and return its exit code. If it fails, all that it wrote is shown."""
    # Those of other systems are in the file, too, so pip may end before the last.
    total = len(_PACKAGE.findall(Path(lock).read_text()))
    argv = [sys.executable, "-m", "pip", "install", "--require-hashes", "--requirement", lock]
    is_terminal = sys.stderr.isatty()
    written: list[str] = []
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as program:

        def keep() -> Iterator[str]:
            for line in program.stdout or ():
                written.append(line)
                yield line

        for count, state in states(keep(), total):
            if is_terminal:
                sys.stderr.write(f"{_CLEAR}{state}")
            elif count % _INTERVAL == 0:
                sys.stderr.write(f"{state}\n")
            sys.stderr.flush()
    if is_terminal:
        sys.stderr.write(_CLEAR)
    if program.returncode:
        sys.stderr.write("".join(written))
    return program.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
