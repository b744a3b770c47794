"""The gate at the end of every command that rolls something out: its rollouts are over.

A rollout is over when each workload has its new pods and no old one, when Services and Envoy's
upstreams lead only to the new ones, when the new leader leads, and when Envoy is connected to it.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from devenv.base.errors import DevenvError, NotReachableError
from devenv.base.steps import step
from devenv.base.wait import Deadline, until
from devenv.facts import envoy as admin
from devenv.facts.collect import EXTENSIONS, GATEWAY_API, is_proxy
from devenv.facts.labels import is_controller
from devenv.facts.objects import name_of, namespace_of
from devenv.gates import ready, rollout
from devenv.install.applying import find
from devenv.install.objects import names_of
from devenv.install.watch import Watch, own_pods
from devenv.ports.clock import Clock
from devenv.ports.envoy import Envoy
from devenv.ports.kube import Kube, Manifest, NamespacedName
from devenv.ports.reporter import Reporter
from devenv.profiles.model import Component, Profile

LEASE = ("coordination.k8s.io/v1", "Lease")
# The end of the name of Envoy Gateway's lease (docs/facts/gateway.md).
_CONTROLLER_LEASE = ".gateway.envoyproxy.io"
# What is read of Envoy's admin interface.
_PATHS = (*admin.PATHS, rollout.CONNECTED)
_APPS = "apps/v1"
# Seconds for all rollouts. An Envoy that is told to end lets its connections end first.
_SECONDS = 240.0
_HINT = "`devenv doctor` finds the cause."
# The step's name.
ROLLOUTS = "end of the rollouts"


@dataclass(frozen=True)
class RolledOut:
    """A workload whose pods are being replaced.

    `lease`: the end of the name of its leader's Lease, "" if the profile does not say.
    """

    kind: str
    namespace: str
    name: str
    lease: str = ""

    @classmethod
    def of(cls, kind: str, workload: Manifest, component: Component | None = None) -> "RolledOut":
        """Return a workload's rollout. `kind` is passed because objects of a list don't have it."""
        lease = component.lease if component else ""
        return cls(kind, namespace_of(workload), name_of(workload), lease)


@dataclass(frozen=True)
class _Snapshot:
    """The existing workloads that are rolled out, and all pods, at one moment."""

    workloads: tuple[tuple[RolledOut, Manifest], ...]
    pods: list[Manifest]


@dataclass
class _WaitState:
    """What one wait remembers from one look to the next."""

    watch: Watch
    # Names of each workload's leases that once existed: from then on a pod must hold them.
    lease_names: dict[RolledOut, set[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Settled:
    """Waits for the end of rollouts, and does what shortens the wait."""

    kube: Kube
    envoy: Envoy
    clock: Clock
    profile: Profile
    reporter: Reporter

    def run(self, rollouts: Iterable[RolledOut] | None = None, seconds: float = _SECONDS) -> None:
        """Return when these rollouts are over; by default, those of the profile's workloads.

        Raises DevenvError after these seconds, with what is still missing, and at once if a rollout
        can't end well.
        """
        if rollouts is None:
            rollouts = self.of(self._workload_components())
        chosen_rollouts = list(rollouts)
        if not chosen_rollouts:
            self.reporter.skip(ROLLOUTS)
            return
        state = _WaitState(Watch(self.kube, self.clock))

        def find_missing() -> str:
            shortfall = self._find_shortfall(chosen_rollouts, state)
            if shortfall:
                self._hasten(chosen_rollouts, state)
            return shortfall

        with step(self.reporter, ROLLOUTS):
            until("The cluster", find_missing, Deadline(self.clock, seconds), _HINT)

    def is_over(self) -> bool:
        """Whether no rollout of the profile's workloads is under way. Changes nothing."""
        state = _WaitState(Watch(self.kube, self.clock))
        try:
            rollouts = self.of(self._workload_components())
            return not self._find_shortfall(rollouts, state)
        except DevenvError:
            return False

    def of(self, components: Iterable[Component]) -> list[RolledOut]:
        """Return the rollouts of these components."""
        rollouts = []
        for component in components:
            kind = component.resource.kind
            objects = find(self.kube, component)
            rollouts += [RolledOut.of(kind, obj, component) for obj in objects]
        return rollouts

    def leases(self, workload: RolledOut, pods: Sequence[Manifest]) -> list[Manifest]:
        """Return the existing leases for which a workload's pods compete."""
        suffix = workload.lease
        if not suffix and any(map(is_controller, pods)):
            suffix = _CONTROLLER_LEASE
        if not suffix:
            return []
        leases = self.kube.select(*LEASE, workload.namespace)
        return [lease for lease in leases if name_of(lease).endswith(suffix)]

    def _workload_components(self) -> list[Component]:
        return [c for c in self.profile.components if c.gate == "workload"]

    # What is missing

    def _find_shortfall(self, rollouts: Sequence[RolledOut], state: _WaitState) -> str:
        """Return what is missing in the first stage that is not complete."""
        snapshot = self._take_snapshot(rollouts)
        return (
            _pods_shortfall(rollouts, snapshot)
            or self._endpoints_shortfall(snapshot)
            or self._leaders_shortfall(snapshot, state)
            or self._envoy_shortfall(snapshot)
        )

    def _take_snapshot(self, rollouts: Iterable[RolledOut]) -> _Snapshot:
        """Read the workloads that still exist, and all pods, at one moment."""
        workloads: list[tuple[RolledOut, Manifest]] = []
        for workload in rollouts:
            obj = self.kube.get(_APPS, workload.kind, workload.namespace, workload.name)
            if obj:
                workloads.append((workload, obj))
        return _Snapshot(tuple(workloads), self.kube.select("v1", "Pod"))

    def _endpoints_shortfall(self, snapshot: _Snapshot) -> str:
        """Return which endpoints do not yet have just the new pods. Each namespace is read once."""
        shortfalls = []
        namespaces = {workload.namespace for workload, _ in snapshot.workloads}
        for namespace in sorted(namespaces):
            services = self.kube.select("v1", "Service", namespace)
            slices = self.kube.select("discovery.k8s.io/v1", "EndpointSlice", namespace)
            for workload, obj in snapshot.workloads:
                if workload.namespace == namespace:
                    shortfall = rollout.endpoints(obj, snapshot.pods, services, slices)
                    shortfalls.append(shortfall)
        return "; ".join(filter(None, shortfalls))

    def _leaders_shortfall(self, snapshot: _Snapshot, state: _WaitState) -> str:
        """Return which leases no new pod holds. A lease that was seen once must come back."""
        shortfalls = []
        for workload, obj in snapshot.workloads:
            pods = own_pods(obj, snapshot.pods)
            lease_names = state.lease_names.setdefault(workload, set())
            lease_names.update(names_of(self.leases(workload, pods)))
            for name in sorted(lease_names):
                lease = self.kube.get(*LEASE, workload.namespace, name)
                shortfalls.append(rollout.leadership(name, lease, obj, pods))
        return "; ".join(filter(None, shortfalls))

    def _envoy_shortfall(self, snapshot: _Snapshot) -> str:
        """Return what one of the proxies does not know yet. Each must name the new pods alone."""
        live_pods = rollout.live(snapshot.pods)
        proxies = [pod for pod in live_pods if is_proxy(self.profile, pod)]
        if not proxies:
            return ""
        networks = rollout.networks(self.kube.select("v1", "Node"))
        backends = self._backends(snapshot)
        for proxy in proxies:
            name = name_of(proxy)
            try:
                answers = self.envoy.read(namespace_of(proxy), name, _PATHS)
            except NotReachableError as error:
                return error.what
            facts = admin.read(name, answers)
            if shortfall := rollout.upstreams(facts, snapshot.pods, networks, backends):
                return shortfall
            stats = json.loads(answers[rollout.CONNECTED])
            if shortfall := rollout.connection(name, stats):
                return shortfall
        return ""

    def _backends(self, snapshot: _Snapshot) -> list[rollout.Backend]:
        """Return the Services of the rolled out workloads that Envoy must reach."""
        routes = self.kube.select(GATEWAY_API, "HTTPRoute")
        policies = self.kube.select(EXTENSIONS, "EnvoyExtensionPolicy")
        keys = rollout.named_backends([*routes, *policies], self.profile.gateway)
        all_services = self.kube.select("v1", "Service")
        services = [service for service in all_services if _service_key(service) in keys]
        backends = []
        for _, obj in snapshot.workloads:
            own_services = rollout.services_of(obj, services)
            backends += [rollout.backend(s, obj, snapshot.pods) for s in own_services]
        return backends

    # What shortens the wait

    def _hasten(self, rollouts: Iterable[RolledOut], state: _WaitState) -> None:
        """Look at workloads that are not ready, and delete the leases of pods that are gone."""
        holders = self._read_holders(state)
        # Taken after the leases were read, so that every pod that holds one by now is in it.
        snapshot = self._take_snapshot(rollouts)
        for workload, obj in snapshot.workloads:
            if _find_workload_shortfall(workload, obj):
                state.watch.look(workload.kind, obj)
        for (namespace, name), holder in holders.items():
            if holder and holder not in _pod_names(snapshot.pods, namespace):
                # The holder is gone. The lease would last up to 30 s more (docs/facts/gateway.md).
                self.kube.delete(*LEASE, namespace, name)

    def _read_holders(self, state: _WaitState) -> dict[NamespacedName, str]:
        """Return the pods that hold leases, by the leases' namespaces and names."""
        holders = {}
        for workload, lease_names in state.lease_names.items():
            for name in lease_names:
                lease = self.kube.get(*LEASE, workload.namespace, name)
                holders[workload.namespace, name] = rollout.holder(lease)
        return holders


def _pods_shortfall(rollouts: Sequence[RolledOut], snapshot: _Snapshot) -> str:
    """Return which workloads are not rolled out, or still have pods of an older revision."""
    existing_rollouts = {workload for workload, _ in snapshot.workloads}
    shortfalls = [f"{r.namespace}/{r.name}" for r in rollouts if r not in existing_rollouts]
    for workload, obj in snapshot.workloads:
        shortfall = _find_workload_shortfall(workload, obj)
        if not shortfall:
            shortfall = rollout.leaving(obj, snapshot.pods)
        if shortfall:
            shortfalls.append(f"{workload.name}: {shortfall}")
    return "; ".join(shortfalls)


def _find_workload_shortfall(workload: RolledOut, obj: Manifest) -> str:
    """Return what a workload's own pods lack. Its gate decides whether it may be scaled to zero."""
    if obj["spec"].get("replicas") == 0:
        return ""
    if workload.kind == "DaemonSet":
        return ready.daemon(obj)
    return ready.workload(obj)


def _pod_names(pods: Iterable[Manifest], namespace: str) -> list[str]:
    return names_of(pod for pod in pods if namespace_of(pod) == namespace)


def _service_key(service: Manifest) -> NamespacedName:
    return namespace_of(service), name_of(service)
