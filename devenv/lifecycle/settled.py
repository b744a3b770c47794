"""The one gate at the end of every command that rolls something out: its rollouts are over.

Over means: each workload has its new pods and no old one, Services and Envoy's clusters lead to the
new ones alone, the new leader leads, and Envoy listens to it.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from devenv.errors import DevenvError, NotReachableError
from devenv.facts import envoy as admin
from devenv.facts.collect import EXTENSIONS, GATEWAY_API, is_proxy
from devenv.facts.labels import is_controller
from devenv.facts.model import owns
from devenv.gates import ready, rollout
from devenv.lifecycle.applying import find
from devenv.lifecycle.steps import step
from devenv.lifecycle.watch import Watch
from devenv.ports import Clock, Envoy, Kube, Manifest, Reporter
from devenv.profiles.model import Component, Profile
from devenv.wait import Deadline, until

LEASE = ("coordination.k8s.io/v1", "Lease")
_LEADERS = (
    # How the name of Envoy Gateway's lease ends (docs/facts/gateway.md)
    ".gateway.envoyproxy.io"
)
_PATHS = (*admin.PATHS, rollout.CONNECTED)
_APPS = "apps/v1"
# For all rollouts: an Envoy that is told to end lets its connections end first.
_SECONDS = 240.0
_LOOK = "`devenv doctor` has the cause."


@dataclass(frozen=True)
class RolledOut:
    """A workload whose pods are being replaced.

    `lease`: how the name of its leader's Lease ends, where the profile says so.
    """

    kind: str
    namespace: str
    name: str
    lease: str = ""

    @classmethod
    def of(cls, kind: str, workload: Manifest, component: Component | None = None) -> "RolledOut":
        """Return a workload's rollout. `kind` is told, since objects of a list lack it."""
        meta = workload["metadata"]
        lease = component.lease if component else ""
        return cls(kind, meta.get("namespace", ""), meta["name"], lease)


@dataclass(frozen=True)
class _View:
    """One look at the cluster: the workloads that are rolled out, with all pods."""

    workloads: tuple[tuple[RolledOut, Manifest], ...]
    pods: list[Manifest]


@dataclass
class _Run:
    """What one wait keeps from look to look."""

    watch: Watch
    # Once seen, they must be held.
    leases: set[tuple[RolledOut, str]] = field(default_factory=set)


