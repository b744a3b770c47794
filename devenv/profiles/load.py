"""Reads profiles: all errors of a file at once, each with its line and key path."""

import difflib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ValidationError

from devenv.errors import DevenvError, Exit
from devenv.profiles.headers import FILE
from devenv.profiles.model import Profile
from devenv.profiles.variant import FOLDERS, LISTS, PLAIN, Layers, Variant, entries, merged, variants, varied

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_DEPTH = 8  # profiles that may extend one another
# What reading a YAML file may raise: its library lets pass what a value of a wrong kind raises, and what nests too deep.
BROKEN = (yaml.YAMLError, OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError)
_NEAR = 0.6  # how alike two keys are


def load(name: str, folder: Path, variant: Variant = PLAIN) -> Profile:
    """Return the profile: `name` is that of a file in `folder`, or a path of one's own. Raises DevenvError."""
    path = find(name, folder)
    content = varied(_layers(path, folder, _DEPTH), variant, name)
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        found = places(path, error, content)
        raise DevenvError(f"The profile {name} is wrong.", found, "Mend the file; nothing was changed.", Exit.USAGE) from error


def check(name: str, folder: Path) -> Profile:
    """Return the profile, as `load` does, once its versions and options were looked at, too. Raises with all that is wrong."""
    path = find(name, folder)
    layers = _layers(path, folder, _DEPTH)
    found: dict[str, None] = {}
    for within, variant in variants(merged(layers)):
        with suppress(DevenvError):  # a version that only a checkout has
            changed = varied(layers, variant, name)
            try:
                Profile.model_validate(changed)
            except ValidationError as error:
                found |= dict.fromkeys(places(path, error, changed, within).splitlines())
    if found:
        raise DevenvError(f"The profile {name} is wrong.", "\n".join(found), "Mend the file; nothing was changed.", Exit.USAGE)
    return load(name, folder)


def added(name: str, folder: Path) -> list[str]:
    """Return what a profile has and the one that it extends has not: a name that is not quite another's adds to it."""
    path = find(name, folder)
    own = yaml.safe_load(path.read_text())
    if "extends" not in own:
        return []
    base = merged(_layers(find(str(own["extends"]), folder, path.parent), folder, _DEPTH))
    before = {part: {e.get("name") for e in entries(base, part)} for part in LISTS}
    return [f"{part}.{e['name']}" for part in LISTS for e in entries(own, part) if e.get("name", "") not in {*before[part], ""}]


def places(
    path: Path, error: ValidationError, content: Any = None, within: tuple[str, ...] = (), model: type[BaseModel] = Profile
) -> str:
    """Return all that is wrong in a file, each with its line and key.

    `content`: what was validated, merged or not. `within`: the keys of the change by which it came about, if there is one;
    what the file does not have there it has outside.
    """
    lines = _lines(path.read_text())
    named = ((_by_name(content, e["loc"]), _what(e, model)) for e in error.errors())
    told = [((*within, *where) if (*within, *where[:2]) in lines else where, what) for where, what in named]
    return "\n".join(sorted(_spell(path, where, what, lines) for where, what in told))


def _what(error: "ErrorDetails", model: type[BaseModel]) -> str:
    """Return what is wrong; of a key that is none, which are near it."""
    if error["type"] != "extra_forbidden":
        return error["msg"]
    there = _keys(model.model_json_schema(by_alias=True), error["loc"][:-1])
    near = difflib.get_close_matches(str(error["loc"][-1]), there, 3, _NEAR)
    return f"there is no such key; near it: {', '.join(near)}" if near else f"there is no such key; there are: {', '.join(there)}"


def _keys(schema: Mapping[str, Any], where: Sequence[int | str]) -> list[str]:
    """Return the keys that a model has at a place."""
    node: Any = schema
    for key in where:
        node = (
            node.get("items") if isinstance(key, int) else node.get("properties", {}).get(key, node.get("additionalProperties"))
        )
        node = next((n for n in (node or {}).get("anyOf", [node]) if n and n.get("type") != "null"), {})
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return list(node.get("properties", {}))


def find(name: str, folder: Path, beside: Path = Path()) -> Path:
    """Return the file of the profile: its own path, seen from the folder `beside`, or one of `folder` by its name."""
    own = beside / name
    if own.suffix in {".yaml", ".yml"} and own.is_file():
        return own
    path = folder / f"{name}.yaml"
    if "/" in name or not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
        raise DevenvError(
            f"There is no profile {name}.", next_step=f"There are: {known}; or name a YAML file.", exit_code=Exit.USAGE
        )
    return path


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
    schema["properties"]["extends"] = {"type": "string", "description": "Another profile: its name, or a file beside this one."}
    for key, of in (("versions", "what it installs, by version"), ("options", "what can be asked for besides, by name")):
        change = {"type": "object", "additionalProperties": {"type": ["object", "null"]}}
        schema["properties"][key] = {**change, "description": f"Changes to the profile: {of}."}
    for key, of in (("kustomize_first", "before all others"), ("kustomize", "after those")):
        folders = {"type": "array", "items": {"type": "string"}}
        schema["properties"][key] = {**folders, "description": f"Folders of a checkout that are rendered {of}."}
    released = {"type": "boolean", "description": "Whether there are images and addresses of it."}
    schema["properties"]["released"] = released
    schema.pop("required")
    schema["properties"].pop("left_out")
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"


