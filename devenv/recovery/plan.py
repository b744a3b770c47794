"""Turns a diagnosis into a plan: the steps in their order, and what is left to the user. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

from devenv.diagnosis import keys
from devenv.diagnosis.keys import Key
from devenv.diagnosis.model import Cause, Command, Diagnosis, Finding
from devenv.diagnosis.read import GATEWAY_GROUPS
from devenv.facts.labels import selects_proxy
from devenv.ports.containers import KIND_NETWORK
from devenv.profiles.model import Component, Profile

# The reason of events of a probe that fails.
_PROBE_FAILURE = "Unhealthy"


class Kind(IntEnum):
    """What a step does. Steps run in this order."""

    # Delete the listed things until the node's disk has enough space.
    ROOM = 1
    # Create the engine's network again, and connect nodes to it.
    NETWORK = 2
    # Start nodes, and wait for the API server.
    START = 3
    # Start a systemd unit in a node.
    UNIT = 4
    # Write the manifest of a part of the control plane again.
    STATIC_POD = 5
    # Write the kubeconfig's context again.
    CONTEXT = 6
    # Remove the finalizers that hold an object of the profile in deletion.
    RELEASE = 7
    # Apply the profile's manifests again.
    PUT_BACK = 8
    # Make all of Envoy Gateway's certificates anew.
    CERTIFY = 9
    # Give a workload of Kubernetes' own its pods back.
    SCALE = 10
    # Return to the image that was proven before the one that fails.
    UNDO = 11
    # Restart a component.
    RESTART = 12


# Before these are done, facts lack so much that other steps can't be judged.
# What is released is put back once it is gone; until then, gates would wait for it in vain.
_FIRST_KINDS = {Kind.NETWORK, Kind.START, Kind.UNIT, Kind.STATIC_POD, Kind.CONTEXT, Kind.RELEASE}


@dataclass(frozen=True)
class RepairStep:
    """One step, on what, and for which root cause."""

    kind: Kind
    target: str
    # The code of the first root cause that the step is for.
    reason: str
    # The codes of others that it is for.
    also: tuple[str, ...] = ()

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of all root causes that it is for."""
        return (self.reason, *self.also)


@dataclass(frozen=True)
class Plan:
    """The steps, and the root causes that devenv can't repair: their own fixes say who can."""

    steps: tuple[RepairStep, ...]
    beyond: tuple[Finding, ...]

    def targets(self, kind: Kind) -> list[str]:
        """Return what the steps of one kind are on, in their order."""
        return [step.target for step in self.steps if step.kind is kind]


@dataclass(frozen=True)
class _Case:
    """One root cause, and what its repair depends on."""

    cause: Cause
    profile: Profile
    # Deployments in the profile's manifests, as NAMESPACE/NAME.
    owned: frozenset[str]
    # Whether one of the profile's objects that the root cause is about is missing or changed.
    drifted: bool = False

    @property
    def root(self) -> Finding:
        return self.cause.root

    @property
    def effect_codes(self) -> set[str]:
        return {effect.code for effect in self.cause.consequences}

    def names_about(self, kind: str) -> set[str]:
        """Return the names of those things of a kind that the root cause is about."""
        return keys.names_in(self.root.about, kind)

    def steps(self, kind: Kind, targets: Iterable[str]) -> list[RepairStep]:
        return [RepairStep(kind, target, self.root.code) for target in targets]

    def restarts(self, components: Iterable[str]) -> list[RepairStep]:
        return self.steps(Kind.RESTART, components)


def plan(
    diagnosis: Diagnosis,
    profile: Profile,
    owned: Iterable[str],
    has_drifted: Callable[[Finding], bool] = lambda _: False,
) -> Plan:
    """Return what to do about every root cause, failed or latched.

    What is in progress needs no repair. `owned`: Deployments in the profile's manifests, as
    NAMESPACE/NAME. `has_drifted`: whether one of the profile's objects that a root cause is about
    is missing or changed.
    """
    owned_deployments = frozenset(owned)
    steps: list[RepairStep] = []
    beyond: list[Finding] = []
    for cause in diagnosis.causes:
        case = _Case(cause, profile, owned_deployments, has_drifted(cause.root))
        repair = _REPAIRS.get(cause.root.code, _repair_nothing)(case)
        steps += repair
        if not repair:
            beyond.append(cause.root)
    first_steps = [step for step in steps if step.kind in _FIRST_KINDS]
    return Plan(_ordered(first_steps or steps, profile), tuple(beyond))


