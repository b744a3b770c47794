"""Restarts components in the profile's order, gate after gate. A finished rollout is no gate: it proves nothing.

After a restart of Envoy Gateway the gate is: the new pod holds the lease, since only the leader writes status; then the
conditions are of the current generation and good; and Envoy, asked after that, has every filter that its routes need.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import TopologicalSorter

from devenv.errors import DevenvError, Exit, NotReachableError
from devenv.facts import envoy as admin
from devenv.facts.collect import is_proxy
from devenv.facts.labels import is_ready
from devenv.facts.live import PATCHED_ROUTE, Proof
from devenv.facts.model import ProxyFacts
from devenv.gates import ready
from devenv.gates.live import Prober
from devenv.gates.rollout import holder
from devenv.lifecycle.applying import find
from devenv.lifecycle.settled import LEASE, Settled
from devenv.lifecycle.steps import prove, step
from devenv.lifecycle.watch import Watch, pods_of
from devenv.ports import Clock, Envoy, Kube, Manifest, Reporter
from devenv.profiles.model import Component, Profile, Route
from devenv.wait import Deadline, until

# Seconds for every condition, once the new pod leads.
_POLICIES = 90.0
# Seconds for Envoy's configuration.
_LIVE = 60.0
# Seconds for the live requests once every rollout is over.
_PROOF = 60.0
# Seconds for a container to end: it is to be replaced.
_GRACE = 5


@dataclass(frozen=True)
class Restart:
    """Restarts what the profile names."""

    profile: Profile
    kube: Kube
    envoy: Envoy
    clock: Clock
    reporter: Reporter
    # Whether the conditions of policies and routes are a gate.
    policies: bool = True

    def order(self, names: Iterable[str]) -> list[Component]:
        """Return the workloads of those names, in the order in which they are restarted; all of them for none.

        Raises DevenvError where a name is no workload of the profile.
        """
        workloads = {c.name: c for c in self.profile.components if c.gate == "workload"}
        selected_names = set(names) or set(workloads)
        if unknown := selected_names - set(workloads):
            what = f"The profile {self.profile.name} has no workload {', '.join(sorted(unknown))}."
            raise DevenvError(
                what, next_step=f"There are: {', '.join(workloads)}.", exit_code=Exit.USAGE
            )
        order = TopologicalSorter({c.name: c.after for c in self.profile.components}).static_order()
        return [workloads[n] for n in order if n in selected_names]

    def run(self, components: Iterable[Component]) -> None:
        """Restart them one by one. Raises DevenvError at the first gate that does not open."""
        for component in components:
            with step(self.reporter, f"restart {component.name}") as note:
                self._restart(component, note)

    @property
    def settled(self) -> Settled:
        """The gate at the end of all restarts: their rollouts are over."""
        return Settled(self.kube, self.envoy, self.clock, self.profile, self.reporter)

    def finish(self, components: Iterable[Component], prober: Prober) -> list[Proof]:
        """Return the proofs of every route, once what `run` began is over. Raises DevenvError where that doesn't come."""
        self.settled.run(self.settled.of(components))
        return prove(self.reporter, prober, _PROOF, "Look at it with `devenv doctor`.")

    def _restart(self, component: Component, note: list[str]) -> None:
        old_pods = self._pods(component)
        deadline = Deadline(self.clock, component.deadline)
        for pod in old_pods:
            self.kube.delete(
                "v1", "Pod", pod["metadata"]["namespace"], pod["metadata"]["name"], grace=_GRACE
            )
        old_uids = {p["metadata"]["uid"] for p in old_pods}
        leases = self._leases(component, old_pods)
        watch = Watch(self.kube, self.clock)

        def missing() -> str:
            shortfall = self._not_replaced(component, old_uids, gone=bool(leases))
            if shortfall:
                self._watch(component, watch)
            return shortfall

        until(f"The new pod of {component.name}", missing, deadline)
        if leases:
            self._lead(component, leases, old_uids, deadline)
            note.append("leads")
            self._await_policies(component)
        if any(is_proxy(self.profile, p) for p in self._pods(component)):
            until(
                "Envoy's configuration",
                lambda: self._config_lacks(component),
                Deadline(self.clock, _LIVE),
            )
            note.append("has its filters")

    def _pods(self, component: Component) -> list[Manifest]:
        return [
            pod for workload in find(self.kube, component) for pod in pods_of(self.kube, workload)
        ]

    def _watch(self, component: Component, watch: Watch) -> None:
        for workload in find(self.kube, component):
            watch.look(component.resource.kind, workload)

    def _not_replaced(self, component: Component, old_uids: set[str], *, gone: bool) -> str:
        pods = self._pods(component)
        if gone and any(p["metadata"]["uid"] in old_uids for p in pods):
            return "the end of the old pod"
        if shortfall := ready.missing(component, find(self.kube, component)):
            return shortfall
        new_pods = [
            p
            for p in pods
            if p["metadata"]["uid"] not in old_uids and "deletionTimestamp" not in p["metadata"]
        ]
        if not new_pods:
            return "a new pod"
        return "" if all(is_ready(p) for p in new_pods) else "readiness of the new pod"

    # The lease

    def _leases(self, component: Component, pods: list[Manifest]) -> list[Manifest]:
        """Return the leases that these pods compete for."""
        rollouts = self.settled.of([component])
        return [lease for rollout in rollouts for lease in self.settled.leases(rollout, pods)]

    def _lead(
        self, component: Component, leases: list[Manifest], old_uids: set[str], deadline: Deadline
    ) -> None:
        """Return when a new pod leads.

        A lease whose pod is gone is deleted: else it is waited for, 30 s (docs/facts/gateway.md).
        """
        names = {
            p["metadata"]["name"]
            for p in self._pods(component)
            if p["metadata"]["uid"] not in old_uids
        }
        for lease in leases:
            meta = lease["metadata"]
            if holder(self.kube.get(*LEASE, meta["namespace"], meta["name"])) not in names:
                self.kube.delete(*LEASE, meta["namespace"], meta["name"])

        def missing() -> str:
            for lease in leases:
                meta = lease["metadata"]
                if holder(self.kube.get(*LEASE, meta["namespace"], meta["name"])) not in names:
                    return f"the lease {meta['name']}, held by the new pod"
            return ""

        until(f"The leadership of {component.name}", missing, deadline)

    # What follows from it

    def _await_policies(self, component: Component) -> None:
        if not self.policies:
            return
        dependents = [
            c
            for c in self.profile.components
            if c.gate != "workload" and c.name in self.profile.after(component.name)
        ]

        def missing() -> str:
            return "; ".join(
                f"{c.name}: {shortfall}"
                for c in dependents
                if (shortfall := ready.missing(c, find(self.kube, c)))
            )

        until("The policies and routes", missing, Deadline(self.clock, _POLICIES))

    def _config_lacks(self, component: Component) -> str:
        for pod in self._pods(component):
            meta = pod["metadata"]
            if "deletionTimestamp" in meta:
                continue
            try:
                proxy = admin.read(
                    meta["name"], self.envoy.read(meta["namespace"], meta["name"], admin.PATHS)
                )
            except NotReachableError as error:
                return error.what
            if shortfall := config_lacks(self.profile, proxy):
                return shortfall
        return ""


def config_lacks(profile: Profile, proxy: ProxyFacts) -> str:
    """Return what Envoy's own configuration lacks of what its routes and the profile's requests need."""
    if proxy.dangling:
        return f"the filter {proxy.dangling[0]} in Envoy's listener"
    has_extension_request = any(r.route is Route.EXTENSION for r in profile.requests)
    if has_extension_request and not proxy.patched:
        return f"the route {PATCHED_ROUTE} in Envoy"
    return ""
