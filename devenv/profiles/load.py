"""Reads profiles: all errors of a file at once, each with its line and key path."""

import copy
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from devenv import targets
from devenv.errors import DevenvError, Exit
from devenv.profiles.headers import FILE
from devenv.profiles.model import Profile
from devenv.profiles.variant import (
    ANY,
    FOLDERS,
    PLAIN,
    Layers,
    Variant,
    entries,
    merged,
    variants,
    varied,
)
from devenv.profiles.wording import Place, complaints
from devenv.userfiles import Document, as_map, did_you_mean, near_it, read_yaml, told

Lines = Mapping[tuple[Any, ...], int]
LISTS = ("images", "manifests", "patches", "components", "requests")
# Keys of a path that leads into an item of a list.
_IN_ITEM = 3
_FIX = "Correct the file; nothing was changed."
# For a new profile's gateway on this machine.
_PORTS = range(8888, 8988)
# The name of a profile whose file has none.
_UNNAMED = "mine"


def load(name: str, folder: Path, variant: Variant = PLAIN) -> Profile:
    """Return the profile: `name` is that of a file in `folder`, or a path of one's own. Raises DevenvError."""
    files = _read(name, folder)
    if files.duplicates:
        raise _wrong(name, files.duplicates)
    content = varied(files.layers, variant, name)
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        raise _wrong(name, files.places(error, content)) from error


def check(name: str, folder: Path, codes: Iterable[str] | None = None) -> Profile:
    """Return the profile, as `load` does, after checking its versions and options, too.

    Raises DevenvError with all that is wrong: also files that are not there and, of the `codes`
    that `doctor` knows, those that it does not know.
    """
    files = _read(name, folder)
    problems = files.duplicates
    for within, variant in variants(merged(files.layers)):
        # A version that only a checkout has.
        with suppress(DevenvError):
            changed = varied(files.layers, variant, name)
            odd = [
                *_missing_files(changed, folder.parent),
                *_missing_recipes(changed, folder.parent / "images"),
                *_unknown_codes(changed, codes),
            ]
            problems += files.spelt(odd, within)
            try:
                Profile.model_validate(changed)
            except ValidationError as error:
                problems += files.places(error, changed, within)
    if problems:
        raise _wrong(name, problems)
    return load(name, folder)


def added(name: str, folder: Path) -> list[str]:
    """Return what a profile has and the one that it extends has not: a name that is not quite another's adds to it."""
    files = _read(name, folder)
    content = files.own.content
    if len(files.layers) == 1:
        return []
    base = merged(files.layers[:-1])
    additions: list[str] = []
    for part in LISTS:
        names = [str(e["name"]) for e in entries(base, part) if e.get("name")]
        fresh = [
            str(e["name"])
            for e in entries(content, part)
            if e.get("name") and e["name"] not in names
        ]
        additions += [f"{part}.{item}{_near(item, names)}" for item in fresh]
    return additions


def _near(name: str, names: Iterable[str]) -> str:
    question = did_you_mean(name, names)
    return f" ({question})" if question else ""


def _wrong(name: str, problems: Iterable[str]) -> DevenvError:
    return DevenvError(
        f"The profile {name} has errors.", told(sorted(problems, key=_line)), _FIX, Exit.USAGE
    )


def _line(problem: str) -> tuple[str, int]:
    """Return the file and line that a problem's text begins with."""
    path, _, number = problem.partition(": ")[0].rpartition(":")
    return path, int(number) if number.isdigit() else 0


