"""Restarts components in the profile's order, each gated before the next.

A finished rollout is not enough for a gate: it proves nothing. After a restart of Envoy Gateway
there are three gates, in this order. The new pod holds the lease, since only the leader writes
status. The conditions are good, and of the current generation. Envoy, asked after that, has every
filter that its routes need.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import filterfalse

from devenv.base.errors import DevenvError, Exit, NotReachableError
from devenv.base.steps import step
from devenv.base.wait import Deadline, until
from devenv.facts import envoy as admin
from devenv.facts.collect import is_proxy
from devenv.facts.labels import is_ready
from devenv.facts.live import PATCHED_ROUTE, Proof
from devenv.facts.model import ProxyFacts
from devenv.facts.objects import name_of
from devenv.facts.revisions import is_ending
from devenv.gates import ready
from devenv.gates.live import Prober
from devenv.gates.proving import REQUESTS, prove_routes
from devenv.gates.rollout import holder
from devenv.install.applying import find
from devenv.install.objects import names_of
from devenv.install.settled import LEASE, ROLLOUTS, Settled
from devenv.install.watch import Watch, pods_of
from devenv.ports.clock import Clock
from devenv.ports.envoy import Envoy
from devenv.ports.kube import Kube, Manifest, NamespacedName
from devenv.ports.reporter import Reporter
from devenv.profiles.model import Component, Profile, Route

# Seconds for all conditions, once the new pod leads.
_POLICIES = 90.0
# Seconds for Envoy's configuration.
_LIVE = 60.0
# Seconds for the live requests, once every rollout is over.
_PROOF = 60.0
# Seconds for a container to end before it is killed.
_GRACE = 5


def restart_order(profile: Profile) -> list[str]:
    """Return the names of all components, each after those that it needs."""
    predecessors = {component.name: component.after for component in profile.components}
    return list(TopologicalSorter(predecessors).static_order())


def restart_step(component: str) -> str:
    """Return the name of the step in which a component is restarted."""
    return f"restart {component}"


@dataclass(frozen=True)
class Restart:
    """Restarts components of the profile."""

    profile: Profile
    kube: Kube
    envoy: Envoy
    clock: Clock
    reporter: Reporter
    # Whether the conditions of policies and routes are a gate.
    policies: bool = True

    def order(self, names: Iterable[str]) -> list[Component]:
        """Return the workloads of these names in the order of their restart.

        Without names these are all workloads. Raises DevenvError if the profile has no workload of
        a name.
        """
        workloads = {c.name: c for c in self.profile.components if c.gate == "workload"}
        selected_names = set(names) or set(workloads)
        unknown_names = sorted(selected_names - set(workloads))
        if unknown_names:
            unknown, existing = ", ".join(unknown_names), ", ".join(workloads)
            what = f"The profile {self.profile.name} has no workload {unknown}."
            fix = f"Its workloads: {existing}."
            raise DevenvError(what, next_step=fix, exit_code=Exit.USAGE)
        return [workloads[name] for name in restart_order(self.profile) if name in selected_names]

    def announce(self, components: Iterable[Component]) -> None:
        """Tell the reporter the steps of `run` and `finish`."""
        restarts = [restart_step(component.name) for component in components]
        self.reporter.plan((*restarts, ROLLOUTS, REQUESTS))

    def run(self, components: Iterable[Component]) -> None:
        """Restart them one by one. Raises DevenvError at the first gate that does not open."""
        for component in components:
            with step(self.reporter, restart_step(component.name)) as note:
                self._restart(component, note)

    @property
    def settled(self) -> Settled:
        """The gate at the end of all restarts: their rollouts are over."""
        return Settled(self.kube, self.envoy, self.clock, self.profile, self.reporter)

    def finish(self, components: Iterable[Component], prober: Prober) -> list[Proof]:
        """Wait for the rollouts that `run` began to be over; return the proofs of all routes.

        Raises DevenvError if a rollout does not end or a route is not proven.
        """
        settled = self.settled
        settled.run(settled.of(components))
        return prove_routes(self.reporter, prober, _PROOF, "Run `devenv doctor`.")

    def _restart(self, component: Component, note: list[str]) -> None:
        """Delete the component's pods, and wait for its gates. `note`: what the step shows."""
        old_pods = self._pods(component)
        deadline = Deadline(self.clock, component.deadline)
        for pod in old_pods:
            self.kube.delete("v1", "Pod", *_identity(pod), grace=_GRACE)
        old_uids = set(map(_uid_of, old_pods))
        leases = self._leases(component, old_pods)
        self._await_new_pods(component, old_uids, deadline, must_end=bool(leases))
        if leases:
            self._await_leadership(component, leases, old_uids, deadline)
            note.append("leads")
            self._await_policies(component)
        if any(is_proxy(self.profile, pod) for pod in self._pods(component)):
            self._await_proxy_config(component)
            note.append("has its filters")

    def _pods(self, component: Component) -> list[Manifest]:
        pods = []
        for workload in find(self.kube, component):
            pods += pods_of(self.kube, workload)
        return pods

    # New pods

    def _await_new_pods(
        self, component: Component, old_uids: Collection[str], deadline: Deadline, *, must_end: bool
    ) -> None:
        """Wait for new ready pods. `must_end`: the old ones must be gone as well."""
        watch = Watch(self.kube, self.clock)

        def find_shortfall() -> str:
            shortfall = self._find_shortfall(component, old_uids, must_end=must_end)
            if shortfall:
                self._refuse_hopeless(component, watch)
            return shortfall

        until(f"The new pod of {component.name}", find_shortfall, deadline)

    def _refuse_hopeless(self, component: Component, watch: Watch) -> None:
        """Raise DevenvError if waiting for the component's workloads can't help."""
        for workload in find(self.kube, component):
            watch.look(component.resource.kind, workload)

    def _find_shortfall(
        self, component: Component, old_uids: Collection[str], *, must_end: bool
    ) -> str:
        """Return what the restart still lacks, "" if the new pods are ready."""
        pods = self._pods(component)
        new_pods = _new_pods(pods, old_uids)
        if must_end and len(new_pods) < len(pods):
            return "the end of the old pod"
        shortfall = ready.missing(component, find(self.kube, component))
        return shortfall or _readiness_shortfall(new_pods)

    # The lease

    def _leases(self, component: Component, pods: list[Manifest]) -> list[Manifest]:
        """Return the leases that these pods compete for."""
        settled = self.settled
        leases = []
        for rollout in settled.of([component]):
            leases += settled.leases(rollout, pods)
        return leases

    def _await_leadership(
        self,
        component: Component,
        leases: list[Manifest],
        old_uids: Collection[str],
        deadline: Deadline,
    ) -> None:
        """Wait until a new pod holds the leases.

        A lease whose pod is gone is deleted. Otherwise the new pod would wait 30 s for it
        (docs/facts/gateway.md).
        """
        new_pods = _new_pods(self._pods(component), old_uids)
        new_names = names_of(new_pods)
        for lease in leases:
            if self._holder(lease) not in new_names:
                self.kube.delete(*LEASE, *_identity(lease))

        def find_stale_lease() -> str:
            for lease in leases:
                if self._holder(lease) not in new_names:
                    return f"the lease {name_of(lease)}, held by the new pod"
            return ""

        until(f"The leadership of {component.name}", find_stale_lease, deadline)

    def _holder(self, lease: Manifest) -> str:
        """Return the name of the pod that holds the lease now."""
        return holder(self.kube.get(*LEASE, *_identity(lease)))

    # What depends on the new leader

    def _await_policies(self, component: Component) -> None:
        """Wait for the conditions of the policies and routes that come after the component."""
        if not self.policies:
            return
        later_names = self.profile.after(component.name)
        dependents = [
            dependent
            for dependent in self.profile.components
            if dependent.gate != "workload" and dependent.name in later_names
        ]

        def find_shortfalls() -> str:
            """Return what dependents lack, each with its name."""
            shortfalls = []
            for dependent in dependents:
                shortfall = ready.missing(dependent, find(self.kube, dependent))
                if shortfall:
                    shortfalls.append(f"{dependent.name}: {shortfall}")
            return "; ".join(shortfalls)

        until("The policies and routes", find_shortfalls, Deadline(self.clock, _POLICIES))

    def _await_proxy_config(self, component: Component) -> None:
        """Wait until Envoy has the filters and routes that the profile needs."""
        deadline = Deadline(self.clock, _LIVE)
        until("Envoy's configuration", lambda: self._config_shortfall(component), deadline)

    def _config_shortfall(self, component: Component) -> str:
        """Return what the configuration of the component's proxies lacks, "" if nothing."""
        for pod in self._pods(component):
            if is_ending(pod):
                continue
            namespace, name = _identity(pod)
            try:
                config = self.envoy.read(namespace, name, admin.PATHS)
                proxy = admin.read(name, config)
            except NotReachableError as error:
                return error.what
            if shortfall := config_shortfall(self.profile, proxy):
                return shortfall
        return ""


def _identity(obj: Manifest) -> NamespacedName:
    """Return the object's namespace and its name."""
    meta = obj["metadata"]
    return meta["namespace"], meta["name"]


def _new_pods(pods: Iterable[Manifest], old_uids: Collection[str]) -> list[Manifest]:
    return [pod for pod in pods if _uid_of(pod) not in old_uids]


def _uid_of(pod: Manifest) -> str:
    return str(pod["metadata"]["uid"])


def _readiness_shortfall(pods: Iterable[Manifest]) -> str:
    """Return what the new pods lack, "" if there are any and all of them are ready."""
    lasting_pods = list(filterfalse(is_ending, pods))
    if not lasting_pods:
        return "a new pod"
    if not all(map(is_ready, lasting_pods)):
        return "readiness of the new pod"
    return ""


def config_shortfall(profile: Profile, proxy: ProxyFacts) -> str:
    """Return what Envoy's configuration lacks for its routes and the profile's requests."""
    if proxy.dangling:
        return f"the filter {proxy.dangling[0]} in Envoy's listener"
    requested_routes = [request.route for request in profile.requests]
    if Route.EXTENSION in requested_routes and not proxy.patched:
        return f"the route {PATCHED_ROUTE} in Envoy"
    return ""
