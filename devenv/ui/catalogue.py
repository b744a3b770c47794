"""Lists of what comes with devenv: recipes of images, and profiles."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from devenv.base.json_types import JsonObject
from devenv.images.recipes.listing import Entry
from devenv.profiles.model import Profile
from devenv.profiles.quantities import show
from devenv.ui.render import Report, shapes
from devenv.ui.table import print_described_table

_HEADINGS = ("RECIPE", "VERSION", "STATE", "SIZE", "BUILD TIME", "WHAT IT IS")
_NUMBERS = {"SIZE", "BUILD TIME"}
# The size of what is not built, and the time to build what is.
_NOTHING = "-"


def images(entries: Sequence[Entry]) -> Report:
    """Report the recipes, whether they are built, and what they take."""

    def text(out: Console) -> None:
        print_described_table(out, _HEADINGS, list(map(_cells, entries)), _NUMBERS)

    return Report("images", lambda: shapes(image_shape, entries), text)


def _cells(entry: Entry) -> tuple[str, ...]:
    """Return a recipe's row; the last cell is its description."""
    state, size, duration = "missing", _NOTHING, f"{entry.seconds} s"
    if entry.built:
        state, size, duration = "built", show(entry.size), _NOTHING
    return (entry.name, entry.version, state, size, duration, entry.description)


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
