"""Programs that take a live request and never answer, though Kubernetes may call them ready."""

from collections.abc import Iterable, Iterator

from devenv.diagnosis import keys
from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.commands import devenv_command, recover
from devenv.diagnosis.model import Evidence, Finding, Fix, Subject
from devenv.diagnosis.roles import Role, place_of, workloads_of_role
from devenv.diagnosis.workloads import Workload, all_workloads
from devenv.facts.labels import is_ready
from devenv.facts.live import AccessLine, Proof
from devenv.facts.model import Facts
from devenv.facts.objects import full_name, name_of
from devenv.ports.gateway import Obstacle
from devenv.ports.kube import Manifest
from devenv.profiles.model import LiveRequest

# A live request that was given up, the request of the profile, and who had it then.
_Unanswered = tuple[Proof, LiveRequest, Workload, Manifest]


@check
def find_silent_programs(facts: Facts) -> Iterator[Finding]:
    """DE606: a program takes requests and does not answer.

    Envoy logs where a request was when its client gave up: at a pod, or still in its filter, which
    waits for gateway-plugins. A stopped process keeps its port open, so that a probe of the port
    alone succeeds.
    """
    by_workload: dict[str, list[_Unanswered]] = {}
    for entry in _unanswered(facts):
        by_workload.setdefault(entry[2].source, []).append(entry)
    for entries in by_workload.values():
        yield _finding(facts, entries)


def _unanswered(facts: Facts) -> Iterator[_Unanswered]:
    for proof, request in zip(facts.proofs, facts.profile.requests, strict=False):
        if proof.answer.obstacle is not Obstacle.TIMEOUT or proof.line is None:
            continue
        for workload, pod in _holders(facts, proof, proof.line):
            yield proof, request, workload, pod


def _holders(facts: Facts, proof: Proof, line: AccessLine) -> list[tuple[Workload, Manifest]]:
    """Return who had a request when its client gave up; [] if that is not certain."""
    if proof.pod:
        pairs = [pair for pair in _pods(all_workloads(facts)) if name_of(pair[1]) == proof.pod]
    elif line.by_none and _has_filter(facts, line.route):
        pairs = list(_pods(workloads_of_role(facts, Role.PLUGINS)))
    else:
        pairs = []
    return pairs if len(pairs) == 1 else []


def _pods(workloads: Iterable[Workload]) -> Iterator[tuple[Workload, Manifest]]:
    for workload in workloads:
        for pod in workload.pods:
            yield workload, pod


def _has_filter(facts: Facts, route: str) -> bool:
    """Whether Envoy asks gateway-plugins about the requests of a route."""
    for proxy in facts.proxies:
        if any(entry.name == route and entry.filters for entry in proxy.routes):
            return True
    return False


def _finding(facts: Facts, entries: list[_Unanswered]) -> Finding:
    _, _, workload, _ = entries[0]
    component = workload.component
    subject = Subject("model", ", ".join(sorted(workload.models)))
    if component:
        subject = Subject.component(component.name)
    elif not workload.models:
        subject = Subject(workload.kind, workload.full_name)
    routes = {keys.route(proof.route, request.model) for proof, request, _, _ in entries}
    about = {keys.model(request.model) for _, request, _, _ in entries}
    about |= {keys.route(proof.route) for proof, _, _, _ in entries}
    if component:
        about.add(keys.component(component.name))
    return Finding(
        code="DE606",
        subject=subject,
        says=f"{workload.name} takes requests and does not answer them.",
        evidence=tuple(_evidence(entries)),
        fix=_fixes(facts, entries),
        about=frozenset(about | routes),
        affects=frozenset(routes),
        place=place_of(workload),
    )


def _evidence(entries: Iterable[_Unanswered]) -> Iterator[Evidence]:
    pods: dict[str, Manifest] = {}
    for proof, _, _, pod in entries:
        pods[full_name(pod)] = pod
        seconds = f"{proof.answer.seconds:.0f} s"
        text = f"Pod {full_name(pod)} had it for {seconds} when devenv gave up waiting"
        yield Evidence(f"request {proof.name}", text)
    for name, pod in pods.items():
        state = "ready" if is_ready(pod) else "not ready"
        yield Evidence(f"Pod {name}", f"Kubernetes calls it {state}")


def _fixes(facts: Facts, entries: Iterable[_Unanswered]) -> tuple[Fix, ...]:
    """Return how to replace the pods: a stopped process does not end by itself."""
    fixes: dict[str, Fix] = {}
    for _, _, workload, pod in entries:
        if workload.component:
            return recover(facts)
        name = name_of(pod)
        fixes[name] = workload.kubectl("delete", "pod", name)
    return (*fixes.values(), devenv_command(facts, "doctor"))
