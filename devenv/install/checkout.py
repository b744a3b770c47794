"""A user's own checkout: whether it is complete, and its kustomize folders as manifests."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devenv.base.atomic import work_folder
from devenv.base.digests import sha256_of
from devenv.base.errors import DevenvError, Exit
from devenv.base.steps import step
from devenv.install import kustomization
from devenv.install.kustomization import Kustomization
from devenv.ports.host import Host
from devenv.ports.reporter import Reporter
from devenv.profiles.model import Profile

# Seconds. A kustomization may fetch others from the network.
_RENDER_TIMEOUT = 300.0
# The last lines of a failed program's output that an error shows.
_SHOWN_LINES = 8
_GO_MODULE = re.compile(r"^module\s+(\S+)", re.MULTILINE)
# How kustomize, or the git that it runs, says that it could not fetch what an address names.
_FETCH_FAILURES = (
    r"Get \"[^\"]*\": ([^']+)",
    r"(status code \d+[^']*)",
    r"fatal: (.+)",
    r"(no 'git' program on path)",
)
# Without it, git would wait for a password for ever.
_NEVER_ASK = {"GIT_TERMINAL_PROMPT": "0"}

# Address → a function that returns the file to use in its place.
Replacements = Mapping[str, Callable[[], Path]]
_NO_REPLACEMENTS: Replacements = {}


def problems(folder: str, profile: Profile) -> list[str]:
    """Return why a folder can't be the checkout that the profile is built from, all reasons."""
    root = Path(folder)
    if not root.is_dir():
        return [f"{folder} is not a folder"]
    wrong_checkout = f"{folder} is not a checkout of {profile.module}"
    module = _module_name(root / "go.mod")
    if not module:
        return [f"{wrong_checkout}: it has no go.mod that names a module"]
    if module != profile.module:
        return [f"{wrong_checkout}: its go.mod says {module}"]
    return _missing_packages(root, profile)


def _missing_packages(root: Path, profile: Profile) -> list[str]:
    """Return a line for each Go package that the profile builds and the checkout lacks."""
    lines = []
    for image in profile.images:
        if not image.go or not image.build_in:
            continue
        package = root / image.go.package
        if not package.is_dir():
            lines.append(f"{package} is missing: the checkout is incomplete")
    return lines


def _module_name(go_mod: Path) -> str:
    """Return the Go module that a go.mod file names, "" if it names none or can't be read."""
    try:
        text = go_mod.read_text(errors="replace")
    except OSError:
        return ""
    match = _GO_MODULE.search(text)
    return match[1] if match else ""


