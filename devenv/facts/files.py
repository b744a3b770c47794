"""Facts in files. They are redacted when they are collected, so that a file gives the same diagnosis as the cluster did."""

import getpass
import json
import os
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from devenv.errors import DevenvError, Exit
from devenv.facts.model import Facts, dump, parse
from devenv.facts.redact import redacted
from devenv.targets import write as write_target


def clean(facts: Facts, secrets: Iterable[str] = ()) -> Facts:
    """Return the facts as a file would have them. `secrets`: texts that go wherever they stand."""
    whole = json.loads(dump(facts))
    for part, key in (("images", "build_in"), ("images", "archive"), ("manifests", "kustomize"), ("manifests", "path")):
        for entry in whole["profile"][part]:
            entry[key] = _short(entry[key])
    return parse(json.dumps(redacted(whole, str(Path.home()), _users(), secrets)))


def _short(path: str) -> str:
    """Where somebody keeps his source is nobody's business: of a path of his machine, its end."""
    return "/".join(("…", *Path(path).parts[-2:])) if path.startswith("/") else path


def _users() -> list[str]:
    """Whoever runs this, and whoever became root for it."""
    try:
        return [getpass.getuser(), os.environ.get("SUDO_USER", "")]
    except (KeyError, OSError):  # a user without a name
        return [os.environ.get("SUDO_USER", "")]


def write(facts: Facts, target: Path) -> None:
    """Write a file that only its owner may read. Raises DevenvError where that can't be."""
    write_text(dump(facts), target)


def write_text(text: str, target: Path) -> None:
    """Write what was made of facts as `write` does facts."""
    try:
        write_target(target, text)
    except OSError as error:
        raise DevenvError(f"{target} can't be written.", error.strerror or str(error), "Give another path.") from error


def read(source: Path) -> Facts:
    """Return the facts in a file. Raises DevenvError where there are none."""
    try:
        return parse(source.read_text())
    except ValidationError as error:
        first = "\n".join(": ".join(filter(None, (".".join(map(str, e["loc"])), e["msg"]))) for e in error.errors()[:5])
        fix = "`devenv doctor --save FILE` writes one."
        raise DevenvError(f"{source} has no facts that this devenv can read.", first, fix, Exit.USAGE) from error
    except FileNotFoundError as error:
        fix = "A healthy `devenv up` keeps one as good; `devenv doctor --save FILE` writes one."
        raise DevenvError(f"There is no look at {source}.", "", fix, Exit.USAGE) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DevenvError(f"{source} can't be read.", str(error), exit_code=Exit.USAGE) from error