@dataclass(frozen=True)
class Files:
    """A profile's files as they were read: first those that it extends, the farthest one first, then its own."""

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
        return [line for document in self.documents for line in document.duplicates]

    def places(
        self, error: ValidationError, content: Any, within: tuple[str, ...] = ()
    ) -> list[str]:
        """Return all that an error of the merged `content` names, each with its file, line and key.

        `within`: the keys of the change by which it came about, if there is one.
        """
        return self.spelt(_complaints(error, content, Profile, self._before), within)

    def spelt(
        self, problems: Iterable[tuple[Place, str]], within: tuple[str, ...] = ()
    ) -> list[str]:
        """Return problems as lines of text, each with its place in the last file that has the key.

        devenv's own files are right by themselves: the user has to change one of theirs.
        """
        theirs = [document for document in self.documents if document.path.parent != self.shipped]
        lines = [(document.path, document.lines) for document in reversed(theirs or self.documents)]
        return [self._spelt(where, what, within, lines) for where, what in problems]

    @staticmethod
    def _spelt(where: Place, what: str, within: Place, lines: Sequence[tuple[Path, Lines]]) -> str:
        depths = [_depth(where, within, file_lines) for _, file_lines in lines]
        best = depths.index(max(depths))
        path, file_lines = lines[best]
        inside = (*within, *where[:2]) in file_lines
        return _spell(path, (*within, *where) if inside else where, what, file_lines)

    def _before(self, part: str) -> list[str]:
        """Return the names that a list has in the profile that is extended."""
        return [str(e["name"]) for e in entries(merged(self.layers[:-1]), part) if e.get("name")]


def _depth(where: Place, within: Place, lines: Lines) -> int:
    """Return how much of a key path a file has."""
    for length in range(len(where), 0, -1):
        if where[:length] in lines or (*within, *where[:length]) in lines:
            return length
    return 0


def places(document: Document, error: ValidationError, model: type[BaseModel]) -> str:
    """Return all that is wrong in one file, each with its line and key."""
    lines = document.lines
    problems = _complaints(error, document.content, model, lambda _: [])
    return told(
        sorted((_spell(document.path, where, what, lines) for where, what in problems), key=_line)
    )


def _complaints(
    error: ValidationError,
    content: Any,
    model: type[BaseModel],
    base_names: Callable[[str], list[str]],
) -> list[tuple[Place, str]]:
    """Return the places of errors, with items by their names.

    What a new item lacks is one error: its name may be misspelt. `base_names`: the names of a list's
    items in the profile that is extended.
    """
    problems: list[tuple[Place, str]] = []
    missing_keys: dict[Place, list[str]] = {}
    for detail in error.errors(include_url=False):
        for where, what in complaints(detail, model):
            place = _by_name(content, where)
            if detail["type"] == "missing" and _is_new(place, base_names):
                missing_keys.setdefault(place[:2], []).append(".".join(map(str, place[2:])))
            else:
                problems.append((place, what))
    problems += [
        (where, _lacks(where, keys, base_names(str(where[0]))))
        for where, keys in missing_keys.items()
    ]
    return list(dict.fromkeys(problems))


def _is_new(where: Place, base_names: Callable[[str], list[str]]) -> bool:
    """Whether a key path leads into a list item that the extended profile lacks."""
    part = str(where[0])
    if part not in LISTS or len(where) < _IN_ITEM or not isinstance(where[1], str):
        return False
    return where[1] not in (base_names(part) or [where[1]])


def _lacks(where: Place, keys: Iterable[str], names: list[str]) -> str:
    hint = did_you_mean(str(where[1]), names) or f"it has {', '.join(names)}"
    return f"the extended profile has no such entry; {hint} (a new entry needs {', '.join(keys)})"


def _missing_files(content: Mapping[str, Any], devenvs: Path) -> list[tuple[Place, str]]:
    """Return the missing files that a profile refers to. `devenvs`: the folder of devenv's own data."""
    keys = (
        ("images", "archive"),
        ("images", "build_in"),
        ("manifests", "path"),
        ("manifests", "kustomize"),
    )
    problems: list[tuple[Place, str]] = []
    for part, key in keys:
        for number, entry in enumerate(entries(content, part)):
            path = entry.get(key)
            if (
                isinstance(path, str)
                and path
                and not _is_stand_in(path)
                and (reason := _unusable(devenvs / part / path))
            ):
                problems.append(((part, entry.get("name") or number, key), reason.format(path)))
    return problems


