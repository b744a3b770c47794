"""From facts to a diagnosis: all checks, then the cause graph.

Pure: the same facts give the same diagnosis on every machine.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, filterfalse

from devenv.diagnosis import codes, keys
from devenv.diagnosis.causes import BLINDING, causes
from devenv.diagnosis.checks import (
    aibrix,
    certificates,
    control_plane,
    declared,
    envoy,
    evicted,
    gateway,
    harmless,
    held,
    host,
    model,
    network,
    node,
    refused,
    requests,
    silent,
    superseded,
    told,
    traffic,
    workload,
)
from devenv.diagnosis.checks.drifted import drifted_objects
from devenv.diagnosis.checks.registry import CHECKS, Check
from devenv.diagnosis.differences import with_differences
from devenv.diagnosis.model import (
    Cause,
    Command,
    Diagnosis,
    Finding,
    Fix,
    LiveResult,
    Place,
    Unknown,
    Verdict,
)
from devenv.facts.collect import KINDS, LATER, NEWEST, REQUESTS
from devenv.facts.live import REACHED, UNPROVEN, Proof
from devenv.facts.model import Facts
from devenv.profiles.model import Route

# Importing a module of checks registers them.
__all__ = [
    "aibrix",
    "certificates",
    "control_plane",
    "declared",
    "diagnose",
    "envoy",
    "evicted",
    "gateway",
    "harmless",
    "held",
    "host",
    "model",
    "network",
    "node",
    "refused",
    "requests",
    "silent",
    "superseded",
    "told",
    "traffic",
    "workload",
]

# What a check raises when it meets an object of a shape that it does not expect.
_SHAPE_ERRORS = (LookupError, TypeError, ValueError, AttributeError)


def diagnose(facts: Facts, ignore: Iterable[str] = ()) -> Diagnosis:
    """Return what the facts tell.

    Findings with a code in `ignore`, or in the profile's `ignore`, are left out. They explain no
    other finding either. CODE:REASON leaves out only those with this reason of Kubernetes'.
    """
    ignored = frozenset({*ignore, *facts.profile.ignore})
    findings, failed_checks = _run_checks(facts)
    relevant = [f for f in findings if not f.tags & ignored]
    all_causes = _causes_of(relevant)
    suspects = list(drifted_objects(facts, all_causes))
    if suspects:
        findings += suspects
        relevant += [f for f in suspects if not f.tags & ignored]
        all_causes = _causes_of(relevant)
    all_causes = [with_differences(facts, cause) for cause in all_causes]
    unknown = [*_unknown(facts, all_causes), *failed_checks]
    return Diagnosis(
        cluster=facts.cluster,
        profile=facts.profile.name,
        taken=facts.taken,
        causes=tuple(filterfalse(_is_in_progress, all_causes)),
        progress=tuple(filter(_is_in_progress, all_causes)),
        harmless=tuple(filter(_is_harmless, relevant)),
        unknown=tuple(unknown),
        requests=tuple(map(_live_result, (*facts.proofs, *facts.long_proofs))),
        broken=_broken_places(all_causes),
        proven=_proven_places(facts),
        ignored=ignored.intersection(chain.from_iterable(f.tags for f in findings)),
        context=facts.context,
    )


def _causes_of(findings: Iterable[Finding]) -> list[Cause]:
    return causes(sorted(findings, key=lambda f: (f.code, str(f.subject))))


def _is_in_progress(cause: Cause) -> bool:
    return cause.root.verdict is Verdict.PROGRESS


def _is_harmless(finding: Finding) -> bool:
    return finding.verdict is Verdict.HARMLESS


def _live_result(proof: Proof) -> LiveResult:
    return LiveResult(proof.name, proof.ok)


def _run_checks(facts: Facts) -> tuple[list[Finding], list[Unknown]]:
    """Return all findings, and the checks that failed: what they would have found is unknown."""
    findings: list[Finding] = []
    failed_checks: list[Unknown] = []
    for check in CHECKS:
        try:
            findings += list(check(facts))
        except _SHAPE_ERRORS as error:
            reason = f"an object has an unexpected shape: {type(error).__name__}: {error}"
            failed_checks.append(Unknown(f"check {_check_name(check)}", reason))
    if facts.context:
        findings = [_for_another_owner(finding) for finding in findings]
    return findings, failed_checks


def _check_name(check: Check) -> str:
    """Return MODULE.FUNCTION of a check."""
    module = check.__module__.rpartition(".")[2]
    return f"{module}.{check.__name__}"


def _for_another_owner(finding: Finding) -> Finding:
    """Leave out devenv's commands: in a cluster that it did not make, it repairs nothing.

    If no other command is left, the code's explanation says what the owner can do.
    """
    fixes_for_owner = tuple(fix for fix in finding.fix if not _is_devenvs(fix))
    explanation = Command(("devenv", "doctor", "--explain", finding.code))
    return replace(finding, fix=fixes_for_owner or (explanation,))


def _is_devenvs(fix: Fix) -> bool:
    return isinstance(fix, Command) and fix.runs("devenv")


# What is unknown


def _unknown(facts: Facts, all_causes: list[Cause]) -> list[Unknown]:
    """Return what could not be read, except what a root cause explains.

    If it keeps everything from being read, it explains all of that. If it is about a workload, it
    explains what could not be read in the workload's pods.
    """
    findings = list(_findings_of(all_causes))
    if any(finding.code in BLINDING for finding in findings):
        return []
    failed_workloads = tuple(_failed_workloads(findings))
    return [
        *_unread(facts, failed_workloads),
        *_unproven(facts),
        *_missing_facts(facts, any_workload_failed=bool(failed_workloads)),
    ]


def _findings_of(all_causes: Iterable[Cause]) -> Iterator[Finding]:
    for cause in all_causes:
        yield from cause.findings


def _failed_workloads(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield the names of the workloads that findings are about, without their namespaces."""
    for finding in findings:
        for full_name in keys.names_in(finding.about, keys.DEPLOYMENT):
            yield full_name.rpartition("/")[2]


