"""What must be so before `up` changes anything: all problems in one list."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devenv.errors import DevenvError, Exit
from devenv.ports import Engine, Host, Kind
from devenv.profiles.model import Profile
from devenv.profiles.quantities import show

_DISK = 4 << 30  # bytes: a node with its images takes about 2 GiB; the rest is for what one does with it
_INODES = 50_000


@dataclass(frozen=True)
class Preflight:
    """Looks, and changes nothing."""

    host: Host
    engine: Engine
    kind: Kind
    profile: Profile

    def check(self, *, exists: bool) -> None:
        """Raise DevenvError with every problem. `exists`: the cluster is there already, with its port and its disk."""
        looks: list[Callable[[], str]] = [self._docker_program]
        if not exists:
            looks += [self._port, self._disk]
        problems = [problem for look in looks if (problem := look())]
        if problems:
            raise DevenvError("devenv can't start here.", "\n".join(f"- {p}" for p in problems), exit_code=Exit.PREREQUISITE)

    def _docker_program(self) -> str:
        if self.host.which("docker"):
            return ""
        return "The docker program, which kind uses, is missing. Run `devenv setup`."

    def _port(self) -> str:
        port = self.profile.gateway.host_port
        owner = self.host.port_owner(port)
        if owner is None:
            return ""
        return f"Port {port} is taken by {owner}. Stop it, or give the profile another gateway.host_port."

    def _disk(self) -> str:
        engine = self.engine.info()
        if not engine.local:  # it runs elsewhere, or in a VM
            return ""
        root = engine.data_root
        space = self.host.space(root)
        if space.free < _DISK:
            return self._full(root, f"{show(space.free)} free; {show(_DISK)} are needed")
        if space.total_inodes > 0 and space.free_inodes < _INODES:
            return self._full(root, f"{space.free_inodes} inodes free; {_INODES} are needed")
        return ""

    def _full(self, root: Path, how: str) -> str:
        return f"The engine's disk ({root}) has {how}. `docker system df` shows what takes it."
