"""What every code means. codes.yaml has one entry a code, and docs/codes.md is made of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from devenv.base.errors import DevenvError, Exit
from devenv.diagnosis.model import Place


@dataclass(frozen=True)
class Code:
    """One code. `place`: where it breaks a request's way, None if that is not always the same."""

    code: str
    title: str
    meaning: str
    why: str
    fix: str
    source: str
    place: Place | None = None


@cache
def book() -> Mapping[str, Code]:
    """Return all codes, in the order of codes.yaml."""
    content = yaml.safe_load((Path(__file__).parent / "codes.yaml").read_text())
    return {code: _parse(code, entry) for code, entry in content.items()}


def _parse(code: str, entry: Mapping[str, Any]) -> Code:
    fields = dict(entry)
    if "place" in fields:
        fields["place"] = Place(fields["place"])
    return Code(code, **fields)


def get(code: str) -> Code:
    """Return one code. Raises DevenvError if it does not exist."""
    entry = book().get(code.upper())
    if entry is None:
        raise DevenvError(
            f"The code {code} does not exist.",
            next_step="`devenv doctor --list` shows all codes.",
            exit_code=Exit.USAGE,
        )
    return entry


_HEADER = """\
# What `devenv doctor` finds

Made from devenv/diagnosis/codes.yaml; `devenv doctor --explain CODE` shows the same.
"""
_ENTRY = """\
## {code}: {title}

{meaning}

**Why it happens.** {why}

**Fix.** {fix}

**Source.** {source}
"""


def markdown() -> str:
    """Return the text of docs/codes.md."""
    entries = [_ENTRY.format_map(vars(code)) for code in book().values()]
    return "\n".join([_HEADER, *entries])
