"""Finds what a profile refers to and what does not exist: files, recipes, and codes of `doctor`."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from devenv.base.userfiles import near_it
from devenv.profiles.paths import PATH_KEYS
from devenv.profiles.reasons import reason_problem
from devenv.profiles.variant import ANY, Content, entries
from devenv.profiles.wording import Place, Problem


def missing_files(content: Content, data_root: Path) -> list[Problem]:
    """Return the files that a profile names and that can't be read.

    `data_root`: the folder of devenv's own data.
    """
    problems = []
    for part, key in PATH_KEYS:
        for place, path in _texts(content, part, key):
            if _is_stand_in(path):
                continue
            problem = _path_problem(data_root / part / path, path)
            if problem:
                problems.append((place, problem))
    return problems


def missing_recipes(content: Content, recipes_folder: Path) -> list[Problem]:
    """Return the recipes that a profile names and that don't exist."""
    names = sorted(path.parent.name for path in recipes_folder.glob("*/recipe.yaml"))
    problems = []
    for part in ("images", "manifests"):
        for place, recipe in _texts(content, part, "recipe"):
            name = recipe
            if part == "manifests":
                # A manifest names a file of its recipe, too: RECIPE/FILE.
                name = recipe.partition("/")[0]
            if name and name not in names:
                hint = near_it(name, names)
                problems.append((place, f"the recipe {name} does not exist{hint}"))
    return problems


def unknown_codes(content: Content, codes: Iterable[str] | None) -> list[Problem]:
    """Return the ignored codes that `doctor` does not have, and misspelt reasons.

    `codes`: those that it has; None if they are not to be checked.
    """
    ignored_codes = content.get("ignore")
    if codes is None or not isinstance(ignored_codes, list):
        return []
    all_codes = list(codes)
    problems: list[Problem] = []
    for number, tag in enumerate(ignored_codes):
        problem = _tag_problem(tag, all_codes) if isinstance(tag, str) else ""
        if problem:
            problems.append((("ignore", number), problem))
    return problems


def _tag_problem(tag: str, all_codes: list[str]) -> str:
    """Return why `doctor` can't leave out CODE or CODE:REASON, "" if it can."""
    code, colon, reason = tag.partition(":")
    if code not in all_codes:
        return f"doctor has no code {code}{near_it(code, all_codes)}"
    return reason_problem(reason) if colon else ""


def _texts(content: Content, part: str, key: str) -> Iterator[tuple[Place, str]]:
    """Yield the texts that the items of a list have at a key, each with its place, if not empty."""
    for number, entry in enumerate(entries(content, part)):
        text = entry.get(key)
        if isinstance(text, str) and text:
            name = entry.get("name") or number
            yield (part, name, key), text


def _is_stand_in(path: str) -> bool:
    """Whether a path is in the checkout or among the files that `variants` pretends."""
    return path == ANY or path.startswith(f"{ANY}/")


def _path_problem(path: Path, written: str) -> str:
    """Return why nothing can be read from a path, "" if something can.

    `written`: the path as the profile has it.
    """
    # os.path never raises; pathlib does for a name that is too long.
    if not os.path.exists(path):  # noqa: PTH110
        return f"{written} does not exist"
    if os.path.isfile(path) or os.path.isdir(path):  # noqa: PTH112, PTH113
        return ""
    return f"{written} is neither a file nor a folder"