def _unusable(path: Path) -> str:
    """Return why nothing can be read from a path, "" where something can. {} stands for the path as it is written."""
    # os.path, since pathlib raises for a name that is too long
    if not os.path.exists(path):  # noqa: PTH110
        return "there is no {}"
    is_usual = os.path.isfile(path) or os.path.isdir(path)  # noqa: PTH112, PTH113
    return "" if is_usual else "{} is neither a file nor a folder"


def _missing_recipes(content: Mapping[str, Any], recipes: Path) -> list[tuple[Place, str]]:
    """Return which recipes a profile names that are not there. `recipes`: the folder of devenv's own."""
    names = sorted(path.parent.name for path in recipes.glob("*/recipe.yaml"))
    problems: list[tuple[Place, str]] = []
    for part in ("images", "manifests"):
        for number, entry in enumerate(entries(content, part)):
            recipe = entry.get("recipe")
            name = (
                recipe.partition("/")[0]
                if part == "manifests" and isinstance(recipe, str)
                else recipe
            )
            if isinstance(name, str) and name and name not in names:
                place = (part, entry.get("name") or number, "recipe")
                problems.append((place, f"there is no recipe {name}{near_it(name, names)}"))
    return problems


def _is_stand_in(path: str) -> bool:
    """Whether it is a path of the checkout or of the files that `variants` pretends."""
    return path == ANY or path.startswith(f"{ANY}/")


def _unknown_codes(
    content: Mapping[str, Any], codes: Iterable[str] | None
) -> list[tuple[Place, str]]:
    ignored = content.get("ignore")
    if codes is None or not isinstance(ignored, list):
        return []
    known_codes = list(codes)
    problems: list[tuple[Place, str]] = []
    for number, code in enumerate(ignored):
        if isinstance(code, str) and code not in known_codes:
            problems.append(
                (("ignore", number), f"doctor has no code {code}{near_it(code, known_codes)}")
            )
    return problems


def find(name: str, folder: Path, beside: Path = Path()) -> Path:
    """Return the file of the profile: one of `folder` by its name, else a path, seen from the folder `beside`."""
    shipped = folder / f"{name}.yaml"
    user_path = beside / os.path.expanduser(name)  # noqa: PTH111 - pathlib raises for a user that is not there
    looks_like_path = "/" in name or bool(user_path.suffix)
    candidates = [user_path] if looks_like_path else [shipped, user_path]
    for path in candidates:
        if os.path.exists(path) and not os.path.isdir(path):  # noqa: PTH110, PTH112 - they never raise
            return path
    names = sorted(p.stem for p in folder.glob("*.yaml"))
    question = did_you_mean(name, names)
    fix = f"{question[:1].upper()}{question[1:]} Available profiles: {', '.join(names)}. You can also name a file.".lstrip()
    raise DevenvError(f"There is no profile {name}.", next_step=fix, exit_code=Exit.USAGE)


def known(folder: Path) -> list[Profile]:
    """Return the profiles of the folder."""
    return [load(path.stem, folder) for path in sorted(folder.glob("*.yaml"))]


def spell(profile: Profile) -> str:
    """Return the profile as YAML, with nothing left to extend."""
    content = profile.model_dump(mode="json", by_alias=True, exclude={"left_out"})
    return yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True)


def schema_text() -> str:
    """Return the JSON Schema of profile files. `extends` leaves nothing that must be there in a file itself."""
    schema = Profile.model_json_schema(by_alias=True)
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "Another profile: its name, or a file beside this one.",
    }
    for key, of in (
        ("versions", "what it installs, by version"),
        ("options", "what can be asked for besides, by name"),
    ):
        change = {"type": "object", "additionalProperties": {"type": ["object", "null"]}}
        schema["properties"][key] = {**change, "description": f"Changes to the profile: {of}."}
    for key, of in (("kustomize_first", "before all others"), ("kustomize", "after those")):
        folders = {"type": "array", "items": {"type": "string"}}
        schema["properties"][key] = {
            **folders,
            "description": f"Folders of a checkout that are rendered {of}.",
        }
    released = {"type": "boolean", "description": "Whether there are images and addresses of it."}
    schema["properties"]["released"] = released
    schema.pop("required")
    schema["properties"].pop("left_out")
    return (
        json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2)
        + "\n"
    )


