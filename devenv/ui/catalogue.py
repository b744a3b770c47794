"""Lists of what comes with devenv: recipes of images, and profiles."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from devenv.base.json_types import JsonObject
from devenv.images.recipes.listing import Entry
from devenv.profiles.model import Profile
from devenv.profiles.quantities import show
from devenv.ui.render import Report, shapes

# Columns of a terminal from which on descriptions fit.
_WIDE = 110
_COLUMNS = ("recipe", "version", "state", "size", "build time")


def images(entries: Sequence[Entry]) -> Report:
    """Report the recipes, whether they are built, and what they take."""

    def text(out: Console) -> None:
        has_descriptions = out.width >= _WIDE
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in _COLUMNS:
            table.add_column(column, no_wrap=True)
        if has_descriptions:
            table.add_column("what it is", overflow="ellipsis", no_wrap=True)
        for entry in entries:
            cells = _cells(entry)
            table.add_row(*cells if has_descriptions else cells[:-1])
        out.print(table)

    return Report("images", lambda: shapes(image_shape, entries), text)


def _cells(entry: Entry) -> tuple[str, ...]:
    """Return a recipe's row; the last cell is its description."""
    state, size, duration = "[dim]missing[/dim]", "", f"{entry.seconds} s"
    if entry.built:
        state, size, duration = "[green]built[/green]", show(entry.size), ""
    description = escape(entry.description)
    return (entry.name, entry.version, state, size, duration, description)


def image_shape(entry: Entry) -> JsonObject:
    """Shape of one recipe in `images list`. `size` in bytes."""
    return {
        "name": entry.name,
        "version": entry.version,
        "key": entry.key,
        "ref": entry.ref,
        "built": entry.built,
        "size": entry.size,
        "seconds": entry.seconds,
    }


def profiles(profiles: Sequence[Profile]) -> Report:
    """Report the profiles by name."""

    def text(out: Console) -> None:
        names = [profile.name for profile in profiles]
        width = max(map(len, names), default=0)
        for profile in profiles:
            name = escape(profile.name.ljust(width))
            out.print(f"{name}  {escape(profile.description)}")

    return Report("profiles", lambda: shapes(_profile_shape, profiles), text)


def _profile_shape(profile: Profile) -> JsonObject:
    return {"name": profile.name, "description": profile.description}
