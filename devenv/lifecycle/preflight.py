"""What must be so before `up` changes anything: all problems in one list."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from devenv.disk.budget import marks
from devenv.errors import DevenvError, Exit
from devenv.ports import Engine, EngineInfo, Host
from devenv.profiles.model import Profile
from devenv.profiles.quantities import show

# The engine's version: older ones have not been tried.
_OLDEST = (20, 10)
_INODES = 50_000
# fs.inotify, a Linux kernel's own defaults: with less, kubelet and kube-proxy fail.
_INSTANCES, _WATCHES = (
    128,
    8192,
)


def taken_port(host: Host, profile: Profile) -> str:
    """Say who has the gateway's port on this machine, "" where it is free."""
    port = profile.gateway.host_port
    owner = host.port_owner(port)
    if owner is None:
        return ""
    fix = "Stop it, or take another port: `devenv profile init FILE --host-port N` writes such a profile."
    return f"Port {port} is taken by {owner}. {fix}"


@dataclass(frozen=True)
class Preflight:
    """Looks, and changes nothing."""

    host: Host
    engine: Engine
    profile: Profile

    def check(self, *, exists: bool) -> None:
        """Raise DevenvError with every problem. `exists`: the cluster is there already, with its port and its disk."""
        checks: list[Callable[[EngineInfo], str]] = [
            self._docker_program,
            self._version,
            self._inotify,
            self._cpus,
            self._memory,
        ]
        if not exists:
            checks += [self._port, self._disk]
        engine = self.engine.info()
        problems = [problem for check in checks if (problem := check(engine))]
        if problems:
            raise DevenvError(
                "devenv can't start here.",
                "\n".join(f"- {p}" for p in problems),
                exit_code=Exit.PREREQUISITE,
            )

    def _docker_program(self, _: EngineInfo) -> str:
        if self.host.which("docker"):
            return ""
        return "The docker program, which kind uses, is missing. Run `devenv setup`."

    def _version(self, engine: EngineInfo) -> str:
        version = tuple(map(int, re.findall(r"\d+", engine.version)[:2]))
        if not version or version >= _OLDEST:
            return ""
        return (
            f"The Docker engine is {engine.version}; at least {_OLDEST[0]}.{_OLDEST[1]} is needed."
        )

    def _inotify(self, engine: EngineInfo) -> str:
        limits = self.host.inotify() if engine.local else None
        if limits is None or (limits[0] >= _INSTANCES and limits[1] >= _WATCHES):
            return ""
        fix = "sudo sysctl fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288"
        return f"fs.inotify allows {limits[0]} instances and {limits[1]} watches, too few for a node. Raise them: {fix}"

    def _cpus(self, engine: EngineInfo) -> str:
        minimum = self.profile.needs.cpus
        return (
            ""
            if engine.cpus >= minimum
            else f"The engine has {engine.cpus} CPUs; the profile needs {minimum}."
        )

    def _memory(self, engine: EngineInfo) -> str:
        minimum = self.profile.needs.memory
        if engine.memory >= minimum:
            return ""
        return f"The engine has {show(engine.memory)} of memory; the profile needs {show(minimum)}."

    def _port(self, _: EngineInfo) -> str:
        return taken_port(self.host, self.profile)

    def _disk(self, engine: EngineInfo) -> str:
        # It runs elsewhere, or in a VM.
        if not engine.local:
            return ""
        space, minimum = self.host.space(engine.data_root), self.profile.needs.disk
        if space.free < minimum:
            return self._full(engine, f"{show(space.free)} free; {show(minimum)} are needed")
        if (remaining := space.free - minimum) < (
            reserve := space.total - marks(self.profile.budgets.engine, space).high
        ):
            how = f"{show(space.free)} free; with {show(minimum)} for the cluster, {show(max(0, remaining))} would be left"
            return self._full(engine, f"{how}, and the profile's budget keeps {show(reserve)}")
        if space.total_inodes > 0 and space.free_inodes < _INODES:
            return self._full(engine, f"{space.free_inodes} inodes free; {_INODES} are needed")
        return ""

    def _full(self, engine: EngineInfo, how: str) -> str:
        return f"The engine's disk ({engine.data_root}) has {how}. `devenv disk` shows what takes it, `devenv prune` makes room."
