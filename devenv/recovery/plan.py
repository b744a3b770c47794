"""A diagnosis into a plan: which steps, in which order, and what is left to the user. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

from devenv.diagnosis.model import Cause, Diagnosis, Finding
from devenv.diagnosis.read import GATEWAY_GROUPS, UNPROVEN
from devenv.profiles.model import Component, Profile

_OWNER = "gateway.envoyproxy.io/owning-gateway-name="


class Kind(IntEnum):
    """What a step does. Their order is the order in which they are done."""

    # Delete what was listed until the node's disk has room.
    ROOM = 1
    # Start nodes, and await the API server.
    START = 2
    # Have the kubeconfig's context written again.
    CONTEXT = 3
    # Apply the profile's manifests again.
    PUT_BACK = 4
    # Give a workload of Kubernetes' own its pods back.
    SCALE = 5
    # Return to the image that was proven before the one that fails.
    UNDO = 6
    # Restart a component.
    RESTART = 7


_BLIND = {Kind.START, Kind.CONTEXT}


@dataclass(frozen=True)
class Planned:
    """One step, on what, and for which root."""

    kind: Kind
    target: str
    reason: str
    # Other roots that it is for.
    also: tuple[str, ...] = ()

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of all roots that it is for."""
        return (self.reason, *self.also)


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
    # Deployments that the profile's manifests have, as NAMESPACE/NAME.
    owned: frozenset[str]
    # whether an object of the profile's that the root is about is missing or changed
    drifted: bool = False

    @property
    def root(self) -> Finding:
        return self.cause.root

    def steps(self, *steps: tuple[Kind, str]) -> list[Planned]:
        return [Planned(kind, target, self.root.code) for kind, target in steps]


def plan(
    diagnosis: Diagnosis,
    profile: Profile,
    owned: Iterable[str],
    has_drifted: Callable[[Finding], bool] = lambda _: False,
) -> Plan:
    """Return what to do about every root. Latched and failed alike; what is merely under way needs no repair.

    `has_drifted`: whether something of the profile's that a root is about is missing or changed.
    """
    steps: list[Planned] = []
    beyond: list[Finding] = []
    for cause in diagnosis.causes:
        case = _Case(cause, profile, frozenset(owned), has_drifted(cause.root))
        repair = _REPAIRS.get(cause.root.code, _nothing)(case)
        steps += repair
        if not repair:
            beyond.append(cause.root)
    # What else there is can be judged once these are done.
    blind_steps = [s for s in steps if s.kind in _BLIND]
    return Plan(_ordered(blind_steps or steps, profile), tuple(beyond))


def _ordered(steps: list[Planned], profile: Profile) -> tuple[Planned, ...]:
    """Each thing once; restarts in the profile's order, the controller before its proxy."""
    codes: dict[tuple[Kind, str], list[str]] = {}
    for step in steps:
        codes.setdefault((step.kind, step.target), []).append(step.reason)
    once = [_planned(kind, target, reasons) for (kind, target), reasons in codes.items()]
    rank = {name: number for number, name in enumerate(gateway_components(profile))}
    return tuple(sorted(once, key=lambda s: (s.kind, rank.get(s.target, len(rank)), s.target)))


def _planned(kind: Kind, target: str, reasons: list[str]) -> Planned:
    reason, *also = dict.fromkeys(reasons)
    return Planned(kind, target, reason, tuple(also))


def gateway_components(profile: Profile) -> list[str]:
    """Return the names of Envoy Gateway's controller and its proxy, in this order, as far as the profile has them."""
    return [*gateway_controllers(profile), *(p.name for p in _proxies(profile))]


def gateway_controllers(profile: Profile) -> list[str]:
    """Return the names of the workloads that the proxy comes after."""
    workloads = {c.name for c in profile.components if c.gate == "workload"}
    predecessors = [name for proxy in _proxies(profile) for name in proxy.after]
    return [name for name in dict.fromkeys(predecessors) if name in workloads]


def _proxies(profile: Profile) -> list[Component]:
    return [c for c in profile.components if c.gate == "workload" and _OWNER in c.resource.selector]


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
    """The certificate is the controller's to write, when it starts; all else is the profile's."""
    certificate = any(key.startswith("certificate/") for key in case.root.about)
    return [*_put_back(case), *(_controllers(case) if certificate or not case.drifted else [])]


def _makes_routes(case: _Case) -> bool:
    return any(c.made and c.resource.kind == "HTTPRoute" for c in case.profile.components)


