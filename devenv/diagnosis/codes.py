"""What every code means: codes.yaml, one entry a code. docs/codes.md is made of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from devenv.diagnosis.model import Place
from devenv.errors import DevenvError, Exit


@dataclass(frozen=True)
class Code:
    """One code. `place`: where it breaks a request's way, None where it does not lie on it."""

    code: str
    title: str
    meaning: str
    why: str
    fix: str
    source: str
    place: Place | None = None


@cache
def book() -> Mapping[str, Code]:
    """Return all codes, in their order."""
    content: dict[str, dict[str, Any]] = yaml.safe_load(
        (Path(__file__).parent / "codes.yaml").read_text()
    )
    return {
        code: Code(code, **{**entry, "place": _place(entry)}) for code, entry in content.items()
    }


def get(code: str) -> Code:
    """Return one. Raises DevenvError where there is none."""
    entry = book().get(code.upper())
    if entry is None:
        raise DevenvError(
            f"There is no code {code}.",
            next_step="`devenv doctor --list` has all of them.",
            exit_code=Exit.USAGE,
        )
    return entry


def markdown() -> str:
    """Return docs/codes.md."""
    parts = [
        "# What `devenv doctor` finds",
        "",
        "Made from devenv/diagnosis/codes.yaml; `devenv doctor --explain CODE` shows the same.",
        "",
    ]
    for code in book().values():
        parts += [
            f"## {code.code}: {code.title}",
            "",
            code.meaning,
            "",
            f"**Why it happens.** {code.why}",
            "",
        ]
        parts += [f"**Fix.** {code.fix}", "", f"**Source.** {code.source}", ""]
    return "\n".join(parts)


def _place(entry: Mapping[str, Any]) -> Place | None:
    return Place(entry["place"]) if "place" in entry else None
