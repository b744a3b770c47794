"""Somebody's own source: whether it is what it should be, and its kustomize folders as manifests."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devenv.errors import DevenvError, Exit
from devenv.folders import work_folder
from devenv.lifecycle import kustomization
from devenv.lifecycle.kustomization import Kustomization
from devenv.lifecycle.steps import step
from devenv.ports import Host, Reporter
from devenv.profiles.model import Profile

# Seconds: a kustomization may fetch others from the network.
_LONGEST = 300.0
# Last lines of what failed.
_SHOWN = 8
_MODULE = re.compile(r"^module\s+(\S+)", re.MULTILINE)
# How kustomize, or git for it, says that it could not get what an address names.
_UNREACHED = (
    r"Get \"[^\"]*\": ([^']+)",
    r"(status code \d+[^']*)",
    r"fatal: (.+)",
    r"(no 'git' program on path)",
)
# git would wait for a password for ever.
_NEVER_ASK = {"GIT_TERMINAL_PROMPT": "0"}

# Address → what gives a file to take in its place.
Replacements = Mapping[str, Callable[[], Path]]
_NOTHING: Replacements = {}


def problems(folder: str, profile: Profile) -> list[str]:
    """Return all that keeps a folder from being the source that the profile is built from."""
    root = Path(folder)
    if not root.is_dir():
        return [f"{folder} is no folder"]
    match = _MODULE.search(_text(root / "go.mod"))
    if not match:
        return [
            f"{folder} is no checkout of {profile.module}: it has no go.mod that names a module"
        ]
    if match[1] != profile.module:
        return [f"{folder} is no checkout of {profile.module}: its go.mod says {match[1]}"]
    programs = [i.go.package for i in profile.images if i.go and i.build_in]
    return [
        f"{root / package} is missing: the checkout is not whole"
        for package in programs
        if not (root / package).is_dir()
    ]


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

    def path(self, folder: str, replacements: Replacements = _NOTHING) -> Path:
        """Where a folder's manifests are, or will be."""
        parts = "\n".join([folder, *sorted(replacements)])
        name = hashlib.sha256(parts.encode()).hexdigest()[:16]
        return self.host.cache_dir() / "kustomize" / f"{name}.yaml"

    def replaced(self, folder: str, replacements: Replacements) -> list[str]:
        """Return the addresses that a folder names and a file is there for."""
        addresses = kustomization.addresses(kustomization.tree(Path(folder)))
        return [address for address in addresses if address in replacements]

    def render(self, folder: str, replacements: Replacements = _NOTHING) -> Path:
        """Render a folder anew: what it stands on may have changed.

        Where it names an address for which there is a replacement, a copy of it is rendered:
        nothing is written into the folder. Raises DevenvError, with Exit.PREREQUISITE where it
        names an address that can't be reached, else with kustomize's own words.
        """
        if kustomization.find(Path(folder)) is None:
            what = f"{folder} is no kustomize folder: it has no {kustomization.FILES[0]}."
            raise DevenvError(what, exit_code=Exit.USAGE)
        target = self.path(folder, replacements)
        files = {a: replacements[a]() for a in self.replaced(folder, replacements)}
        name = f"render {'/'.join(Path(folder).parts[-2:])}"
        with step(self.reporter, name) as note, work_folder(target.parent) as work:
            self._build(folder, files, work.resolve())
            (work / "new").replace(target)
            note += [f"{address} replaced by devenv's own" for address in files]
        return target

    def _build(self, folder: str, files: Mapping[str, Path], work: Path) -> None:
        """Write a folder's manifests to `new` in the work folder."""
        program, tree = self._program(), kustomization.tree(Path(folder))
        remote = [a for a in kustomization.addresses(tree) if a not in files]
        source = str(_copied(tree, files, work / "copy")) if files else folder
        argv = [*program, source, "--output", str(work / "new")]
        try:
            built = self.host.run(argv, env=_NEVER_ASK, timeout=_LONGEST)
        except DevenvError as error:
            # It did not end in time.
            if remote and error.exit_code is Exit.FAILED:
                raise _unreached(folder, remote, error.what) from error
            raise
        if built.code != 0:
            output = built.output
            if files:
                output = output.replace(str(work / "copy"), str(kustomization.top(tree)))
            raise _failure(folder, remote, output)

    def _program(self) -> Sequence[str]:
        if program := self.host.which("kustomize"):
            return [str(program), "build"]
        if program := self.host.which("kubectl"):
            return [str(program), "kustomize"]
        fix = "Install either; or render it elsewhere and name the file: --manifests FILE."
        raise DevenvError(
            "There is neither kustomize nor kubectl to render the checkout with.",
            "",
            fix,
            Exit.PREREQUISITE,
        )


def _copied(tree: Sequence[Kustomization], files: Mapping[str, Path], target: Path) -> Path:
    try:
        return kustomization.copy(tree, files, target)
    except OSError as error:
        what = f"{tree[0].folder} can't be copied to be rendered."
        raise DevenvError(what, str(error), "Is a file unreadable, or the disk full?") from error


def _failure(folder: str, remote: Sequence[str], output: str) -> DevenvError:
    """Return the error for what kustomize said. `remote`: the addresses that it had to fetch."""
    # kubectl puts what kustomize says in quotes, unless it has several lines.
    unquoted = output.replace('\\"', '"')
    reasons = [match[1] for form in _UNREACHED if (match := re.search(form, unquoted))]
    failed_addresses = [address for address in remote if address in output]
    if reasons and failed_addresses:
        other_addresses = [address for address in remote if address not in failed_addresses]
        return _unreached(folder, [*failed_addresses, *other_addresses], reasons[0].strip())
    excerpt = "\n".join(output.strip().splitlines()[-_SHOWN:])
    return DevenvError(f"{folder} can't be rendered.", excerpt, "Nothing was changed.", Exit.USAGE)


def _unreached(folder: str, addresses: Sequence[str], reason: str) -> DevenvError:
    """Return the error for a folder that names addresses, of which the first can't be reached."""
    what = f"{folder} can't be rendered: {addresses[0]} can't be reached."
    others = [f"It also names {address}." for address in addresses[1:]]
    return DevenvError(what, "\n".join([reason, *others]), exit_code=Exit.PREREQUISITE)