def _route(case: _Case) -> list[Planned]:
    """A route is the controller's to make, where the profile has one: at its start it sees every Deployment as a new one."""
    return [*_put_back(case), *_controllers(case)] if _makes_routes(case) else _put_back(case)


def _definition(case: _Case) -> list[Planned]:
    """Put definitions back, with their objects.

    Envoy Gateway looks for a kind that was gone again only after up to a minute (measured: 50 s),
    so it is restarted where something of that kind is missed; AIBrix's controller, where it must
    make routes again.
    """
    codes = {f.code for f in case.cause.consequences}
    steps = [*_put_back(case), *_crashed(case)]
    if codes and any(key.endswith(GATEWAY_GROUPS) for key in case.root.about):
        steps += case.steps(*((Kind.RESTART, name) for name in gateway_controllers(case.profile)))
    if codes & {"DE503", "DE504"} and _makes_routes(case):
        steps += _controllers(case)
    return steps


def _service(case: _Case) -> list[Planned]:
    """One of the profile's is put back; the proxy's own is made by Envoy Gateway, when it starts."""
    if "entrance" in case.root.about:
        return case.steps(*((Kind.RESTART, name) for name in gateway_controllers(case.profile)))
    return [*_put_back(case), *_crashed(case)]


def _crashed(case: _Case) -> list[Planned]:
    """Restart what crashed for want of what is put back: the kubelet waits for up to 5 minutes."""
    keys = {key for f in case.cause.consequences if f.code == "DE302" for key in f.about}
    workloads = [c.name for c in case.profile.components if c.gate == "workload"]
    names = [name for name in workloads if f"component/{name}" in keys]
    return case.steps(*((Kind.RESTART, name) for name in names))


def _put_back(case: _Case) -> list[Planned]:
    return case.steps((Kind.PUT_BACK, case.profile.name))


def _put_back_and_restart(case: _Case) -> list[Planned]:
    return [*_put_back(case), *_gateway(case)]


def _settings(case: _Case) -> list[Planned]:
    """Envoy Gateway reads its settings when it starts; its proxy gets what they change, and goes on."""
    controllers = [(Kind.RESTART, name) for name in gateway_controllers(case.profile)]
    return [*_put_back(case), *case.steps(*controllers)]


def _put_back_or_restart(case: _Case) -> list[Planned]:
    """Envoy Gateway sees at once what is put back. Where nothing is, only a restart may help."""
    return _put_back(case) if case.drifted else _put_back_and_restart(case)


def _workload(case: _Case) -> list[Planned]:
    """One of the profile's is put back; the proxy follows from an object of the profile's; Kubernetes' own is scaled."""
    if images := sorted(
        k.removeprefix(UNPROVEN) for k in case.root.about if k.startswith(UNPROVEN)
    ):
        return case.steps(*((Kind.UNDO, image) for image in images))
    names = {
        key.removeprefix("deployment/") for key in case.root.about if key.startswith("deployment/")
    }
    component = _component(case)
    if component and _OWNER in component.resource.selector:
        return _put_back(case) if case.root.code != "DE308" else _put_back_and_restart(case)
    if names & case.owned or (component and case.root.code == "DE308"):
        return _put_back(case)
    if case.root.code == "DE305" and any(n.startswith("kube-system/") for n in names):
        return case.steps(*((Kind.SCALE, n) for n in sorted(names)))
    return []


def _component(case: _Case) -> Component | None:
    names = {
        key.removeprefix("component/") for key in case.root.about if key.startswith("component/")
    }
    return next((c for c in case.profile.components if c.name in names), None)


_REPAIRS: dict[str, Callable[[_Case], list[Planned]]] = {
    "DE105": _context,
    "DE201": _room,
    "DE202": _room,
    "DE203": _start,
    **{f"DE3{n:02}": _workload for n in range(1, 12)},
    "DE401": _gateway,
    "DE402": _put_back_or_restart,
    "DE403": _put_back_or_restart,
    "DE404": _settings,
    "DE405": _put_back,
    "DE406": _put_back,
    "DE407": _put_back_or_restart,
    "DE408": _put_back,
    "DE409": _gateway,
    "DE410": _gateway,
    "DE411": _put_back_or_restart,
    "DE412": _put_back_or_restart,
    "DE413": _gateway,
    "DE414": _put_back_or_restart,
    "DE415": _definition,
    "DE416": _service,
    "DE501": _put_back,
    **{f"DE5{n:02}": _put_back for n in range(2, 9)},
    "DE503": _route,
    "DE504": _route,
    "DE701": _webhooks,
    "DE702": _leader,
    "DE601": _gateway,
}