def _unread(facts: Facts, failed_workloads: tuple[str, ...]) -> Iterator[Unknown]:
    for what, reason in facts.unknown.items():
        is_explained = failed_workloads and _pod_of(what).startswith(failed_workloads)
        if not is_explained:
            yield Unknown(what, reason)


def _unproven(facts: Facts) -> Iterator[Unknown]:
    for proof in facts.proofs:
        if proof.failures == (UNPROVEN,):
            yield Unknown(f"request {proof.name}", UNPROVEN)


def _pod_of(what: str) -> str:
    """Return the pod from which something was to be read: `log POD/CONTAINER`, `Envoy POD`, …."""
    source, _, name = what.partition(" ")
    if source not in {"log", "Envoy", "traffic"}:
        return ""
    return name.partition("/")[0]


def _missing_facts(facts: Facts, *, any_workload_failed: bool) -> Iterator[Unknown]:
    """Yield what should be among the facts, and is neither there nor reported as unknown."""
    for kind in _kinds_to_collect(facts):
        if kind not in facts.objects and facts.knows(kind):
            yield Unknown(kind, "it is not among the facts")
    if facts.context:
        # Only the API server was asked.
        return
    if len(facts.proofs) < len(facts.profile.requests) and facts.knows(REQUESTS):
        yield Unknown(REQUESTS, "some were not sent")
    for name in _nodes_without_disk(facts):
        yield Unknown(f"disk of {name}", "it is not among the facts")
    if not (facts.proxies or any_workload_failed or _is_any_proxy_unknown(facts)):
        yield Unknown("Envoy", "no proxy of the Gateway could be asked")


def _nodes_without_disk(facts: Facts) -> Iterator[str]:
    """Yield the names of running nodes that could be read, but whose disk was not."""
    for node_facts in facts.nodes:
        was_read = facts.knows(f"node {node_facts.name}")
        if node_facts.status == "running" and was_read and node_facts.disk is None:
            yield node_facts.name


def _is_any_proxy_unknown(facts: Facts) -> bool:
    return any(what.startswith("Envoy ") for what in facts.unknown)


def _kinds_to_collect(facts: Facts) -> Iterator[str]:
    """Yield the kinds that facts must have, whatever version of devenv collected them."""
    has_controllers = any(component.lease for component in facts.profile.components)
    for _, kind in KINDS:
        if kind in NEWEST or (kind in LATER and not has_controllers):
            continue
        yield kind


# Where requests break


# Where each kind of request comes through.
_WAYS = {
    Route.DIRECT: frozenset(Place) - {Place.FILTER, Place.PLUGINS},
    Route.EXTENSION: frozenset(Place),
    Route.PLAIN: frozenset(Place),
    Route.MODELS: frozenset(Place) - {Place.MODEL},
}
# Where a request has come that Envoy's log has.
_LOGGED = frozenset({Place.CLIENT, Place.PORT, Place.ENVOY})


def _proven_places(facts: Facts) -> frozenset[Place]:
    """Return the places that live requests came through, also those that failed further on."""
    places: set[Place] = set()
    for proof in facts.proofs:
        if proof.ok:
            places |= _WAYS[proof.route]
        if proof.line:
            places |= _LOGGED
        if REACHED in proof.answer.headers:
            places |= {*_LOGGED, Place.FILTER}
    return frozenset(places)


def _broken_places(all_causes: list[Cause]) -> frozenset[Place]:
    """Return the place of each root cause, or if it has none, the first place among its effects."""
    return frozenset(filter(None, map(_first_broken_place, all_causes)))


def _first_broken_place(cause: Cause) -> Place | None:
    if place := _place_of(cause.root):
        return place
    effect_places = set(map(_place_of, cause.consequences))
    # Place lists them in the order in which requests pass them.
    for place in Place:
        if place in effect_places:
            return place
    return None


def _place_of(finding: Finding) -> Place | None:
    return finding.place or codes.get(finding.code).place
