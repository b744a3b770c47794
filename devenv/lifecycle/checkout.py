"""Somebody's own source: whether it is what it should be, and its kustomize folders as manifests."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devenv.errors import DevenvError, Exit
from devenv.folders import work_folder
from devenv.lifecycle.steps import step
from devenv.ports import Host, Reporter
from devenv.profiles.model import Profile

_LONGEST = 300.0  # seconds: a kustomization may fetch others from the network
_SHOWN = 8  # last lines of what failed
_MODULE = re.compile(r"^module\s+(\S+)", re.MULTILINE)
_FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")


def problems(folder: str, profile: Profile) -> list[str]:
    """Return all that keeps a folder from being the source that the profile is built from."""
    root = Path(folder)
    if not root.is_dir():
        return [f"{folder} is no folder"]
    found = _MODULE.search(_text(root / "go.mod"))
    if not found:
        return [f"{folder} is no checkout of {profile.module}: it has no go.mod that names a module"]
    if found[1] != profile.module:
        return [f"{folder} is no checkout of {profile.module}: its go.mod says {found[1]}"]
    programs = [i.go.package for i in profile.images if i.go and i.build_in]
    return [f"{root / package} is missing: the checkout is not whole" for package in programs if not (root / package).is_dir()]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


@dataclass(frozen=True)
class Kustomize:
    """Renders folders, with `kustomize` or `kubectl kustomize`, whichever is there."""

    host: Host
    reporter: Reporter

    def path(self, folder: str) -> Path:
        """Where a folder's manifests are, or will be."""
        return self.host.cache_dir() / "kustomize" / f"{hashlib.sha256(folder.encode()).hexdigest()[:16]}.yaml"

    def render(self, folder: str) -> Path:
        """Render a folder anew: what it stands on may have changed. Raises DevenvError with kustomize's own words."""
        if not any((Path(folder) / name).is_file() for name in _FILES):
            raise DevenvError(f"{folder} is no kustomize folder: it has no {_FILES[0]}.", exit_code=Exit.USAGE)
        target = self.path(folder)
        with step(self.reporter, f"render {'/'.join(Path(folder).parts[-2:])}"), work_folder(target.parent) as work:
            new = work / "new"
            done = self.host.run([*self._program(), folder, "--output", str(new)], timeout=_LONGEST)
            if done.code != 0:
                why = "\n".join(done.output.strip().splitlines()[-_SHOWN:])
                raise DevenvError(f"{folder} can't be rendered.", why, "Nothing was changed.", Exit.USAGE)
            new.replace(target)
        return target

    def _program(self) -> Sequence[str]:
        if found := self.host.which("kustomize"):
            return [str(found), "build"]
        if found := self.host.which("kubectl"):
            return [str(found), "kustomize"]
        fix = "Install either; or render it elsewhere and name the file: --manifests FILE."
        raise DevenvError("There is neither kustomize nor kubectl to render the checkout with.", "", fix, Exit.PREREQUISITE)
