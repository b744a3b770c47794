"""`status`: what a cluster is made of, and what each part still lacks."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from devenv.errors import DevenvError
from devenv.facts.df import node_space
from devenv.gates import ready
from devenv.lifecycle.applying import find
from devenv.lifecycle.record import Records, own_nodes
from devenv.ports import Containers, Engine, Holder, Host, Kube, Node, Space
from devenv.profiles.model import Component, Profile
from devenv.profiles.quantities import lasting


@dataclass(frozen=True)
class ComponentState:
    """One component. `missing` is "" when its gate is open; `unknown` is why it could not be told."""

    name: str
    resource: str
    missing: str
    unknown: str = ""


@dataclass(frozen=True)
class Status:
    """A cluster as it is now. No nodes: there is no cluster; no components: none of its nodes runs.

    `disks` by node, and "engine" where it is on this machine.
    """

    cluster: str
    profile: str
    url: str
    nodes: tuple[Node, ...]
    components: tuple[ComponentState, ...]
    disks: dict[str, Space]
    # Who is changing the cluster right now.
    changing: str = ""
    # Why no component's state is known, if there is one reason for all.
    silence: str = ""

    @property
    def ready(self) -> bool:
        """Whether every gate is open."""
        return bool(self.components) and all(not (c.missing or c.unknown) for c in self.components)

    @property
    def unknown(self) -> bool:
        """Whether something could not be told."""
        return any(c.unknown for c in self.components)


def _without_path(what: str) -> str:
    """Return why the API server does not answer, whatever it was asked for."""
    return re.sub(r" does not answer (GET|PATCH) \S+\.$", " does not answer.", what)


def _told(holder: Holder) -> str:
    return (
        f"{holder}, which has done nothing for {lasting(holder.seconds)}"
        if holder.frozen
        else str(holder)
    )


@dataclass(frozen=True)
class StatusReader:
    """Reads, takes no lock, changes nothing."""

    cluster: str
    profile: Profile
    host: Host
    engine: Engine
    containers: Containers
    kube: Kube

    def read(self) -> Status:
        """Return the cluster's status. Raises DevenvError where it isn't devenv's own, or no engine answers."""
        holder = self.host.lock_holder(f"cluster-{self.cluster}")
        changing = _told(holder) if holder else ""
        with ThreadPoolExecutor(8) as pool:
            # They need not wait for the engine.
            futures = [pool.submit(self._component, c) for c in self.profile.components]
            nodes = own_nodes(Records(self.host), self.engine, self.containers, self.cluster)
            disks = self._disks(nodes)
            running = any(n.status == "running" for n in nodes)
            components = tuple(future.result() for future in futures) if running else ()
        profile = f"{self.profile.name} {self.profile.version}".strip()
        silence = self._silence(components)
        return Status(
            self.cluster,
            profile,
            self.profile.gateway.url,
            tuple(nodes),
            components,
            disks,
            changing,
            silence,
        )

    def _silence(self, components: tuple[ComponentState, ...]) -> str:
        """Return the one reason why no component's state is known, "" where there are several, or none.

        Where the user chose the engine, its nodes' ports may be on another machine.
        """
        reasons = {c.unknown for c in components}
        reason = reasons.pop() if len(reasons) == 1 else ""
        if not reason:
            return ""
        chosen = self.engine.info().chosen
        if chosen:
            reason += f" {chosen} names the engine at {self.engine.info().address}: are its ports on this machine?"
        return reason

    def _component(self, component: Component) -> ComponentState:
        try:
            shortfall, unknown = ready.missing(component, find(self.kube, component)), ""
        except DevenvError as error:
            shortfall, unknown = "", _without_path(error.what)
        return ComponentState(component.name, str(component.resource), shortfall, unknown)

    def _disks(self, nodes: list[Node]) -> dict[str, Space]:
        disks = {
            n.name: space
            for n in nodes
            if n.status == "running" and (space := self._node_space(n.name))
        }
        engine = self.engine.info()
        return {**disks, "engine": self.host.space(engine.data_root)} if engine.local else disks

    def _node_space(self, node: str) -> Space | None:
        try:
            return node_space(self.containers, node)
        except DevenvError:
            return None
