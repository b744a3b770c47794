"""`status`: a cluster's nodes and components, and what each component still lacks."""

import re
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from devenv.base.errors import DevenvError
from devenv.cluster.workload_state import WorkloadState, created, read_workloads
from devenv.facts.df import node_space
from devenv.gates import ready
from devenv.install.applying import find
from devenv.install.context import is_running
from devenv.ports.containers import Node
from devenv.ports.host import Holder, Space
from devenv.ports.kube import Manifest
from devenv.profiles.model import Component
from devenv.profiles.quantities import lasting
from devenv.session import Session
from devenv.state.record import Records, own_nodes


@dataclass(frozen=True)
class ComponentState:
    """One component. `missing` is "" when its gate is open; `unknown` says why that is unknown."""

    name: str
    resource: str
    missing: str
    unknown: str = ""
    # Seconds since 1970: of its newest pod, or of its object if it has no pods; 0 if unknown.
    created: float = 0.0
    # None for a component that has no pods of its own.
    workload: WorkloadState | None = None


@dataclass(frozen=True)
class Status:
    """A cluster as it is now.

    Without nodes it does not exist; without components none of its nodes runs. `disks` is by node,
    with "engine" for the engine's disk if the engine is on the host.
    """

    cluster: str
    profile: str
    url: str
    nodes: tuple[Node, ...]
    components: tuple[ComponentState, ...]
    disks: dict[str, Space]
    # The process that is changing the cluster right now, "" for none.
    changing: str = ""
    # Why no component's state is known, if there is one reason for all.
    silence: str = ""
    # When it was read, in seconds since 1970.
    time: float = 0.0

    @property
    def ready(self) -> bool:
        """Whether every gate is open."""
        shortfalls = [c.missing or c.unknown for c in self.components]
        return bool(shortfalls) and not any(shortfalls)

    @property
    def unknown(self) -> bool:
        """Whether some component's state is unknown."""
        return any(c.unknown for c in self.components)


@dataclass(frozen=True)
class StatusReader:
    """Reads a cluster's status. It takes no lock and changes nothing."""

    session: Session

    def read(self) -> Status:
        """Return the cluster's status.

        Raises DevenvError if the cluster isn't devenv's own, or if the engine does not answer.
        """
        session = self.session
        holder = session.host.lock_holder(f"cluster-{session.cluster}")
        with ThreadPoolExecutor(8) as pool:
            # Begun first: the components need not wait for the engine.
            pods = pool.submit(self._read_pods)
            futures = [
                pool.submit(self._read_component, component, pods)
                for component in session.profile.components
            ]
            nodes = own_nodes(
                Records(session.host),
                session.engine,
                session.containers,
                session.cluster,
            )
            disks = self._read_disks(nodes)
            components: tuple[ComponentState, ...] = ()
            if any(map(is_running, nodes)):
                components = tuple(future.result() for future in futures)
        return Status(
            cluster=session.cluster,
            profile=f"{session.profile.name} {session.profile.version}".strip(),
            url=session.profile.gateway.url,
            nodes=tuple(nodes),
            components=components,
            disks=disks,
            changing=_describe_holder(holder),
            silence=self._common_reason(components),
            time=session.clock.now(),
        )

    def _read_pods(self) -> list[Manifest]:
        """Return all pods; none if they can't be read, since the components say why."""
        with suppress(DevenvError):
            return self.session.kube.select("v1", "Pod")
        return []

    def _common_reason(self, components: Iterable[ComponentState]) -> str:
        """Return the reason why no component's state is known, "" if they don't share one.

        If the user chose the engine, its nodes' ports may be on another machine.
        """
        reasons = {component.unknown for component in components}
        reason = reasons.pop() if len(reasons) == 1 else ""
        if not reason:
            return ""
        engine = self.session.engine.info()
        if not engine.chosen:
            return reason
        return (
            f"{reason} {engine.chosen} names the engine at {engine.address}:"
            " are its ports on this machine?"
        )

    def _read_component(self, component: Component, pods: Future[list[Manifest]]) -> ComponentState:
        """Return what a component lacks; an API server that does not answer makes it unknown."""
        resource = str(component.resource)
        try:
            objects = find(self.session.kube, component)
        except DevenvError as error:
            return ComponentState(component.name, resource, "", _without_request(error.what))
        shortfall = ready.missing(component, objects)
        if component.gate != "workload":
            return ComponentState(component.name, resource, shortfall, created=created(objects, ()))
        return ComponentState(
            component.name,
            resource,
            shortfall,
            created=created(objects, pods.result()),
            workload=read_workloads(objects, pods.result()),
        )

    def _read_disks(self, nodes: Iterable[Node]) -> dict[str, Space]:
        """Return the space of each node that answers, and of a local engine."""
        session = self.session
        disks = {}
        for node in filter(is_running, nodes):
            # A node that does not answer is left out.
            with suppress(DevenvError):
                disks[node.name] = node_space(session.containers, node.name)
        engine = session.engine.info()
        if engine.local:
            disks["engine"] = session.host.space(engine.data_root)
        return disks


def _describe_holder(holder: Holder | None) -> str:
    if holder is None:
        return ""
    if holder.frozen:
        return f"{holder}, which has done nothing for {lasting(holder.seconds)}"
    return str(holder)


def _without_request(what: str) -> str:
    """Remove the request from a silent API server's error, so that all such errors are equal."""
    return re.sub(r" does not answer (GET|PATCH) \S+\.$", " does not answer.", what)
