"""What must hold before `up` changes anything: all problems in one list."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from devenv.base.counting import counted
from devenv.base.errors import DevenvError, Exit
from devenv.cluster.host_ports import HostPorts
from devenv.disk.budget import marks
from devenv.ports.engine import Engine, EngineInfo
from devenv.ports.host import Host, Space
from devenv.profiles.model import Profile
from devenv.profiles.quantities import show

# The oldest version of the engine that was tried.
_OLDEST_ENGINE = (20, 10)
# Inodes that must be free on the engine's disk.
_INODES = 50_000
# The Linux kernel's own defaults of fs.inotify. With less, kubelet and kube-proxy fail.
_INOTIFY_INSTANCES = 128
_INOTIFY_WATCHES = 8192


@dataclass(frozen=True)
class Preflight:
    """Checks the host and the engine, and changes nothing."""

    host: Host
    engine: Engine
    profile: Profile
    ports: HostPorts

    def check(self, *, exists: bool) -> None:
        """Raise DevenvError with every problem.

        `exists`: whether the cluster exists already, and so has its port and its disk.
        """
        checks: list[Callable[[EngineInfo], str]] = [
            self._check_docker_program,
            self._check_version,
            self._check_inotify,
            self._check_cpus,
            self._check_memory,
        ]
        if not exists:
            checks += [self._check_port, self._check_disk]
        engine = self.engine.info()
        problems: list[str] = []
        for check in checks:
            problem = check(engine)
            if problem:
                problems.append(f"- {problem}")
        if problems:
            what = "devenv can't start here."
            raise DevenvError(what, "\n".join(problems), exit_code=Exit.PREREQUISITE)

    def _check_docker_program(self, _: EngineInfo) -> str:
        if self.host.which("docker"):
            return ""
        return "The docker program, which kind uses, is missing. Run `devenv setup`."

    def _check_version(self, engine: EngineInfo) -> str:
        version = tuple(map(int, re.findall(r"\d+", engine.version)[:2]))
        if not version or version >= _OLDEST_ENGINE:
            return ""
        major, minor = _OLDEST_ENGINE
        return f"The Docker engine is {engine.version}; at least {major}.{minor} is needed."

    def _check_inotify(self, engine: EngineInfo) -> str:
        """Return what is wrong with the limits of inotify, which nodes share, "" if nothing."""
        limits = self.host.inotify() if engine.local else None
        if limits is None:
            return ""
        instances, watches = limits
        if instances >= _INOTIFY_INSTANCES and watches >= _INOTIFY_WATCHES:
            return ""
        return (
            f"fs.inotify allows {instances} instances and {watches} watches, too few for a node."
            " Raise them:"
            " sudo sysctl fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288"
        )

    def _check_cpus(self, engine: EngineInfo) -> str:
        minimum = self.profile.needs.cpus
        if engine.cpus >= minimum:
            return ""
        return f"The engine has {counted(engine.cpus, 'CPU')}; the profile needs {minimum}."

    def _check_memory(self, engine: EngineInfo) -> str:
        minimum = self.profile.needs.memory
        if engine.memory >= minimum:
            return ""
        return f"The engine has {show(engine.memory)} of memory; the profile needs {show(minimum)}."

    def _check_port(self, _: EngineInfo) -> str:
        return self.ports.problem(self.profile.gateway.host_port, exists=False)

    def _check_disk(self, engine: EngineInfo) -> str:
        """Return what is wrong with the disk of the engine, "" if nothing."""
        # The engine runs on another machine or in a VM, whose disk devenv can't see.
        if not engine.local:
            return ""
        space = self.host.space(engine.data_root)
        shortage = self._find_shortage(space)
        if not shortage:
            return ""
        return (
            f"The engine's disk ({engine.data_root}) has {shortage}."
            " `devenv disk` shows what takes it, `devenv prune` makes room."
        )

    def _find_shortage(self, space: Space) -> str:
        """Say how much the engine's disk has, and how much it must have; "" if it is enough."""
        minimum = self.profile.needs.disk
        if space.free < minimum:
            return f"{show(space.free)} free; {show(minimum)} are needed"
        remaining_bytes = space.free - minimum
        reserved_bytes = space.total - marks(self.profile.budgets.engine, space).high
        if remaining_bytes < reserved_bytes:
            return (
                f"{show(space.free)} free; with {show(minimum)} for the cluster,"
                f" {show(max(0, remaining_bytes))} would be left,"
                f" and the profile's budget keeps {show(reserved_bytes)}"
            )
        if space.total_inodes > 0 and space.free_inodes < _INODES:
            return f"{space.free_inodes} inodes free; {_INODES} are needed"
        return ""
