"""A kustomize folder as files: what it names by address, and a copy that has files instead."""

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path
from typing import Any

import yaml

from devenv.errors import DevenvError
from devenv.userfiles import WRITTEN, read_text, read_yaml

FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# Where kustomize takes a file by its address.
_OBJECTS = ("resources", "bases")
_FOLDERS = (*_OBJECTS, "components", "generators", "transformers", "validators")
_LISTS = (*_FOLDERS, "crds", "configurations", "patchesStrategicMerge")
# Lists of maps that may have a `path`.
_PATHS = ("patches", "patchesJson6902", "replacements")
# What kustomize fetches by HTTP or clones with git: a URL, user@host, or GitHub without https://.
_HOST = r"(?!file:)[a-z][a-z0-9+.-]*://|[\w.-]+@[\w.-]+[:/]|github\.com[:/]"
_ADDRESS = re.compile(rf"(git::)?({_HOST})\S+", re.IGNORECASE)


@dataclass(frozen=True)
class Kustomization:
    """One kustomization file."""

    # With no symbolic link in it.
    file: Path
    text: str
    content: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """Its folder, below which all files lie that kustomize lets it read."""
        return self.file.parent

    @property
    def addresses(self) -> list[str]:
        """What it names by address."""
        names = [*_texts(self.content, _LISTS), *_paths(self.content)]
        return [name for name in names if _ADDRESS.fullmatch(name)]

    @property
    def folders(self) -> list[Path]:
        """The folders on this disk that it names."""
        paths = [(self.folder / name).resolve() for name in _texts(self.content, _FOLDERS)]
        return [path for path in paths if path.is_dir()]


def find(folder: Path) -> Path | None:
    """Return a folder's kustomization file."""
    return next((folder / name for name in FILES if (folder / name).is_file()), None)


def tree(folder: Path) -> list[Kustomization]:
    """Return the kustomization of a folder, and of every folder that it leads to.

    Files that can't be read are left out: kustomize refuses them in its own words.
    """
    kustomizations: dict[Path, Kustomization] = {}
    waiting = [folder.resolve()]
    while waiting:
        file = find(waiting.pop())
        if file is None or file in kustomizations:
            continue
        kustomization = _read(file)
        if kustomization:
            kustomizations[file] = kustomization
            waiting += kustomization.folders
    return list(kustomizations.values())


def addresses(kustomizations: Iterable[Kustomization]) -> list[str]:
    """Return what they name by address, each once."""
    return list(dict.fromkeys(a for k in kustomizations for a in k.addresses))


def top(kustomizations: Iterable[Kustomization]) -> Path:
    """Return the innermost folder that has all of them in it."""
    return Path(commonpath([k.folder for k in kustomizations]))


def copy(kustomizations: Sequence[Kustomization], files: Mapping[str, Path], target: Path) -> Path:
    """Copy a tree to `target` with files in the place of addresses.

    `files`: address → file. Returns the first folder's copy. Raises OSError where the tree can't be
    read, or the copy not written.
    """
    common = top(kustomizations)
    for folder in _outermost(k.folder for k in kustomizations):
        shutil.copytree(
            folder,
            target / folder.relative_to(common),
            symlinks=True,
            ignore=shutil.ignore_patterns(".git"),
            copy_function=shutil.copyfile,
            dirs_exist_ok=True,
        )
    names = {address: f"devenv-{number}.yaml" for number, address in enumerate(files, 1)}
    for kustomization in kustomizations:
        replaced = set(kustomization.addresses) & set(files)
        if replaced:
            copied = target / kustomization.file.relative_to(common)
            # The original may be read-only.
            copied.parent.chmod(0o700)
            copied.write_text(_with_files(kustomization.text, names))
            for address in replaced:
                shutil.copyfile(files[address], copied.parent / names[address])
    return target / kustomizations[0].folder.relative_to(common)


def _outermost(folders: Iterable[Path]) -> list[Path]:
    """Return the folders that lie in none of the others."""
    outermost: list[Path] = []
    for folder in sorted(set(folders)):
        if not any(folder.is_relative_to(parent) for parent in outermost):
            outermost.append(folder)
    return outermost


def _with_files(text: str, names: Mapping[str, str]) -> str:
    """Return a kustomization's text with file names in the place of addresses, else unchanged."""
    items = [item for item in _scalars(text) if item.value in names]
    for item in sorted(items, key=lambda item: -item.start_mark.index):
        text = text[: item.start_mark.index] + names[item.value] + text[item.end_mark.index :]
    return text


def _scalars(text: str) -> Iterator[yaml.ScalarNode]:
    """Yield the entries of a kustomization's lists of objects, with their places in the text."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    for key, value in pairs:
        if key.value in _OBJECTS and isinstance(value, yaml.SequenceNode):
            yield from (item for item in value.value if isinstance(item, yaml.ScalarNode))


def _read(file: Path) -> Kustomization | None:
    try:
        document, text = read_yaml(file), read_text(file, WRITTEN.size)
    except (DevenvError, FileNotFoundError):
        return None
    return (
        Kustomization(file, text, document.content) if isinstance(document.content, dict) else None
    )


def _texts(content: Mapping[str, Any], keys: Iterable[str]) -> Iterator[str]:
    for key in keys:
        items = content.get(key)
        if isinstance(items, list):
            yield from (item for item in items if isinstance(item, str))


def _paths(content: Mapping[str, Any]) -> Iterator[str]:
    for key in _PATHS:
        items = content.get(key)
        maps = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
        yield from (item["path"] for item in maps if isinstance(item.get("path"), str))
