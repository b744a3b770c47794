"""Reads a profile's file and everything that it extends."""

import copy
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from devenv.base.errors import DevenvError, Exit
from devenv.base.json_types import JsonObject
from devenv.base.userfiles import Document, as_map, did_you_mean, read_yaml
from devenv.profiles.base import is_list_of
from devenv.profiles.model import Profile
from devenv.profiles.paths import make_paths_absolute
from devenv.profiles.places import FIX, KeyLines, profile_errors, validation_problems
from devenv.profiles.variant import FOLDERS, Content, Layers, item_names, merged
from devenv.profiles.wording import Place, Problem


@dataclass(frozen=True)
class Files:
    """A profile's files: first those that it extends, the farthest one first, then its own."""

    documents: Sequence[Document]
    layers: Layers
    # The folder of devenv's own profiles.
    shipped: Path

    @property
    def own(self) -> Document:
        """The file that was named."""
        return self.documents[-1]

    @property
    def duplicates(self) -> list[str]:
        """Keys that a file has twice, each with its place."""
        lines: list[str] = []
        for document in self.documents:
            lines += document.duplicates
        return lines

    def describe_error(self, error: ValidationError, content: Any, within: Place = ()) -> list[str]:
        """Return lines with everything that an error of the merged `content` names.

        `within`: the keys of the version or option by which the content came about.
        """
        problems = validation_problems(error, content, Profile, self.base_names)
        return self.describe(problems, within)

    def describe(self, problems: Iterable[Problem], within: Place = ()) -> list[str]:
        """Return problems as lines of text, each with the last file that has its key."""
        files = list(map(KeyLines.of, self._correctable_documents()))
        return [_describe(place, problem, within, files) for place, problem in problems]

    def _correctable_documents(self) -> list[Document]:
        """Return the documents that an error may name, the last one first.

        devenv's own files are correct: the user has to change one of theirs.
        """
        user_documents = [
            document for document in self.documents if document.path.parent != self.shipped
        ]
        return list(reversed(user_documents or self.documents))

    def base_names(self, part: str) -> list[str]:
        """Return the names of a list's items in the profile that is extended."""
        return item_names(merged(self.layers[:-1]), part)


def _describe(place: Place, problem: str, within: Place, files: Sequence[KeyLines]) -> str:
    """Say a problem with the line of the file that has most of its place."""

    def depth(file: KeyLines) -> int:
        return file.depth(place, within)

    deepest_file = max(files, key=depth)
    whole_place = (*within, *place)
    if (*within, *place[:2]) in deepest_file.lines:
        return deepest_file.describe(whole_place, problem)
    return deepest_file.describe(place, problem)


def read_files(name: str, folder: Path) -> Files:
    """Read a profile's file and everything that it extends.

    `folder`: that of devenv's own profiles. Raises DevenvError.
    """
    documents: list[Document] = []
    layers: list[Content] = []
    visited: list[Path] = []
    path = find(name, folder)
    while True:
        _refuse_circle(path, visited)
        visited.append(path.resolve())
        document = _document(path)
        content = dict(as_map(document, "a profile"))
        _refuse_invalid_changes(document, content)
        if path.parent != folder:
            content = copy.deepcopy(content)
            make_paths_absolute(content, path.resolve().parent, folder.parent)
        base = _pop_base(document, content)
        documents.insert(0, document)
        if not base:
            layers.insert(0, {**content, "base": content.get("name", path.stem)})
            return Files(documents, layers, folder)
        layers.insert(0, content)
        path = _extended_file(document, base, folder)


def _refuse_circle(path: Path, visited: Sequence[Path]) -> None:
    if path.resolve() in visited:
        names = [extended_path.name for extended_path in (*visited, path)]
        chain = " → ".join(names)
        raise DevenvError(f"{path} extends itself.", chain, FIX, Exit.USAGE)


def _document(path: Path) -> Document:
    try:
        return read_yaml(path, lenient=True)
    except FileNotFoundError as error:
        raise DevenvError(f"The profile {path} does not exist.", exit_code=Exit.USAGE) from error


def find(name: str, folder: Path, beside: Path = Path()) -> Path:
    """Return a profile's file: one of `folder` by its name, else a path, seen from `beside`."""
    shipped_path = folder / f"{name}.yaml"
    # pathlib raises for a user that does not exist.
    user_path = beside / os.path.expanduser(name)  # noqa: PTH111
    looks_like_path = "/" in name or bool(user_path.suffix)
    candidates = [user_path] if looks_like_path else [shipped_path, user_path]
    for path in candidates:
        # os.path never raises; pathlib does for a name that is too long.
        if os.path.exists(path) and not os.path.isdir(path):  # noqa: PTH110, PTH112
            return path
    raise _no_such_profile(name, folder)


def _no_such_profile(name: str, folder: Path) -> DevenvError:
    """Return the error for a name that no profile has, with the names that are near."""
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    question = did_you_mean(name, names)
    capitalized_question = question[:1].upper() + question[1:]
    available = ", ".join(names)
    fix = f"{capitalized_question} Available profiles: {available}. You can also name a file."
    return DevenvError(
        f"The profile {name} does not exist.",
        next_step=fix.lstrip(),
        exit_code=Exit.USAGE,
    )


# What a profile extends


def _pop_base(document: Document, content: JsonObject) -> str:
    """Remove `extends` from a profile's content, and return it; "" if it extends nothing."""
    if "extends" not in content:
        return ""
    base = content.pop("extends")
    if not isinstance(base, str) or not base:
        problem = _extends_problem(document, "it must be the name of a profile, or a file")
        raise profile_errors(document.path.stem, [problem])
    return base


def _extended_file(document: Document, base: str, folder: Path) -> Path:
    try:
        return find(base, folder, document.path.parent)
    except DevenvError as error:
        problem = _extends_problem(document, error.what)
        raise DevenvError(error.what, problem, error.next_step, Exit.USAGE) from error


def _extends_problem(document: Document, problem: str) -> str:
    line = document.lines["extends",]
    return f"{document.path}:{line}: extends: {problem}"


# Versions and options, which are merged before anything is validated


def _refuse_invalid_changes(document: Document, content: Content) -> None:
    """Raise DevenvError if versions and options can't be merged."""
    problems = [
        *_change_problems(content.get("versions"), "versions"),
        *_change_problems(content.get("options"), "options"),
        *_choice_problems(content, ()),
    ]
    if problems:
        texts = KeyLines.of(document).describe_all(problems)
        raise profile_errors(document.path.stem, texts)


def _change_problems(changes: Any, part: str) -> list[Problem]:
    """Return what is wrong with `versions` or `options`, which map names to changes."""
    if changes is None:
        return []
    if not isinstance(changes, dict):
        return [((part,), "it must be a map of changes by name")]
    problems: list[Problem] = []
    for name, change in changes.items():
        place = (part, str(name))
        if not isinstance(change, dict | None):
            problems.append((place, "it must be a map of what it changes"))
        if not isinstance(name, str):
            problems.append((place, "its name must be a string: put it in quotes"))
        problems += _choice_problems(change or {}, place)
    return problems


def _choice_problems(content: Any, within: Place) -> list[Problem]:
    """Return what is wrong with the keys that only choose, which the model does not have."""
    if not isinstance(content, dict):
        return []
    problems = []
    for key in FOLDERS:
        folders = content.get(key)
        if folders is not None and not is_list_of(folders, str):
            problems.append(((*within, key), "it must be a list of folders"))
    if not isinstance(content.get("released"), bool | None):
        problems.append(((*within, "released"), "it must be true or false"))
    return problems
