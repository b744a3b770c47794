"""Marks images with the state of the source code that they were built from.

The state is a folder, a commit, and a digest of what is not committed.

Every checkout gives its images the same names, such as aibrix/gateway-plugins:nightly. A name
alone says nothing about the code. So devenv gives an image that it builds from a checkout a name
that no other checkout has, and labels.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from devenv.base.digests import sha256_of
from devenv.images.recipes.recipe import REGISTRY
from devenv.ports.engine import Labels
from devenv.ports.host import Host
from devenv.ports.processes import Completed
from devenv.profiles.model import ProfileImage

FOLDER, COMMIT, CHANGES = "devenv.built-from", "devenv.commit", "devenv.changes"
# Seconds for git.
_TIMEOUT = 30.0
# Characters of a commit and of a digest that are shown.
_SHORT_COMMIT = 10
_SHORT_DIGEST = 8
# Outside git, what is in these folders does not count as source code.
_IGNORED_FOLDERS = {".git", "node_modules", "__pycache__", ".venv", "bin"}
_PUSHED_NAME = re.compile(r"127\.0\.0\.1:\d+/devenv/reload[:@]")
# Bytes of a file that counts as source.
_LARGEST = 4 << 20


@dataclass(frozen=True)
class Stamp:
    """The state of a source folder.

    `commit` is "" outside git. `changes` is a digest of what is not committed, "" if all is
    committed.
    """

    folder: str
    commit: str = ""
    changes: str = ""

    @property
    def labels(self) -> Labels:
        """The labels of an image that was built from this state."""
        return {FOLDER: self.folder, COMMIT: self.commit, CHANGES: self.changes}

    @property
    def state(self) -> str:
        """The commit and the changes for people, as in: abc1234567 with changes 12ab34cd."""
        parts = [self.commit[:_SHORT_COMMIT]]
        if self.changes:
            parts.append(f"changes {self.changes[:_SHORT_DIGEST]}")
        return " with ".join(filter(None, parts))


def of_labels(labels: Labels) -> Stamp | None:
    """Return the stamp in an image's labels, None if they have none."""
    folder = labels.get(FOLDER, "")
    if not folder:
        return None
    return Stamp(folder, labels.get(COMMIT, ""), labels.get(CHANGES, ""))


def read(host: Host, folder: str) -> Stamp:
    """Return the current state of a folder."""
    if host.which("git") is None:
        return _read_without_git(folder)
    commit = _git(host, folder, "rev-parse", "HEAD")
    # A folder inside another repository has no commit of its own.
    prefix = _git(host, folder, "rev-parse", "--show-prefix")
    if commit.failed or prefix.failed or prefix.output.strip():
        return _read_without_git(folder)
    changes = ""
    if names := _changed_files(host, folder):
        paths = [Path(folder) / name for name in names]
        changes = _digest(folder, paths)
    return Stamp(folder, commit.output.strip(), changes)


def _read_without_git(folder: str) -> Stamp:
    """Return the state of a folder of which all files count as changes."""
    files = _source_files(Path(folder))
    return Stamp(folder, "", _digest(folder, files))


def _changed_files(host: Host, folder: str) -> list[str]:
    """Return the names of all files that are changed, deleted or new since the commit."""
    changed = _git(host, folder, "diff", "--name-only", "-z", "HEAD")
    untracked = _git(host, folder, "ls-files", "--others", "--exclude-standard", "-z")
    output = changed.output + untracked.output
    names = {name.strip("\n") for name in output.split("\0")}
    return sorted(names - {""})


def _git(host: Host, folder: str, *arguments: str) -> Completed:
    """Run git in the folder, with names as they are instead of quoted."""
    argv = ["git", "-C", folder, "-c", "core.quotePath=false", *arguments]
    return host.run(argv, timeout=_TIMEOUT)


def own_ref(image: ProfileImage) -> str:
    """Return the engine's name for an image that devenv builds from a checkout.

    Returns "" for any other image.
    """
    if not (image.from_checkout and image.build_in):
        return ""
    checkout = sha256_of(image.build_in)[:12]
    return f"{REGISTRY}/checkout-{checkout}/{image.name}:latest"


def is_of_a_push(name: str) -> bool:
    """Whether `reload-image` gave the name or digest for its push, so that no registry has it."""
    return bool(_PUSHED_NAME.match(name))


def _source_files(root: Path) -> Iterator[Path]:
    """Yield the files that count as source code outside git."""
    for path in sorted(root.rglob("*")):
        if not path.is_file():
            continue
        parts = path.relative_to(root).parts
        if _IGNORED_FOLDERS.intersection(parts):
            continue
        if path.stat().st_size <= _LARGEST:
            yield path


def _digest(folder: str, paths: Iterable[Path]) -> str:
    """Return a digest of these files' names and contents. A deleted file counts as deleted."""
    total = hashlib.sha256()
    for path in paths:
        name = path.relative_to(folder)
        total.update(f"{name}\0".encode())
        try:
            total.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError:
            total.update(b"gone")
    return total.hexdigest()[:32]
