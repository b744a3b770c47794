"""A kustomize folder as files: the addresses it names, and a copy with files in their place."""

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from os.path import commonpath
from pathlib import Path
from typing import Any

import yaml

from devenv.base.errors import DevenvError
from devenv.base.json_types import JsonMap
from devenv.base.text_files import read_text
from devenv.base.userfiles import read_yaml
from devenv.base.yaml_limits import WRITTEN

FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# The lists in which kustomize accepts a file by its address.
_OBJECTS = ("resources", "bases")
_FOLDERS = (*_OBJECTS, "components", "generators", "transformers", "validators")
_LISTS = (*_FOLDERS, "crds", "configurations", "patchesStrategicMerge")
# Lists of maps that may have a `path`.
_LISTS_OF_MAPS = ("patches", "patchesJson6902", "replacements")
# What kustomize fetches by HTTP, or clones with git: a URL, user@host, or GitHub without https://.
_HOST = r"(?!file:)[a-z][a-z0-9+.-]*://|[\w.-]+@[\w.-]+[:/]|github\.com[:/]"
_ADDRESS = re.compile(rf"(git::)?({_HOST})\S+", re.IGNORECASE)


@dataclass(frozen=True)
class Kustomization:
    """One kustomization file."""

    # Resolved: no part of it is a symbolic link.
    file: Path
    text: str
    content: JsonMap

    @property
    def folder(self) -> Path:
        """Its folder. kustomize lets it read only files below this folder."""
        return self.file.parent

    @property
    def addresses(self) -> list[str]:
        """The addresses that it names."""
        names = [*_texts(self.content, _LISTS), *_paths(self.content)]
        return [name for name in names if _ADDRESS.fullmatch(name)]

    @property
    def folders(self) -> list[Path]:
        """The folders on the host that it names."""
        folders = []
        for name in _texts(self.content, _FOLDERS):
            path = (self.folder / name).resolve()
            if path.is_dir():
                folders.append(path)
        return folders


def find(folder: Path) -> Path | None:
    """Return a folder's kustomization file."""
    for name in FILES:
        if (folder / name).is_file():
            return folder / name
    return None


def tree(folder: Path) -> list[Kustomization]:
    """Return the kustomization of a folder, and of every folder that it leads to.

    Files that can't be read are left out: kustomize refuses them in its own words.
    """
    kustomizations: dict[Path, Kustomization] = {}
    unread_folders = [folder.resolve()]
    while unread_folders:
        file = find(unread_folders.pop())
        if file is None or file in kustomizations:
            continue
        kustomization = _read(file)
        if kustomization:
            kustomizations[file] = kustomization
            unread_folders += kustomization.folders
    return list(kustomizations.values())


def addresses(kustomizations: Iterable[Kustomization]) -> list[str]:
    """Return the addresses that they name, each once."""
    all_addresses = chain.from_iterable(k.addresses for k in kustomizations)
    return list(dict.fromkeys(all_addresses))


def top(kustomizations: Iterable[Kustomization]) -> Path:
    """Return the innermost folder that contains all of them."""
    return Path(commonpath(_folders_of(kustomizations)))


def _folders_of(kustomizations: Iterable[Kustomization]) -> list[Path]:
    return [kustomization.folder for kustomization in kustomizations]


def copy(kustomizations: Sequence[Kustomization], files: Mapping[str, Path], target: Path) -> Path:
    """Copy a tree to `target`, with files in the place of addresses.

    `files`: address → file. Returns the copy of the first folder. Raises OSError if the tree can't
    be read or the copy can't be written.
    """
    common = top(kustomizations)
    for folder in _outermost(_folders_of(kustomizations)):
        _copy_folder(folder, target / folder.relative_to(common))
    names = {address: f"devenv-{number}.yaml" for number, address in enumerate(files, 1)}
    for kustomization in kustomizations:
        replaced_addresses = set(kustomization.addresses) & set(files)
        if replaced_addresses:
            copied_file = target / kustomization.file.relative_to(common)
            copied_folder = copied_file.parent
            # The original folder may be read-only.
            copied_folder.chmod(0o700)
            text = _with_files(kustomization.text, names)
            copied_file.write_text(text)
            for address in replaced_addresses:
                shutil.copyfile(files[address], copied_folder / names[address])
    first_folder = kustomizations[0].folder
    return target / first_folder.relative_to(common)


def _copy_folder(folder: Path, target: Path) -> None:
    """Copy a folder without its git repository, and its files without their permissions."""
    shutil.copytree(
        folder,
        target,
        symlinks=True,
        ignore=shutil.ignore_patterns(".git"),
        copy_function=shutil.copyfile,
        dirs_exist_ok=True,
    )


def _outermost(folders: Iterable[Path]) -> list[Path]:
    """Return the folders that are not inside another one."""
    outermost: list[Path] = []
    for folder in sorted(set(folders)):
        if not any(folder.is_relative_to(parent) for parent in outermost):
            outermost.append(folder)
    return outermost


def _with_files(text: str, names: Mapping[str, str]) -> str:
    """Return a kustomization's text with file names in the place of addresses, else unchanged."""
    entries = [entry for entry in _object_entries(text) if entry.value in names]
    # From the last one to the first, so that the places of those before stay right.
    for entry in sorted(entries, key=lambda entry: -entry.start_mark.index):
        begin, end = entry.start_mark.index, entry.end_mark.index
        name = names[entry.value]
        text = f"{text[:begin]}{name}{text[end:]}"
    return text


def _object_entries(text: str) -> Iterator[yaml.ScalarNode]:
    """Yield the entries of a kustomization's lists of objects, with their places in the text."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        return
    for key, value in root.value:
        if key.value in _OBJECTS and isinstance(value, yaml.SequenceNode):
            yield from filter(_is_scalar, value.value)


def _is_scalar(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode)


def _read(file: Path) -> Kustomization | None:
    """Return a kustomization, None if it can't be read: then kustomize says why."""
    try:
        document, text = read_yaml(file), read_text(file, WRITTEN.size)
    except (DevenvError, FileNotFoundError):
        return None
    if not isinstance(document.content, dict):
        return None
    return Kustomization(file, text, document.content)


def _texts(content: JsonMap, keys: Iterable[str]) -> Iterator[str]:
    """Yield the strings in the lists of these keys. Anything else kustomize refuses itself."""
    for item in _list_items(content, keys):
        if isinstance(item, str):
            yield item


def _paths(content: JsonMap) -> Iterator[str]:
    """Yield the paths of patches and replacements."""
    for item in _list_items(content, _LISTS_OF_MAPS):
        if isinstance(item, dict) and isinstance(item.get("path"), str):
            yield item["path"]


def _list_items(content: JsonMap, keys: Iterable[str]) -> Iterator[Any]:
    for key in keys:
        items = content.get(key)
        if isinstance(items, list):
            yield from items
