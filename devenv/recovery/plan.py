"""A diagnosis into a plan: which steps, in which order, and what is left to the user. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

from devenv.diagnosis.model import Cause, Diagnosis, Finding
from devenv.profiles.model import Component, Profile

_OWNER = "gateway.envoyproxy.io/owning-gateway-name="


class Kind(IntEnum):
    """What a step does. Their order is the order in which they are done."""

    ROOM = 1  # delete what was listed until the node's disk has room
    START = 2  # start nodes, and await the API server
    CONTEXT = 3  # have the kubeconfig's context written again
    PUT_BACK = 4  # apply the profile's manifests again
    SCALE = 5  # give a workload of Kubernetes' own its pods back
    RESTART = 6  # restart a component


_BLIND = {Kind.START, Kind.CONTEXT}


@dataclass(frozen=True)
class Planned:
    """One step, on what, and for which root."""

    kind: Kind
    target: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """The steps, and the roots that devenv can't mend: their own fixes say who can."""

    steps: tuple[Planned, ...]
    beyond: tuple[Finding, ...]


@dataclass(frozen=True)
class _Case:
    """One root, and what is known for its repair."""

    cause: Cause
    profile: Profile
    owned: frozenset[str]  # deployments that the profile's manifests have, as NAMESPACE/NAME

    @property
    def root(self) -> Finding:
        return self.cause.root

    def steps(self, *steps: tuple[Kind, str]) -> list[Planned]:
        return [Planned(kind, target, self.root.code) for kind, target in steps]


def plan(diagnosis: Diagnosis, profile: Profile, owned: Iterable[str]) -> Plan:
    """Return what to do about every root. Latched and failed alike; what is merely under way needs no repair."""
    steps: list[Planned] = []
    beyond: list[Finding] = []
    for cause in diagnosis.causes:
        case = _Case(cause, profile, frozenset(owned))
        found = _REPAIRS.get(cause.root.code, _nothing)(case)
        steps += found
        if not found:
            beyond.append(cause.root)
    first = [s for s in steps if s.kind in _BLIND]  # what else there is can be judged once these are done
    return Plan(_ordered(first or steps, profile), tuple(beyond))


def _ordered(steps: list[Planned], profile: Profile) -> tuple[Planned, ...]:
    """Each thing once; restarts in the profile's order, the controller before its proxy."""
    first: dict[tuple[Kind, str], Planned] = {}
    for step in steps:
        first.setdefault((step.kind, step.target), step)
    rank = {name: number for number, name in enumerate(gateway_components(profile))}
    return tuple(sorted(first.values(), key=lambda s: (s.kind, rank.get(s.target, len(rank)), s.target)))


def gateway_components(profile: Profile) -> list[str]:
    """Return the names of Envoy Gateway's controller and its proxy, in this order, as far as the profile has them."""
    proxies = [c for c in profile.components if c.gate == "workload" and _OWNER in c.resource.selector]
    workloads = {c.name for c in profile.components if c.gate == "workload"}
    return [*dict.fromkeys(n for p in proxies for n in p.after if n in workloads), *(p.name for p in proxies)]


# How each root is mended


def _nothing(_: _Case) -> list[Planned]:
    return []


def _room(case: _Case) -> list[Planned]:
    node = case.root.subject.removeprefix("node ")
    latched = any(f.code == "DE401" for f in case.cause.consequences)
    return [*case.steps((Kind.ROOM, node)), *(_gateway(case) if latched else [])]


def _start(case: _Case) -> list[Planned]:
    return case.steps((Kind.START, case.root.subject.removeprefix("node ")))


def _context(case: _Case) -> list[Planned]:
    return case.steps((Kind.CONTEXT, case.root.subject.removeprefix("context ")))


def _gateway(case: _Case) -> list[Planned]:
    return case.steps(*((Kind.RESTART, name) for name in gateway_components(case.profile)))


def _leader(case: _Case) -> list[Planned]:
    return case.steps((Kind.RESTART, case.root.subject))


def _controllers(case: _Case) -> list[Planned]:
    """Restart who answers webhooks, which makes their certificate anew, and makes the routes that are missing."""
    return case.steps(*((Kind.RESTART, c.name) for c in case.profile.components if c.lease))


def _webhooks(case: _Case) -> list[Planned]:
    return [*_put_back(case), *_controllers(case)]


def _route(case: _Case) -> list[Planned]:
    """A route is the controller's to make, where the profile has one: at its start it sees every Deployment as a new one."""
    made = any(c.made and c.resource.kind == "HTTPRoute" for c in case.profile.components)
    return [*_put_back(case), *_controllers(case)] if made else _put_back(case)


def _put_back(case: _Case) -> list[Planned]:
    return case.steps((Kind.PUT_BACK, case.profile.name))


def _put_back_and_restart(case: _Case) -> list[Planned]:
    return [*_put_back(case), *_gateway(case)]


def _workload(case: _Case) -> list[Planned]:
    """One of the profile's is put back; the proxy follows from an object of the profile's; Kubernetes' own is scaled."""
    names = {key.removeprefix("deployment/") for key in case.root.about if key.startswith("deployment/")}
    component = _component(case)
    if component and _OWNER in component.resource.selector:
        return _put_back(case) if case.root.code != "DE308" else _put_back_and_restart(case)
    if names & case.owned or (component and case.root.code == "DE308"):
        return _put_back(case)
    if case.root.code == "DE305" and any(n.startswith("kube-system/") for n in names):
        return case.steps(*((Kind.SCALE, n) for n in sorted(names)))
    return []


def _component(case: _Case) -> Component | None:
    named = {key.removeprefix("component/") for key in case.root.about if key.startswith("component/")}
    return next((c for c in case.profile.components if c.name in named), None)


_REPAIRS: dict[str, Callable[[_Case], list[Planned]]] = {
    "DE105": _context,
    "DE201": _room,
    "DE202": _room,
    "DE203": _start,
    **{f"DE3{n:02}": _workload for n in range(1, 12)},
    "DE401": _gateway,
    "DE402": _put_back_and_restart,
    "DE403": _put_back_and_restart,
    "DE404": _put_back_and_restart,
    "DE405": _put_back,
    "DE406": _put_back,
    "DE407": _put_back_and_restart,
    "DE408": _put_back,
    "DE409": _gateway,
    "DE410": _gateway,
    "DE411": _put_back_and_restart,
    "DE412": _put_back_and_restart,
    "DE413": _gateway,
    "DE414": _put_back_and_restart,
    "DE501": _put_back,
    **{f"DE5{n:02}": _put_back for n in range(2, 9)},
    "DE503": _route,
    "DE504": _route,
    "DE701": _webhooks,
    "DE702": _leader,
    "DE601": _gateway,
}
