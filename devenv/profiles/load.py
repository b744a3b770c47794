"""Loads and checks profiles: all errors of a file at once, each with its line and key."""

from collections.abc import Iterable
from pathlib import Path

import yaml
from pydantic import ValidationError

from devenv.base.errors import DevenvError
from devenv.base.json_types import JsonObject
from devenv.base.userfiles import did_you_mean
from devenv.profiles.files import Files, read_files
from devenv.profiles.merge import merge
from devenv.profiles.missing import missing_files, missing_recipes, unknown_codes
from devenv.profiles.model import Profile
from devenv.profiles.places import LISTS, profile_errors
from devenv.profiles.variant import PLAIN, Variant, item_names, merged, variants, varied
from devenv.profiles.wording import Place


def load(name: str, folder: Path, variant: Variant = PLAIN) -> Profile:
    """Return the profile.

    `name`: that of a file in `folder`, or a path. Raises DevenvError with everything that is wrong.
    """
    files = read_files(name, folder)
    if files.duplicates:
        raise profile_errors(name, files.duplicates)
    content = varied(files.layers, variant, name)
    if variant.port:
        content = merge(content, {"gateway": {"host_port": variant.port}})
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        raise profile_errors(name, files.describe_error(error, content)) from error


def check(name: str, folder: Path, codes: Iterable[str] | None = None) -> Profile:
    """Return the profile, as `load` does, after checking all its versions and options.

    Raises DevenvError with everything that is wrong: also files and recipes that don't exist and,
    if `codes` has those of `doctor`, codes that `doctor` does not have.
    """
    files = read_files(name, folder)
    all_codes = None if codes is None else list(codes)
    problems = files.duplicates
    for within, variant in variants(merged(files.layers)):
        problems += _variant_problems(name, files, variant, within, all_codes)
    if problems:
        raise profile_errors(name, problems)
    return load(name, folder)


def _variant_problems(
    name: str, files: Files, variant: Variant, within: Place, codes: list[str] | None
) -> list[str]:
    """Return lines with everything that is wrong in one variant of a profile."""
    try:
        content = varied(files.layers, variant, name)
    except DevenvError:
        # A version that exists only in a checkout.
        return []
    data_root = files.shipped.parent
    missing_things = [
        *missing_files(content, data_root),
        *missing_recipes(content, data_root / "images"),
        *unknown_codes(content, codes),
    ]
    problems = files.describe(missing_things, within)
    try:
        Profile.model_validate(content)
    except ValidationError as error:
        problems += files.describe_error(error, content, within)
    return problems


def new_items(name: str, folder: Path) -> list[str]:
    """Return the list items that a profile adds to the one that it extends, as LIST.NAME.

    A misspelt name adds an item instead of changing one, so each has a question if it is near
    another name.
    """
    files = read_files(name, folder)
    if len(files.layers) == 1:
        return []
    items = []
    for part in LISTS:
        base_names = files.base_names(part)
        for item in item_names(files.own.content, part):
            if item not in base_names:
                question = _question(item, base_names)
                items.append(f"{part}.{item}{question}")
    return items


def _question(name: str, names: Iterable[str]) -> str:
    question = did_you_mean(name, names)
    return f" ({question})" if question else ""


def list_profiles(folder: Path) -> list[Profile]:
    """Return the profiles of a folder."""
    return [load(path.stem, folder) for path in sorted(folder.glob("*.yaml"))]


def to_yaml(profile: Profile) -> str:
    """Return the profile as YAML, with nothing left to extend."""
    return yaml.safe_dump(to_json(profile), sort_keys=False, width=120, allow_unicode=True)


def to_json(profile: Profile) -> JsonObject:
    """Return the content of the YAML that `to_yaml` returns."""
    return profile.model_dump(mode="json", by_alias=True, exclude={"left_out"})
