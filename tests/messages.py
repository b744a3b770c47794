"""Snapshots of what devenv says in the situations that tests bring about.

tests/snapshots/messages has a file for each folder of tests/unit: plain text, with a section for
each message. A section's title names the test that brings the message about. `pytest --rewrite`
writes the sections of the tests that run anew; read their diff.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from devenv.base.errors import DevenvError
from tests.paths import ROOT

MESSAGES = ROOT / "tests" / "snapshots" / "messages"
# IDs of the tests that were collected and not selected.
DESELECTED = pytest.StashKey[set[str]]()
_UNIT = "tests/unit/"
_NUMBER = re.compile(r" \(\d+\)$")
_TITLE = re.compile(r"^== (.+) ==$", re.MULTILINE)


def read_sections(file: Path) -> dict[str, str]:
    """Return title → text. A missing file has no sections."""
    if not file.exists():
        return {}
    _, *parts = _TITLE.split(file.read_text())
    return {title: text.strip("\n") for title, text in zip(parts[::2], parts[1::2], strict=True)}


def write_sections(file: Path, sections: Mapping[str, str]) -> None:
    """Write the sections in the order of their titles."""
    texts = [f"== {title} ==\n{text}\n" for title, text in sorted(sections.items())]
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(texts))


def node_id(title: str) -> str:
    """Return pytest's ID of the test that a section's title names."""
    return f"{_UNIT}{_NUMBER.sub('', title)}"


class MessageSnapshots:
    """The messages of one test, in their order, compared with their sections or written to them."""

    def __init__(self, test_id: str, folder: Path, *, rewrite: bool) -> None:
        """Take pytest's ID of the test, `test_id`, and its temporary `folder`, which messages may name."""
        self._title = test_id.removeprefix(_UNIT)
        self._folder, self._rewrite = folder, rewrite
        self._count = 0
        subject = self._title.split("::")[0].split("/")[0]
        self._file = MESSAGES / f"{subject.removeprefix('test_').removesuffix('.py')}.txt"

    def check(self, message: DevenvError | str) -> None:
        """Compare the test's next message with its section."""
        self._count += 1
        title = self._title if self._count == 1 else f"{self._title} ({self._count})"
        text = self._as_text(message)
        sections = read_sections(self._file)
        if self._rewrite:
            sections[title] = text
            write_sections(self._file, sections)
        assert text == sections.get(title), "if this is meant: --rewrite"

    def _as_text(self, message: DevenvError | str) -> str:
        if isinstance(message, DevenvError):
            reasons = [f"  {line}" for line in message.why.splitlines()]
            next_steps = [f"→ {message.next_step}"] if message.next_step else []
            message = "\n".join([message.what, *reasons, *next_steps])
        folder = self._folder
        for name in (str(folder), f"{folder.parent.name}/{folder.name}", folder.name):
            message = message.replace(name, "FOLDER")
        lines = message.splitlines()
        return "\n".join(line.rstrip() for line in lines).strip("\n")