def begin(file: Path, folder: Path, base: str, host_port: int, node_port: int | None) -> None:
    """Write a profile that extends `base`. Raises DevenvError, and leaves no file, where it would not be right."""
    find(base, folder)
    ports = {"host_port": host_port, **({"node_port": node_port} if node_port else {})}
    file.write_text(yaml.safe_dump({"extends": base, "name": file.stem, "gateway": ports}, sort_keys=False))
    try:
        load(str(file.resolve()), folder)
    except DevenvError:
        file.unlink()
        raise


def _layers(path: Path, folder: Path, depth: int) -> Layers:
    """Return the contents of a file and of all that it extends, the last of those first."""
    try:
        content = yaml.safe_load(path.read_text())
        json.dumps(content, default=str, skipkeys=True)  # refuses what holds itself: it has no end
    except BROKEN as error:
        raise DevenvError(
            f"{path} is not YAML that can be read.", str(error), "Mend the file; nothing was changed.", Exit.USAGE
        ) from error
    if not isinstance(content, dict):
        raise DevenvError(f"{path} is not a profile: it holds no map.", exit_code=Exit.USAGE)
    _changes(path, content)
    if path.parent != folder:
        _root_paths(content, path.resolve().parent, folder.parent)
    base = content.pop("extends", None)
    if base is None:
        return [{**content, "base": content.get("name", path.stem)}]
    if depth == 0:
        raise DevenvError(f"{path} extends profiles in a circle.", exit_code=Exit.USAGE)
    return [*_layers(find(str(base), folder, path.parent), folder, depth - 1), content]


def _changes(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse versions and options that are no changes by name: they are merged before anything is validated."""
    wrong: list[tuple[tuple[int | str, ...], str]] = []
    for part in ("versions", "options"):
        of = content.get(part)
        if not isinstance(of, dict | None):
            wrong.append(((part,), "it is no map of changes by name"))
        else:
            odd = [name for name, change in (of or {}).items() if not isinstance(change, dict | None)]
            wrong += [((part, str(name)), "it is no map of what it changes") for name in odd]
            for name, change in (of or {}).items():
                wrong += _wrong_choices(change or {}, (part, str(name)))
    wrong += _wrong_choices(content, ())
    if wrong:
        lines = _lines(path.read_text())
        why = "\n".join(_spell(path, where, what, lines) for where, what in wrong)
        raise DevenvError(f"The profile {path.stem} is wrong.", why, "Mend the file; nothing was changed.", Exit.USAGE)


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
    for part, key in (("manifests", "path"), ("manifests", "kustomize"), ("images", "archive"), ("images", "build_in")):
        entries = content.get(part)
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and _is_own_path(entry, key):
                # os.path, since pathlib raises for a user that is not there and for a name that is too long
                own = beside / os.path.expanduser(entry[key])  # noqa: PTH111
                if os.path.exists(own) or not os.path.exists(devenvs / part / entry[key]):  # noqa: PTH110
                    entry[key] = str(own)
    _root_headers(content, beside)


def _is_own_path(entry: Mapping[str, Any], key: str) -> bool:
    """Whether an entry has a path there that is seen from the profile's folder."""
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
            content = None  # a key that is missing
        named = isinstance(key, int) and isinstance(content, Mapping) and isinstance(content.get("name"), str)
        path.append(content["name"] if named and content else key)
    return tuple(path)


def _spell(path: Path, where: tuple[int | str, ...], what: str, lines: Mapping[tuple[int | str, ...], int]) -> str:
    line = next((lines[where[:n]] for n in range(len(where), -1, -1) if where[:n] in lines), 1)
    return f"{path}:{line}: {'.'.join(map(str, where)) or 'profile'}: {what}"


def _name(node: yaml.Node) -> str:
    """Return a list item's name, "" where it has none."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((str(value.value) for key, value in pairs if key.value == "name"), "")


def _lines(text: str) -> dict[tuple[Any, ...], int]:
    """Return the line of each key path in the file."""
    found: dict[tuple[Any, ...], int] = {}

    def walk(node: yaml.Node | None, where: tuple[Any, ...]) -> None:
        if node is None:
            return
        found[where] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                walk(value, (*where, key.value))
                found[(*where, key.value)] = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                walk(value, (*where, _name(value) or index))

    walk(yaml.compose(text, Loader=yaml.SafeLoader), ())
    return found