def _ordered(steps: list[RepairStep], profile: Profile) -> tuple[RepairStep, ...]:
    """Return each step once, by kind; the gateway's controller is restarted before its proxy."""
    codes: dict[tuple[Kind, str], list[str]] = {}
    for step in steps:
        codes.setdefault((step.kind, step.target), []).append(step.reason)
    merged_steps = [
        _merged_step(kind, target, reasons) for (kind, target), reasons in codes.items()
    ]
    positions = {name: number for number, name in enumerate(gateway_components(profile))}

    def rank(step: RepairStep) -> tuple[Kind, int, str]:
        return (step.kind, positions.get(step.target, len(positions)), step.target)

    return tuple(sorted(merged_steps, key=rank))


def _merged_step(kind: Kind, target: str, reasons: list[str]) -> RepairStep:
    reason, *also = dict.fromkeys(reasons)
    return RepairStep(kind, target, reason, tuple(also))


def gateway_components(profile: Profile) -> list[str]:
    """Return the names of Envoy Gateway's controllers and then its proxies, as in the profile."""
    proxies = [proxy.name for proxy in _proxies(profile)]
    return gateway_controllers(profile) + proxies


def gateway_controllers(profile: Profile) -> list[str]:
    """Return the names of the workloads that the proxy comes after."""
    workloads = {component.name for component in profile.workloads}
    predecessors: dict[str, None] = {}
    for proxy in _proxies(profile):
        predecessors |= dict.fromkeys(proxy.after)
    return [name for name in predecessors if name in workloads]


def _proxies(profile: Profile) -> list[Component]:
    return list(filter(_is_proxy, profile.workloads))


def _is_proxy(component: Component) -> bool:
    return selects_proxy(component.resource.selector)


# How each root cause is repaired


def _repair_nothing(_: _Case) -> list[RepairStep]:
    return []


def _free_space(case: _Case) -> list[RepairStep]:
    steps = case.steps(Kind.ROOM, [case.root.subject.name])
    if "DE401" in case.effect_codes:
        # A gateway that latched while the disk was full stays broken after it is freed.
        steps += _restart_gateway(case)
    return steps


def _start_node(case: _Case) -> list[RepairStep]:
    return case.steps(Kind.START, [case.root.subject.name])


def _recreate_network(case: _Case) -> list[RepairStep]:
    """Create the one network that devenv knows how kind makes it, and start its nodes."""
    name = case.root.subject.name
    if name != KIND_NETWORK:
        return []
    nodes = sorted(case.names_about(keys.NODE))
    return case.steps(Kind.NETWORK, [name]) + case.steps(Kind.START, nodes)


def _start_unit(case: _Case) -> list[RepairStep]:
    return case.steps(Kind.UNIT, case.names_about(keys.UNIT))


def _write_static_pod(case: _Case) -> list[RepairStep]:
    return case.steps(Kind.STATIC_POD, case.names_about(keys.STATIC_POD))


def _trust_api(case: _Case) -> list[RepairStep]:
    """Write the context again if its credentials are what the API server does not accept."""
    return case.steps(Kind.CONTEXT, case.names_about(keys.KUBECONFIG))


def _write_context(case: _Case) -> list[RepairStep]:
    return case.steps(Kind.CONTEXT, [case.root.subject.name])


def _restart_gateway(case: _Case) -> list[RepairStep]:
    return case.restarts(gateway_components(case.profile))


def _restart_gateway_controllers(case: _Case) -> list[RepairStep]:
    return case.restarts(gateway_controllers(case.profile))


