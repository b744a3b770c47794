"""From which sources an image was built: their folder, their commit, and a digest of what is not committed.

Every checkout calls its images alike (aibrix/gateway-plugins:nightly). So devenv gives what it builds from a checkout a name
that no other checkout has, and marks it: a name alone says nothing about the code.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from devenv.images.recipe import REGISTRY
from devenv.ports import Host
from devenv.profiles.model import ProfileImage

FOLDER, COMMIT, CHANGES = "devenv.built-from", "devenv.commit", "devenv.changes"
# Seconds for git.
_LONGEST = 30.0
# Characters of a commit.
_SHOWN = 10
# What is not source, where there is no git to say so.
_IGNORED = {".git", "node_modules", "__pycache__", ".venv", "bin"}
_FOR_A_PUSH = re.compile(r"127\.0\.0\.1:\d+/devenv/reload[:@]")
# Bytes of a file that counts as source.
_LARGEST = 4 << 20


@dataclass(frozen=True)
class Stamp:
    """The state of a source folder. `commit` is "" outside git, `changes` is "" where all is committed."""

    folder: str
    commit: str = ""
    changes: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """What marks an image."""
        return {FOLDER: self.folder, COMMIT: self.commit, CHANGES: self.changes}

    @property
    def state(self) -> str:
        """The commit and the changes, for a person: abc1234567, or abc1234567 with changes 12ab34cd."""
        changes = f"changes {self.changes[:8]}" if self.changes else ""
        return " with ".join(part for part in (self.commit[:_SHOWN], changes) if part)


def of_labels(labels: Mapping[str, str]) -> Stamp | None:
    """Return the stamp that marks an image; None where it has none."""
    folder = labels.get(FOLDER, "")
    return Stamp(folder, labels.get(COMMIT, ""), labels.get(CHANGES, "")) if folder else None


def read(host: Host, folder: str) -> Stamp:
    """Return the state of a folder as it is now."""
    git = ["git", "-C", folder, "-c", "core.quotePath=false"]
    if host.which("git") is None:
        return Stamp(folder, "", _digest(folder, _sources(Path(folder))))
    commit = host.run([*git, "rev-parse", "HEAD"], timeout=_LONGEST)
    # A folder below somebody else's repository is none of its own.
    top = host.run([*git, "rev-parse", "--show-prefix"], timeout=_LONGEST)
    if commit.code != 0 or top.code != 0 or top.output.strip():
        return Stamp(folder, "", _digest(folder, _sources(Path(folder))))
    changed = host.run([*git, "diff", "--name-only", "-z", "HEAD"], timeout=_LONGEST).output
    untracked = host.run(
        [*git, "ls-files", "--others", "--exclude-standard", "-z"], timeout=_LONGEST
    ).output
    names = sorted({n.strip("\n") for n in (changed + untracked).split("\0") if n.strip("\n")})
    changes = _digest(folder, (Path(folder) / name for name in names)) if names else ""
    return Stamp(folder, commit.output.strip(), changes)


def own_ref(image: ProfileImage) -> str:
    """Return the engine's name for what devenv builds of an image from a checkout; "" for any other image."""
    if not (image.from_checkout and image.build_in):
        return ""
    checkout = hashlib.sha256(image.build_in.encode()).hexdigest()[:12]
    return f"{REGISTRY}/checkout-{checkout}/{image.name}:latest"


def is_of_a_push(name: str) -> bool:
    """Whether a name or digest is only of a push of `reload-image`: no registry has it."""
    return bool(_FOR_A_PUSH.match(name))


def _sources(root: Path) -> Iterable[Path]:
    for path in sorted(root.rglob("*")):
        if (
            path.is_file()
            and not _IGNORED & set(path.relative_to(root).parts)
            and path.stat().st_size <= _LARGEST
        ):
            yield path


def _digest(folder: str, paths: Iterable[Path]) -> str:
    """Return a digest of these files' names and contents; one that is gone counts as that."""
    total = hashlib.sha256()
    for path in paths:
        total.update(f"{path.relative_to(folder)}\0".encode())
        try:
            total.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError:
            total.update(b"gone")
    return total.hexdigest()[:32]
