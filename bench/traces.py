"""What a bench makes on this machine, marked in one place, so that nothing of it stays behind.

The marks are a label on what a bench makes in the engine, the name of its cluster, its folder, and
a variable in the environment of its processes. A thing has its mark from its first moment on: an
interrupt can't come between the making and a record of it.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import platformdirs
import psutil

from tests.cluster.lab import why_not

# Runs docker with these arguments and returns its output; raises CalledProcessError if it fails.
Docker = Callable[..., str]
Things = dict[str, frozenset[str]]

VARIABLE = "DEVENV_BENCH"
# Seconds.
_DOCKER, _END = 120, 10
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LISTS = {
    "container": ("ps", "--all", "--quiet"),
    "image": ("images", "--all", "--quiet"),
    "volume": ("volume", "ls", "--quiet"),
    "network": ("network", "ls", "--format", "{{.Name}}"),
}
# The network of all clusters: kind makes it with the first one, and never removes it.
_KIND = "kind"


def run_docker(*argv: str) -> str:
    """Run docker where no Ctrl-C of the terminal reaches it, and return its output.

    Raises CalledProcessError if it fails.
    """
    return subprocess.run(
        ["docker", *argv],
        capture_output=True,
        text=True,
        check=True,
        timeout=_DOCKER,
        start_new_session=True,
    ).stdout


@dataclass
class Traces:
    """The marks of one bench, and everything that carries them."""

    name: str
    folder: Path
    docker: Docker
    _volumes: set[str] = field(default_factory=set)

    @property
    def cluster(self) -> str:
        """The name of the cluster that the bench may make."""
        return f"devenv-bench-{self.name}"

    @property
    def label(self) -> str:
        """The argument that marks a container or an image, and what is committed or built of it."""
        return f"--label=devenv.bench={self.name}"

    @property
    def user_folders(self) -> dict[str, str]:
        """Variables that keep the user's kubeconfig, state and settings out of it."""
        return {
            "KUBECONFIG": str(self.folder / "kubeconfig"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
        }

    def everything(self) -> Things:
        """List all that the engine has, whoever made it."""
        return {kind: self._list(kind) for kind in _LISTS}

    def own(self) -> Things:
        """List what carries the bench's marks and is still there."""
        cluster = f"--label=io.x-k8s.kind.cluster={self.cluster}"
        containers = self._labelled("container", self.label) | self._labelled("container", cluster)
        mounts = "{{range .Mounts}}{{.Name}} {{end}}"
        for container in containers:
            self._volumes.update(self._try("inspect", "--format", mounts, container).split())
        return {
            "container": containers,
            "image": self._labelled("image", self.label),
            "volume": self._list("volume") & self._volumes,
            "file": self._cached_files(),
        }

    def remove(self) -> None:
        """Remove the bench's containers with their volumes, its files, then its images."""
        things = self.own()
        for file in things["file"]:
            Path(file).unlink(missing_ok=True)
        for container in things["container"]:
            self._try("rm", "--force", "--volumes", container)
        images = things["image"]
        # The engine refuses an image on which others stand, until they are gone.
        while images:
            for image in images:
                self._try("rmi", "--force", image)
            rest = self._labelled("image", self.label)
            if rest == images:
                return
            images = rest

    def remove_network(self, before: Things) -> None:
        """Remove kind's network if it was not there before; the engine refuses while it is used."""
        if _KIND not in before["network"]:
            self._try("network", "rm", _KIND)

    def end_processes(self) -> None:
        """End what the bench has started and what still runs, such as a watch or a push."""
        mark = str(self.folder)
        running = psutil.process_iter(["environ"])
        processes = [p for p in running if (p.info["environ"] or {}).get(VARIABLE) == mark]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, _END)

    def _cached_files(self) -> frozenset[str]:
        """What devenv has cached about the cluster: `devenv down` leaves it."""
        files = platformdirs.user_cache_path("devenv").glob(f"*/{self.cluster}.*")
        return frozenset(map(str, files))

    def _try(self, *argv: str) -> str:
        """Run docker on what may be gone, or may have to stay: what is there afterwards counts."""
        with contextlib.suppress(subprocess.CalledProcessError):
            return self.docker(*argv)
        return ""

    def _list(self, kind: str, *options: str) -> frozenset[str]:
        return frozenset(self.docker(*_LISTS[kind], *options).split())

    def _labelled(self, kind: str, label: str) -> frozenset[str]:
        return self._list(kind, f"--filter={label.removeprefix('--')}")


@contextlib.contextmanager
def made_by(name: str, docker: Docker = run_docker) -> Iterator[Traces]:
    """Give a bench its marks; at its end, however it ends, remove all that carries them.

    Exits with a message if something with these marks is there already, or is there afterwards.
    What else is new in the engine is listed, since only others should have made it.
    """
    prefix = f"devenv-bench-{name}-"
    with (
        _signals_raise(),
        _same_environment(),
        tempfile.TemporaryDirectory(prefix=prefix) as folder,
    ):
        own = Traces(name, Path(folder), docker)
        _refuse(own)
        # The builder that keeps its cache as images, which go with the image that is built of them.
        os.environ |= {VARIABLE: folder, "TMPDIR": folder, "DOCKER_BUILDKIT": "0"}
        before = own.everything()
        try:
            yield own
        finally:
            _ignore_signals()
            own.end_processes()
            own.remove()
            own.remove_network(before)
            _compare(own, before)


def need_images() -> None:
    """Exit if `devenv up` would have to build or pull something, which would stay."""
    if reason := why_not():
        sys.exit(reason)


def _refuse(own: Traces) -> None:
    """Exit if an earlier run was killed, or another one goes on."""
    things = own.own()
    # Says nothing of another run, and goes with this one.
    del things["file"]
    if any(things.values()):
        sys.exit(
            f"A bench {own.name} has left this, or another run of it goes on: {_words(things)}."
            " If none goes on, remove it with `docker rm -fv` and `docker rmi -f`."
        )


def _compare(own: Traces, before: Things) -> None:
    """Exit if something of the bench is left; tell what else is new."""
    left, after = own.own(), own.everything()
    if any(left.values()):
        sys.exit(f"The bench {own.name} has left behind: {_words(left)}.")
    new = {kind: things - before[kind] for kind, things in after.items()}
    if any(new.values()):
        print(f"New in the engine, without a mark of this bench: {_words(new)}.", file=sys.stderr)


def _words(things: Things) -> str:
    return ", ".join(f"{kind} {name}" for kind in things for name in sorted(things[kind]))


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """Let every signal that ends a program raise, as Ctrl-C does."""
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _leave)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _ignore_signals() -> None:
    """Let nothing stop the removal; `_signals_raise` puts the handlers back."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def _same_environment() -> Iterator[None]:
    """Put the environment back at the end."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before
