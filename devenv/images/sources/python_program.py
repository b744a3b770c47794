"""Packs a checkout's Python program and its packages on a base with Python 3.11."""

import io
import json
import tarfile
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from devenv.base.atomic import work_folder
from devenv.base.digests import sha256_of
from devenv.base.errors import DevenvError, Exit
from devenv.images.recipes import wheels
from devenv.ports.host import Host
from devenv.profiles.model import PythonProgram

# Folders of the build context.
_APP, _PACKAGES, _PROGRAMS = "app", "packages", "programs"
_FIX = "Check that this is the right checkout."
_NOT_SOURCE = {"__pycache__", ".git"}
# What pip puts into these folders would run the host's Python.
_NOT_PACKAGES = {"bin", "__pycache__"}


@dataclass(frozen=True)
class Source:
    """A program's source in a checkout. `requirements`, `constraints`: lines as in pip's files."""

    folder: Path
    files: tuple[Path, ...]
    requirements: tuple[str, ...]
    constraints: tuple[str, ...]


def read(checkout: Path, program: PythonProgram) -> Source:
    """Return the program's source. Raises DevenvError with everything that is missing."""
    folder = checkout / program.folder
    files: list[Path] = []
    missing_paths: list[Path] = []
    for pattern in program.files:
        matching_files = _matching_files(folder, pattern)
        files += matching_files
        if not matching_files:
            missing_paths.append(folder / pattern)
    missing_paths += _missing_lists(folder, program)
    if missing_paths:
        raise _incomplete(folder, missing_paths)
    return Source(
        folder=folder,
        files=tuple(dict.fromkeys(files)),
        requirements=(*_requirements(folder, program), *program.packages),
        constraints=_constraints(folder, program),
    )


def _matching_files(folder: Path, pattern: str) -> list[Path]:
    """Return the files that a pattern of the profile matches, sorted."""
    return [path for path in sorted(folder.glob(pattern)) if _is_source(path, folder)]


def _is_source(path: Path, folder: Path) -> bool:
    if not path.is_file():
        return False
    parts = path.relative_to(folder).parts
    return not _NOT_SOURCE.intersection(parts)


def _missing_lists(folder: Path, program: PythonProgram) -> list[Path]:
    """Return the files that should list packages, but are missing."""
    names = filter(None, (program.requirements, program.lock))
    return [folder / name for name in names if not (folder / name).is_file()]


def _incomplete(folder: Path, missing_paths: Sequence[Path]) -> DevenvError:
    reason = "\n".join(f"{path} is missing" for path in missing_paths)
    return DevenvError(f"{folder} is incomplete.", reason, _FIX, Exit.USAGE)


def _requirements(folder: Path, program: PythonProgram) -> list[str]:
    """Return the packages that the program's requirements file names."""
    if not program.requirements:
        return []
    text = (folder / program.requirements).read_text()
    lines = map(str.strip, text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _constraints(folder: Path, program: PythonProgram) -> tuple[str, ...]:
    """Return the versions in the program's lock file as constraints."""
    if not program.lock:
        return ()
    return tuple(_locked_versions(folder / program.lock))


def _locked_versions(lock: Path) -> Iterator[str]:
    """Yield the versions in a poetry.lock as constraints. Raises DevenvError if it can't be read.

    A package that has several versions, for several Pythons, is left to pip.
    """
    versions: dict[str, set[str]] = {}
    try:
        content = tomllib.loads(lock.read_text())
        for package in content["package"]:
            versions.setdefault(package["name"], set()).add(package["version"])
    except (tomllib.TOMLDecodeError, LookupError, TypeError) as error:
        what = f"{lock} is not a readable poetry.lock."
        raise DevenvError(what, str(error), _FIX, Exit.USAGE) from error
    for name, package_versions in versions.items():
        if len(package_versions) == 1:
            yield f"{name}=={package_versions.pop()}"


def packages(host: Host, source: Source, architecture: str) -> Path:
    """Return a folder with the program's packages. The cache key is all that pip is asked for."""
    inputs = [source.requirements, source.constraints, architecture]
    text = json.dumps(inputs)
    key = sha256_of(text)[:16]
    cache_folder = host.cache_dir() / "python" / key
    if cache_folder.exists():
        return cache_folder
    logs = host.cache_dir() / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with work_folder(cache_folder.parent) as work:
        target = work / _PACKAGES
        wheels.install(
            host=host,
            requirements=source.requirements,
            constraints=source.constraints,
            target=target,
            architecture=architecture,
            log=logs / "python-packages.log",
        )
        target.rename(cache_folder)
    return cache_folder


def write_context(target: Path, program: PythonProgram, source: Source, folder: Path) -> None:
    """Write the build context: Dockerfile, the program's files, and the `folder` of packages."""
    with tarfile.open(target, "w") as tar:
        dockerfile = _dockerfile(program)
        _add_text(tar, "Dockerfile", dockerfile)
        _add_files(tar, _APP, source.folder, source.files)
        package_files = _package_files(folder)
        _add_files(tar, _PACKAGES, folder, package_files)
        for name, function in program.programs.items():
            script = _script(function)
            _add_text(tar, f"{_PROGRAMS}/{name}", script, mode=0o755)


def _add_files(tar: tarfile.TarFile, prefix: str, root: Path, files: Iterable[Path]) -> None:
    """Add files as PREFIX/PATH, where PATH is the path below `root`."""
    for file in files:
        path = file.relative_to(root)
        tar.add(file, f"{prefix}/{path}", filter=_timeless)


def _package_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        top_folder = path.relative_to(folder).parts[0]
        if path.is_file() and top_folder not in _NOT_PACKAGES:
            yield path


def _add_text(tar: tarfile.TarFile, name: str, text: str, mode: int = 0o644) -> None:
    content = text.encode()
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = mode
    tar.addfile(member, io.BytesIO(content))


def _timeless(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Drop times and owners, so that equal files make equal images; let everyone read them."""
    member.mtime = member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode |= 0o444
    return member


def _script(function: str) -> str:
    """Return the text of a program that calls MODULE:FUNCTION."""
    module, _, name = function.partition(":")
    lines = (
        "#!/usr/bin/env python3",
        "import sys",
        f"from {module} import {name}",
        f"sys.exit({name}())",
    )
    return wheels.joined_lines(lines)


def _dockerfile(program: PythonProgram) -> str:
    """Return a Dockerfile that adds packages, programs and files to the base."""
    lines = [
        "ARG BASE",
        "FROM ${BASE}",
        "ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/app:/opt/python",
        "WORKDIR /app",
        f"COPY {_PACKAGES} /opt/python",
    ]
    if program.programs:
        lines.append(f"COPY {_PROGRAMS} /usr/local/bin/")
    lines.append(f"COPY {_APP} /app")
    if program.entrypoint:
        entrypoint = json.dumps(program.entrypoint)
        lines.append(f"ENTRYPOINT {entrypoint}")
    if program.command:
        command = json.dumps(program.command)
        lines.append(f"CMD {command}")
    return wheels.joined_lines(lines)
