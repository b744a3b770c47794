"""Makes an image from a checkout's Python program: files and packages on a base with Python 3.11."""

import hashlib
import io
import json
import tarfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devenv.errors import DevenvError, Exit
from devenv.folders import work_folder
from devenv.images import wheels
from devenv.ports import Host
from devenv.profiles.model import PythonProgram

# Folders of the build context.
_APP, _PACKAGES, _PROGRAMS = "app", "packages", "programs"
_NOT_SOURCE = {"__pycache__", ".git"}


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
    patterns = {pattern: list(_matching(folder, pattern)) for pattern in program.files}
    empty = [pattern for pattern, files in patterns.items() if not files]
    problems = [f"{folder / pattern} is missing" for pattern in empty]
    listed_files = [folder / name for name in (program.requirements, program.lock) if name]
    problems += [f"{path} is missing" for path in listed_files if not path.is_file()]
    if problems:
        reason = "\n".join(problems)
        raise DevenvError(
            f"{folder} is incomplete.", reason, "Check that this is the right checkout.", Exit.USAGE
        )
    written = (folder / program.requirements).read_text() if program.requirements else ""
    lines = [line.strip() for line in written.splitlines()]
    requirements = [line for line in lines if line and not line.startswith("#")]
    return Source(
        folder=folder,
        files=tuple(dict.fromkeys(file for files in patterns.values() for file in files)),
        requirements=(*requirements, *program.packages),
        constraints=tuple(_locked(folder / program.lock)) if program.lock else (),
    )


def _matching(folder: Path, pattern: str) -> Iterator[Path]:
    for path in sorted(folder.glob(pattern)):
        if path.is_file() and not _NOT_SOURCE & set(path.relative_to(folder).parts):
            yield path


def _locked(lock: Path) -> Iterator[str]:
    """Yield the versions in a poetry.lock as constraints. Raises DevenvError if it can't be read.

    A package that it has in several versions, for several Pythons, is left to pip.
    """
    versions: dict[str, set[str]] = {}
    try:
        for package in tomllib.loads(lock.read_text())["package"]:
            versions.setdefault(package["name"], set()).add(package["version"])
    except (tomllib.TOMLDecodeError, LookupError, TypeError) as error:
        what = f"{lock} is not a readable poetry.lock."
        raise DevenvError(
            what, str(error), "Check that this is the right checkout.", Exit.USAGE
        ) from error
    for name, locked in versions.items():
        if len(locked) == 1:
            yield f"{name}=={locked.pop()}"


def packages(host: Host, source: Source, architecture: str) -> Path:
    """Return a folder with the program's packages, cached by what was asked for."""
    inputs = [source.requirements, source.constraints, architecture]
    key = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16]
    cache_folder = host.cache_dir() / "python" / key
    if not cache_folder.exists():
        logs = host.cache_dir() / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        with work_folder(cache_folder.parent) as work:
            target = work / _PACKAGES
            log = logs / "python-packages.log"
            wheels.install(host, source.requirements, source.constraints, target, architecture, log)
            target.rename(cache_folder)
    return cache_folder


def write_context(target: Path, program: PythonProgram, source: Source, folder: Path) -> None:
    """Write the build context: the Dockerfile, the program's files, its `folder` of packages."""
    with tarfile.open(target, "w") as tar:
        _add_text(tar, "Dockerfile", _dockerfile(program))
        for file in source.files:
            tar.add(file, f"{_APP}/{file.relative_to(source.folder)}", filter=_timeless)
        for file in _tree(folder):
            tar.add(file, f"{_PACKAGES}/{file.relative_to(folder)}", filter=_timeless)
        for name, function in program.programs.items():
            _add_text(tar, f"{_PROGRAMS}/{name}", _script(function), executable=True)


def _tree(folder: Path) -> Iterator[Path]:
    """Yield the packages' files; what pip puts into bin/ would run this machine's Python."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.relative_to(folder).parts[0] not in {"bin", "__pycache__"}:
            yield path


def _add_text(tar: tarfile.TarFile, name: str, text: str, *, executable: bool = False) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(text.encode())
    member.mode = 0o755 if executable else 0o644
    tar.addfile(member, io.BytesIO(text.encode()))


def _timeless(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Drop times and owners, so that the same files make the same image; let everyone read them."""
    member.mtime = member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode |= 0o444
    return member


def _script(function: str) -> str:
    """Return the text of a program that calls MODULE:FUNCTION."""
    module, _, name = function.partition(":")
    return f"#!/usr/bin/env python3\nimport sys\nfrom {module} import {name}\nsys.exit({name}())\n"


def _dockerfile(program: PythonProgram) -> str:
    lines = [
        "ARG BASE",
        "FROM ${BASE}",
        "ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/app:/opt/python",
        "WORKDIR /app",
        f"COPY {_PACKAGES} /opt/python",
        *([f"COPY {_PROGRAMS} /usr/local/bin/"] if program.programs else []),
        f"COPY {_APP} /app",
    ]
    runs = (("ENTRYPOINT", program.entrypoint), ("CMD", program.command))
    lines += [f"{word} {json.dumps(argv)}" for word, argv in runs if argv]
    return "\n".join([*lines, ""])