@dataclass(frozen=True)
class Kustomize:
    """Renders folders, with `kustomize` or `kubectl kustomize`, whichever is installed."""

    host: Host
    reporter: Reporter

    def path(self, folder: str, replacements: Replacements = _NO_REPLACEMENTS) -> Path:
        """Where a folder's manifests are, or will be."""
        parts = "\n".join([folder, *sorted(replacements)])
        digest = sha256_of(parts)
        name = digest[:16]
        return self.host.cache_dir() / "kustomize" / f"{name}.yaml"

    def replaced(self, folder: str, replacements: Replacements) -> list[str]:
        """Return the addresses that a folder names and that have a replacement."""
        addresses = kustomization.addresses(kustomization.tree(Path(folder)))
        return [address for address in addresses if address in replacements]

    def render(self, folder: str, replacements: Replacements = _NO_REPLACEMENTS) -> Path:
        """Render a folder, again if it was rendered before: its bases may have changed.

        If it names an address that has a replacement, a copy of the folder is rendered: nothing is
        written into the folder itself. Raises DevenvError: with Exit.PREREQUISITE if it names an
        address that can't be reached, else with kustomize's own words.
        """
        if kustomization.find(Path(folder)) is None:
            what = f"{folder} is not a kustomize folder: it has no {kustomization.FILES[0]}."
            raise DevenvError(what, exit_code=Exit.USAGE)
        target = self.path(folder, replacements)
        replaced_addresses = self.replaced(folder, replacements)
        files = {address: replacements[address]() for address in replaced_addresses}
        short_path = "/".join(Path(folder).parts[-2:])
        name = f"render {short_path}"
        with step(self.reporter, name) as note, work_folder(target.parent) as work:
            self._build(folder, files, work.resolve())
            (work / "new").replace(target)
            note += [f"{address} replaced by devenv's own file" for address in files]
        return target

    def _build(self, folder: str, files: Mapping[str, Path], work: Path) -> None:
        """Write a folder's manifests to `new` in the work folder."""
        program = self._program()
        tree = kustomization.tree(Path(folder))
        addresses = kustomization.addresses(tree)
        remote_addresses = [address for address in addresses if address not in files]
        copied_tree = work / "copy"
        source = folder
        if files:
            source = str(_copy(tree, files, copied_tree))
        target = work / "new"
        argv = [*program, source, "--output", str(target)]
        try:
            completed = self.host.run(argv, env=_NEVER_ASK, timeout=_RENDER_TIMEOUT)
        except DevenvError as error:
            # It did not end in time.
            if remote_addresses and error.exit_code is Exit.FAILED:
                raise _unreachable_error(folder, remote_addresses, error.what) from error
            raise
        if completed.failed:
            output = completed.output
            if files:
                original_tree = kustomization.top(tree)
                output = output.replace(str(copied_tree), str(original_tree))
            raise _render_error(folder, remote_addresses, output)

    def _program(self) -> Sequence[str]:
        """Return the command that renders. Raises DevenvError if neither program is installed."""
        if program := self.host.which("kustomize"):
            return [str(program), "build"]
        if program := self.host.which("kubectl"):
            return [str(program), "kustomize"]
        what = "Rendering the checkout needs kustomize or kubectl; neither is installed."
        fix = "Install either of them, or render it elsewhere and pass the file: --manifests FILE."
        raise DevenvError(what, "", fix, Exit.PREREQUISITE)


def _copy(tree: Sequence[Kustomization], files: Mapping[str, Path], target: Path) -> Path:
    try:
        return kustomization.copy(tree, files, target)
    except OSError as error:
        what = f"{tree[0].folder} can't be copied, which rendering it needs."
        raise DevenvError(what, str(error), "Is a file unreadable, or the disk full?") from error


def _render_error(folder: str, remote_addresses: Sequence[str], output: str) -> DevenvError:
    """Return the error for what kustomize said, which had to fetch these addresses."""
    reason = _fetch_failure(output)
    # Those that kustomize names come first.
    addresses = sorted(remote_addresses, key=lambda address: address not in output)
    if reason is not None and addresses and addresses[0] in output:
        return _unreachable_error(folder, addresses, reason)
    lines = output.strip().splitlines()
    excerpt = "\n".join(lines[-_SHOWN_LINES:])
    return DevenvError(f"{folder} can't be rendered.", excerpt, "Nothing was changed.", Exit.USAGE)


def _fetch_failure(output: str) -> str | None:
    """Return why kustomize could not fetch an address, None if something else failed."""
    # kubectl puts what kustomize says in quotes, unless it has several lines.
    unquoted = output.replace('\\"', '"')
    for pattern in _FETCH_FAILURES:
        if match := re.search(pattern, unquoted):
            return match[1].strip()
    return None


def _unreachable_error(folder: str, addresses: Sequence[str], reason: str) -> DevenvError:
    """Return the error for a folder that names these addresses; the first can't be reached."""
    what = f"{folder} can't be rendered: {addresses[0]} can't be reached."
    other_lines = [f"It also names {address}." for address in addresses[1:]]
    lines = [reason, *other_lines]
    return DevenvError(what, "\n".join(lines), exit_code=Exit.PREREQUISITE)