@dataclass(frozen=True)
class Settled:
    """Waits for the end of rollouts."""

    kube: Kube
    envoy: Envoy
    clock: Clock
    profile: Profile
    reporter: Reporter

    def run(self, rollouts: Iterable[RolledOut] | None = None, seconds: float = _SECONDS) -> None:
        """Return when these rollouts are over; without any given, those of the profile's workloads.

        Raises DevenvError after so many seconds, with what is still missing, and at once where one
        can't end well.
        """
        chosen = self.of(self._workload_components()) if rollouts is None else list(rollouts)
        if not chosen:
            return
        state = _Run(Watch(self.kube, self.clock))
        with step(self.reporter, "end of the rollouts"):
            deadline = Deadline(self.clock, seconds)
            until("The cluster", lambda: self._look(chosen, state), deadline, _LOOK)

    def is_over(self) -> bool:
        """Whether no rollout of the profile's workloads is under way. Changes nothing."""
        state = _Run(Watch(self.kube, self.clock))
        try:
            return not self._missing(self.of(self._workload_components()), state)
        except DevenvError:
            return False

    def of(self, components: Iterable[Component]) -> list[RolledOut]:
        """Return the rollouts of these components."""
        pairs = [(c, obj) for c in components for obj in find(self.kube, c)]
        return [RolledOut.of(c.resource.kind, obj, c) for c, obj in pairs]

    def leases(self, this: RolledOut, pods: Sequence[Manifest]) -> list[Manifest]:
        """Return the leases that a workload's pods compete for, so far as they are there."""
        suffix = this.lease or (_LEADERS if any(is_controller(p) for p in pods) else "")
        if not suffix:
            return []
        leases = self.kube.select(*LEASE, this.namespace)
        return [o for o in leases if o["metadata"]["name"].endswith(suffix)]

    def _workload_components(self) -> list[Component]:
        return [c for c in self.profile.components if c.gate == "workload"]

    def _look(self, rollouts: Sequence[RolledOut], state: _Run) -> str:
        """Look once, and do what shortens the wait."""
        if shortfall := self._missing(rollouts, state):
            self._hasten(rollouts, state)
        return shortfall

    def _missing(self, rollouts: Sequence[RolledOut], state: _Run) -> str:
        """Return what is missing of the first stage that is not complete."""
        view = self._view(rollouts)
        return (
            self._pods_missing(rollouts, view)
            or self._endpoints_missing(view)
            or self._leaders_missing(view, state)
            or self._envoy_missing(view)
        )

    def _view(self, rollouts: Iterable[RolledOut]) -> _View:
        objects = [(r, self.kube.get(_APPS, r.kind, r.namespace, r.name)) for r in rollouts]
        return _View(tuple((r, obj) for r, obj in objects if obj), self.kube.select("v1", "Pod"))

    @staticmethod
    def _pods_missing(rollouts: Sequence[RolledOut], view: _View) -> str:
        workloads = dict(view.workloads)
        shortfalls = [f"{r.namespace}/{r.name}" for r in rollouts if r not in workloads]
        for this, obj in view.workloads:
            shortfall = _lack(this, obj) or rollout.leaving(obj, view.pods)
            if shortfall:
                shortfalls.append(f"{this.name}: {shortfall}")
        return "; ".join(shortfalls)

    def _endpoints_missing(self, view: _View) -> str:
        shortfalls = []
        for namespace in sorted({r.namespace for r, _ in view.workloads}):
            services = self.kube.select("v1", "Service", namespace)
            slices = self.kube.select("discovery.k8s.io/v1", "EndpointSlice", namespace)
            objects = [obj for r, obj in view.workloads if r.namespace == namespace]
            shortfalls += [rollout.endpoints(obj, view.pods, services, slices) for obj in objects]
        return "; ".join(filter(None, shortfalls))

    def _leaders_missing(self, view: _View, state: _Run) -> str:
        shortfalls = []
        for this, obj in view.workloads:
            own_pods = [p for p in view.pods if owns(obj, p)]
            state.leases |= {(this, o["metadata"]["name"]) for o in self.leases(this, own_pods)}
            for name in sorted(name for r, name in state.leases if r == this):
                lease = self.kube.get(*LEASE, this.namespace, name)
                shortfalls.append(rollout.leadership(name, lease, obj, own_pods))
        return "; ".join(filter(None, shortfalls))

    def _envoy_missing(self, view: _View) -> str:
        proxies = [p for p in rollout.live(view.pods) if is_proxy(self.profile, p)]
        if not proxies:
            return ""
        networks = rollout.networks(self.kube.select("v1", "Node"))
        backends = self._backends(view)
        for meta in (p["metadata"] for p in proxies):
            try:
                answers = self.envoy.read(meta["namespace"], meta["name"], _PATHS)
            except NotReachableError as error:
                return error.what
            facts = admin.read(meta["name"], answers)
            shortfall = rollout.upstreams(facts, view.pods, networks, backends)
            shortfall = shortfall or rollout.connection(
                meta["name"], json.loads(answers[rollout.CONNECTED])
            )
            if shortfall:
                return shortfall
        return ""

    def _backends(self, view: _View) -> list[rollout.Backend]:
        """Return the Services of the rolled out workloads that Envoy must reach."""
        routes = self.kube.select(GATEWAY_API, "HTTPRoute")
        policies = self.kube.select(EXTENSIONS, "EnvoyExtensionPolicy")
        keys = rollout.named_backends([*routes, *policies], self.profile.gateway)
        services = [s for s in self.kube.select("v1", "Service") if _key(s) in keys]
        pairs = [(s, obj) for _, obj in view.workloads for s in rollout.services_of(obj, services)]
        return [rollout.backend(service, obj, view.pods) for service, obj in pairs]

    # What shortens the wait

    def _hasten(self, rollouts: Iterable[RolledOut], state: _Run) -> None:
        holders = {(this, name): self._holder(this, name) for this, name in state.leases}
        # After the leases: who holds one by now is in it.
        view = self._view(rollouts)
        for this, obj in view.workloads:
            if _lack(this, obj):
                state.watch.look(this.kind, obj)
        for (this, name), last_holder in holders.items():
            self._release(this, name, last_holder, view.pods)

    def _holder(self, this: RolledOut, name: str) -> str:
        return rollout.holder(self.kube.get(*LEASE, this.namespace, name))

    def _release(
        self,
        this: RolledOut,
        name: str,
        last_holder: str,
        pods: Iterable[Manifest],
    ) -> None:
        """Delete a lease whose pod is gone: else it lasts up to 30 s (docs/facts/gateway.md)."""
        metas = (p["metadata"] for p in pods)
        names = {meta["name"] for meta in metas if meta.get("namespace") == this.namespace}
        if last_holder and last_holder not in names:
            self.kube.delete(*LEASE, this.namespace, name)


def _lack(this: RolledOut, obj: Manifest) -> str:
    """Return what a workload's own pods lack. Whether it may be scaled to zero is for its gate."""
    if obj["spec"].get("replicas") == 0:
        return ""
    return ready.daemon(obj) if this.kind == "DaemonSet" else ready.workload(obj)


def _key(obj: Manifest) -> rollout.ServiceKey:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