def _restart_leader(case: _Case) -> list[RepairStep]:
    return case.restarts([case.root.subject.name])


def _restart_leaders(case: _Case) -> list[RepairStep]:
    """Restart the controllers with a lease.

    They answer webhooks: when they start, they write the certificate again, and create the routes
    that are missing.
    """
    return case.restarts(c.name for c in case.profile.components if c.lease)


def _repair_webhook(case: _Case) -> list[RepairStep]:
    """The controller writes its certificate when it starts; everything else is the profile's."""
    steps = _put_back(case)
    if case.names_about(keys.CERTIFICATE) or not case.drifted:
        steps += _restart_leaders(case)
    return steps


def _repair_route(case: _Case) -> list[RepairStep]:
    """A controller creates missing routes when it starts: it then sees every Deployment as new."""
    steps = _put_back(case)
    if case.profile.has_route_controller:
        steps += _restart_leaders(case)
    return steps


def _repair_definition(case: _Case) -> list[RepairStep]:
    """Put definitions back, with their objects.

    Envoy Gateway looks for a kind that was gone again only after up to a minute (measured: 50 s),
    so it is restarted if objects of that kind are missing. AIBrix's controller is restarted if it
    must create routes again.
    """
    effects = case.effect_codes
    steps = _put_back(case) + _restart_crashed(case)
    definitions = case.names_about(keys.DEFINITION)
    if effects and any(name.endswith(GATEWAY_GROUPS) for name in definitions):
        steps += _restart_gateway_controllers(case)
    if effects & {"DE503", "DE504"} and case.profile.has_route_controller:
        steps += _restart_leaders(case)
    return steps


def _repair_service(case: _Case) -> list[RepairStep]:
    """Put back a Service of the profile; Envoy Gateway creates the proxy's own when it starts."""
    if keys.ENTRANCE in case.root.about:
        return _restart_gateway_controllers(case)
    return _put_back(case) + _restart_crashed(case)


def _restart_crashed(case: _Case) -> list[RepairStep]:
    """Restart what crashed without what is put back: the kubelet would wait for up to 5 minutes."""
    crashed_keys: set[Key] = set()
    for effect in case.cause.consequences:
        if effect.code == "DE302":
            crashed_keys |= effect.about
    names = [component.name for component in case.profile.workloads]
    return case.restarts(name for name in names if keys.component(name) in crashed_keys)


def _renew_certificates(case: _Case) -> list[RepairStep]:
    """Both sides read their certificates when they start: Envoy Gateway first, then its proxy."""
    return case.steps(Kind.CERTIFY, [case.root.subject.name]) + _restart_gateway(case)


def _release(case: _Case) -> list[RepairStep]:
    """Let an object of the profile go, as the finding's fix says. Once gone, it is put back."""
    if _names_recover(case.root):
        return case.steps(Kind.RELEASE, [str(case.root.subject)])
    return []


def _names_recover(root: Finding) -> bool:
    return any(isinstance(fix, Command) and fix.runs("devenv", "recover") for fix in root.fix)


def _put_back(case: _Case) -> list[RepairStep]:
    return case.steps(Kind.PUT_BACK, [case.profile.name])


def _put_back_limit(case: _Case) -> list[RepairStep]:
    """Put back a limit that the profile sets higher, as the finding's fix says. Others stay."""
    return _put_back(case) if _names_recover(case.root) else []


def _restart_silent(case: _Case) -> list[RepairStep]:
    """Replace the pods of a component: a stopped process does not end by itself."""
    return case.restarts(sorted(case.names_about(keys.COMPONENT)))


def _put_back_and_restart(case: _Case) -> list[RepairStep]:
    return _put_back(case) + _restart_gateway(case)


def _put_back_settings(case: _Case) -> list[RepairStep]:
    """Envoy Gateway reads its settings when it starts; its proxy gets them without a restart."""
    return _put_back(case) + _restart_gateway_controllers(case)


def _put_back_drifted(case: _Case) -> list[RepairStep]:
    """Put an object back; Envoy Gateway reads its settings, a ConfigMap, only when it starts."""
    if case.root.subject.kind == "ConfigMap":
        return _put_back_settings(case)
    return _put_back(case)


