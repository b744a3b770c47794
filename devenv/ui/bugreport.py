"""`bugreport`: the archive's name, what is in it, and what is missing."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from devenv import __version__
from devenv.base.json_types import JsonObject
from devenv.ui import console
from devenv.ui.render import Report, envelope, shapes
from devenv.workstation.bugreport import Collected, MissingPart


def contents_text(collected: Collected) -> str:
    """Return the file of the archive that lists the others, and what is missing."""
    shape = {
        "devenv": __version__,
        "cluster": collected.cluster,
        "time": collected.time,
        **_contents_shape(collected),
    }
    return envelope("bugreport-contents", shape) + "\n"


def archive(collected: Collected, path: Path, size: int) -> Report:
    """Report an archive: its name, which is all on standard output, and beside it what it lacks."""

    def text(out: Console) -> None:
        aside = console.progress()
        for part in collected.missing_parts:
            name, reason = escape(part.name), escape(part.reason)
            aside.print(f"[yellow]Missing:[/yellow] {name}: {reason}", soft_wrap=True)
        console.note(
            f"{len(collected.texts)} files, redacted. devenv can't know all that is private:"
            " look through them before you attach the archive to an issue."
        )
        console.print_line(out, escape(str(path)))

    return Report("bugreport", lambda: archive_shape(collected, path, size), text)


def archive_shape(collected: Collected, path: Path, size: int) -> JsonObject:
    """Shape of `bugreport`. Sizes in bytes: of the archive, and of each file unpacked."""
    return {"file": str(path), "size": size, **_contents_shape(collected)}


def _contents_shape(collected: Collected) -> JsonObject:
    contents = [{"name": name, "size": size} for name, size in collected.sizes.items()]
    missing_parts = shapes(_missing_shape, collected.missing_parts)
    return {"contents": contents, "missing": missing_parts}


def _missing_shape(part: MissingPart) -> JsonObject:
    return {"name": part.name, "why": part.reason}