def free_port(owner: Callable[[int], str | None]) -> int:
    """Return the first port from the usual one on that nobody listens on. `owner`: who listens on a port, None for nobody."""
    return next((port for port in _PORTS if owner(port) is None), _PORTS[0])


def begin(file: Path, folder: Path, base: str, host_port: int, node_port: int | None) -> None:
    """Write a profile that extends `base`. Raises DevenvError, and writes nothing, if it would not be valid."""
    find(base, folder)
    ports = {"host_port": host_port, **({"node_port": node_port} if node_port else {})}
    name = _UNNAMED if targets.is_stdout(file) else file.stem
    text = yaml.safe_dump(
        {"extends": base, "name": name, "gateway": ports}, sort_keys=False, allow_unicode=True
    )
    try:
        _check_text(text, file, folder)
        targets.write(file, text)
    except OSError as error:
        raise DevenvError(
            f"{file} can't be written.", error.strerror or str(error), "Choose another path."
        ) from error


def _check_text(text: str, file: Path, folder: Path) -> None:
    """Raise DevenvError if the text would not be a valid profile in this place (it may extend a file beside it)."""
    folder_of_file = (
        Path() if targets.is_stdout(file) or targets.is_special(file) else file.resolve().parent
    )
    beside = (
        folder_of_file
        if os.access(folder_of_file, os.W_OK) or not folder_of_file.exists()
        else None
    )
    with tempfile.NamedTemporaryFile(
        "w", dir=beside, prefix=".", suffix=".yaml", encoding="utf-8"
    ) as draft:
        draft.write(text)
        draft.flush()
        try:
            load(draft.name, folder)
        except DevenvError as error:
            error.what, error.why = (
                part.replace(draft.name, str(file)) for part in (error.what, error.why)
            )
            raise


def _read(name: str, folder: Path) -> Files:
    """Read a profile's file and everything that it extends. Raises DevenvError."""
    documents: list[Document] = []
    layers: list[Mapping[str, Any]] = []
    read: list[Path] = []
    path = find(name, folder)
    while True:
        if path.resolve() in read:
            chain = " → ".join(p.name for p in (*read, path))
            raise DevenvError(f"{path} extends itself.", chain, _FIX, Exit.USAGE)
        read.append(path.resolve())
        document = _document(path)
        content = dict(as_map(document, "a profile"))
        _changes(document, content)
        if path.parent != folder:
            content = copy.deepcopy(content)
            _root_paths(content, path.resolve().parent, folder.parent)
        base = _base(document, content)
        documents.insert(0, document)
        if not base:
            layers.insert(0, {**content, "base": content.get("name", path.stem)})
            return Files(documents, layers, folder)
        layers.insert(0, content)
        path = _extended(document, base, folder)


def _document(path: Path) -> Document:
    try:
        return read_yaml(path, lenient=True)
    except FileNotFoundError as error:
        raise DevenvError(f"There is no profile {path}.", exit_code=Exit.USAGE) from error


def _base(document: Document, content: dict[str, Any]) -> str:
    """Remove `extends` from a profile's content, and return it; "" if there is none."""
    if "extends" not in content:
        return ""
    base = content.pop("extends")
    if not isinstance(base, str) or not base:
        line = document.lines[("extends",)]
        problem = f"{document.path}:{line}: extends: it must be the name of a profile, or a file"
        raise _wrong(document.path.stem, [problem])
    return base


def _extended(document: Document, base: str, folder: Path) -> Path:
    try:
        return find(base, folder, document.path.parent)
    except DevenvError as error:
        line = document.lines[("extends",)]
        problem = f"{document.path}:{line}: extends: {error.what}"
        raise DevenvError(error.what, problem, error.next_step, Exit.USAGE) from error