def _put_back_or_restart(case: _Case) -> list[RepairStep]:
    """Envoy Gateway sees at once what is put back. If there is nothing, only a restart may help."""
    if case.drifted:
        return _put_back(case)
    return _put_back_and_restart(case)


def _repair_workload(case: _Case) -> list[RepairStep]:
    """Return to the proven image of a workload, or put the workload back, or scale it up.

    The proxy follows from an object of the profile. Only Kubernetes' own workloads are scaled.
    """
    if images := sorted(case.names_about(keys.UNPROVEN_IMAGE)):
        return case.steps(Kind.UNDO, images)
    component = _component(case)
    if component and _is_proxy(component):
        return _repair_proxy(case)
    deployments = case.names_about(keys.DEPLOYMENT)
    is_missing_component = component is not None and case.root.code == "DE308"
    if is_missing_component or deployments & case.owned:
        return _put_back(case)
    is_of_kubernetes = any(name.startswith("kube-system/") for name in deployments)
    if case.root.code == "DE305" and is_of_kubernetes:
        return case.steps(Kind.SCALE, sorted(deployments))
    return []


def _put_back_if_drifted(case: _Case) -> list[RepairStep]:
    """Put back what was changed of the profile; what another user wants so stays.

    A component that its own probe kills, as after an outage of the API server, is restarted.
    """
    if case.drifted:
        return _put_back(case)
    component = _component(case)
    is_killed = case.root.reason == _PROBE_FAILURE and _names_recover(case.root)
    return case.restarts([component.name]) if component and is_killed else []


def _repair_proxy(case: _Case) -> list[RepairStep]:
    if case.root.code == "DE308":
        return _put_back_and_restart(case)
    return _put_back(case)


def _component(case: _Case) -> Component | None:
    """Return the first component that the root cause is about."""
    names = case.names_about(keys.COMPONENT)
    for component in case.profile.components:
        if component.name in names:
            return component
    return None


_REPAIRS: dict[str, Callable[[_Case], list[RepairStep]]] = {
    "DE105": _write_context,
    "DE109": _recreate_network,
    "DE201": _free_space,
    "DE202": _free_space,
    "DE203": _start_node,
    "DE204": _trust_api,
    "DE207": _write_static_pod,
    "DE208": _start_unit,
    "DE209": _start_unit,
    "DE301": _repair_workload,
    "DE302": _repair_workload,
    "DE303": _repair_workload,
    "DE304": _repair_workload,
    "DE305": _repair_workload,
    "DE306": _repair_workload,
    "DE307": _repair_workload,
    "DE308": _repair_workload,
    "DE309": _repair_workload,
    "DE310": _repair_workload,
    "DE311": _repair_workload,
    "DE313": _put_back_if_drifted,
    "DE314": _release,
    "DE315": _put_back_if_drifted,
    "DE401": _restart_gateway,
    "DE402": _put_back_or_restart,
    "DE403": _put_back_or_restart,
    "DE404": _put_back_settings,
    "DE405": _put_back,
    "DE406": _put_back,
    "DE407": _put_back_or_restart,
    "DE408": _put_back,
    "DE409": _restart_gateway,
    "DE410": _restart_gateway,
    "DE411": _put_back_or_restart,
    "DE412": _put_back_or_restart,
    "DE413": _restart_gateway,
    "DE414": _put_back_or_restart,
    "DE415": _repair_definition,
    "DE416": _repair_service,
    "DE417": _renew_certificates,
    "DE419": _put_back_drifted,
    "DE501": _put_back,
    "DE502": _put_back,
    "DE503": _repair_route,
    "DE504": _repair_route,
    "DE505": _put_back,
    "DE506": _put_back,
    "DE507": _put_back,
    "DE508": _put_back,
    "DE601": _restart_gateway,
    "DE604": _put_back_limit,
    "DE606": _restart_silent,
    "DE701": _repair_webhook,
    "DE702": _restart_leader,
}