def _changes(document: Document, content: Mapping[str, Any]) -> None:
    """Refuse versions and options that are no changes by name: they are merged before anything is validated."""
    wrong: list[tuple[tuple[int | str, ...], str]] = []
    for part in ("versions", "options"):
        of = content.get(part)
        if not isinstance(of, dict | None):
            wrong.append(((part,), "it is no map of changes by name"))
        else:
            odd = [
                name for name, change in (of or {}).items() if not isinstance(change, dict | None)
            ]
            wrong += [((part, str(name)), "it is no map of what it changes") for name in odd]
            unnamed = [name for name in of or {} if not isinstance(name, str)]
            wrong += [
                ((part, str(name)), "its name is no text: write it in quotes") for name in unnamed
            ]
            for name, change in (of or {}).items():
                wrong += _wrong_choices(change or {}, (part, str(name)))
    wrong += _wrong_choices(content, ())
    if wrong:
        lines = document.lines
        raise _wrong(
            document.path.stem, [_spell(document.path, where, what, lines) for where, what in wrong]
        )


def _wrong_choices(content: Any, where: tuple[str, ...]) -> list[tuple[tuple[int | str, ...], str]]:
    """Return what is wrong with the keys that only choose: no model has them."""
    if not isinstance(content, dict):
        return []
    wrong: list[tuple[tuple[int | str, ...], str]] = []
    for key in FOLDERS:
        folders = content.get(key)
        texts = isinstance(folders, list) and all(isinstance(folder, str) for folder in folders)
        if folders is not None and not texts:
            wrong.append(((*where, key), "it is no list of folders"))
    if not isinstance(content.get("released"), bool | None):
        wrong.append(((*where, "released"), "it is neither true nor false"))
    return wrong


def _root_paths(content: Any, beside: Path, devenvs: Path) -> None:
    """Make the paths in a profile of one's own absolute: they are seen from its folder, wherever it is used.

    One that is only in devenv's own manifests/ is left to be found there: `profile show` prints such.
    """
    for part, key in (
        ("manifests", "path"),
        ("manifests", "kustomize"),
        ("images", "archive"),
        ("images", "build_in"),
    ):
        entries = content.get(part)
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and _is_own_path(entry, key):
                # os.path, since pathlib raises for a user that is not there and for a name that is too long
                path = beside / os.path.expanduser(entry[key])  # noqa: PTH111
                if os.path.exists(path) or not os.path.exists(devenvs / part / entry[key]):  # noqa: PTH110
                    entry[key] = str(path)
    _root_headers(content, beside)


def _is_own_path(entry: Mapping[str, Any], key: str) -> bool:
    """Whether an entry has a path there that is relative to the profile's folder."""
    of_checkout = key == "kustomize" and entry.get("from_checkout")
    return isinstance(entry.get(key), str) and bool(entry[key]) and not of_checkout


def _root_headers(content: Any, beside: Path) -> None:
    """Make the paths of files that headers refer to absolute."""
    requests = content.get("requests")
    for entry in requests if isinstance(requests, list) else []:
        headers = entry.get("headers") if isinstance(entry, dict) else None
        if isinstance(headers, dict):
            entry["headers"] = {name: _rooted(value, beside) for name, value in headers.items()}


def _rooted(value: Any, beside: Path) -> Any:
    file = FILE.search(value) if isinstance(value, str) else None
    if file is None:
        return value
    path = beside / os.path.expanduser(file[1])  # noqa: PTH111 - as above
    return f"{value[: file.start()]}@{path}"


def _by_name(content: Any, where: Sequence[int | str]) -> tuple[int | str, ...]:
    """Return a key path with the names of list items in place of their numbers, which are those of the merged list."""
    path: list[int | str] = []
    for key in where:
        try:
            content = content[key]
        except (LookupError, TypeError):
            # A key that is missing.
            content = None
        is_named = (
            isinstance(key, int)
            and isinstance(content, Mapping)
            and isinstance(content.get("name"), str)
        )
        path.append(content["name"] if is_named and content else key)
    return tuple(path)


def _spell(
    path: Path, where: tuple[int | str, ...], what: str, lines: Mapping[tuple[int | str, ...], int]
) -> str:
    line = next((lines[where[:n]] for n in range(len(where), -1, -1) if where[:n] in lines), 1)
    return f"{path}:{line}: {'.'.join(map(str, where)) or 'profile'}: {what}"
