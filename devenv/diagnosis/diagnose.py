"""Facts into a diagnosis: all checks, then their causes. Pure: the same facts give the same diagnosis anywhere."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from devenv.diagnosis import codes
from devenv.diagnosis.causes import BLINDING, causes
from devenv.diagnosis.checks import (
    aibrix,
    declared,
    envoy,
    gateway,
    harmless,
    host,
    model,
    node,
    requests,
    workload,
)
from devenv.diagnosis.checks.registry import CHECKS
from devenv.diagnosis.model import Cause, Diagnosis, Finding, Place, Verdict
from devenv.facts.collect import KINDS, LATER, NEWEST, REQUESTS
from devenv.facts.live import UNPROVEN
from devenv.facts.model import Facts

# Importing them makes them checks.
__all__ = [
    "aibrix",
    "declared",
    "diagnose",
    "envoy",
    "gateway",
    "harmless",
    "host",
    "model",
    "node",
    "requests",
    "workload",
]


def diagnose(facts: Facts, ignore: Iterable[str] = ()) -> Diagnosis:
    """Return what the facts tell. Codes in `ignore`, and those that the profile ignores, are left out: they explain nothing."""
    ignored = frozenset({*ignore, *facts.profile.ignore})
    findings, failed = _findings(facts)
    if facts.context:
        findings = [_for_others(f) for f in findings]
    relevant_findings = [f for f in findings if f.code not in ignored]
    all_causes = causes(sorted(relevant_findings, key=lambda f: (f.code, f.subject)))
    faults = tuple(c for c in all_causes if c.root.verdict is not Verdict.PROGRESS)
    progress = tuple(c for c in all_causes if c.root.verdict is Verdict.PROGRESS)
    return Diagnosis(
        cluster=facts.cluster,
        profile=facts.profile.name,
        taken=facts.taken,
        causes=faults,
        progress=progress,
        harmless=tuple(f for f in relevant_findings if f.verdict is Verdict.HARMLESS),
        unknown=(*_unknown(facts, all_causes), *failed),
        requests=tuple((p.name, p.ok) for p in facts.proofs),
        broken=_broken(all_causes),
        ignored=ignored & {f.code for f in findings},
        context=facts.context,
    )


def _for_others(finding: Finding) -> Finding:
    """What devenv would do in its own cluster its owner must do himself in another: the code says what."""
    commands = tuple(line for line in finding.fix if not line.startswith("devenv "))
    return replace(finding, fix=commands or (f"devenv doctor --explain {finding.code}",))


def _findings(facts: Facts) -> tuple[list[Finding], list[tuple[str, str]]]:
    """Return what all checks find, and which of them met an object that they can't read: that is unknown, not fine."""
    findings: list[Finding] = []
    failed: list[tuple[str, str]] = []
    for check in CHECKS:
        try:
            findings += list(check(facts))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            where = f"{check.__module__.rpartition('.')[2]}.{check.__name__}"
            failed.append(
                (
                    f"check {where}",
                    f"an object of a shape that it does not know: {type(error).__name__}: {error}",
                )
            )
    return findings, failed


def _unknown(facts: Facts, all_causes: list[Cause]) -> tuple[tuple[str, str], ...]:
    """What could not be read, but for what a root explains: all, where it blinds; what is in a pod, where the pod fails."""
    findings = [f for c in all_causes for f in c.findings]
    if any(f.code in BLINDING for f in findings):
        return ()
    failing = tuple(
        key.rpartition("/")[2] for f in findings for key in f.about if key.startswith("deployment/")
    )
    unread = [
        (what, reason)
        for what, reason in facts.unknown.items()
        if not (failing and _pod(what).startswith(failing))
    ]
    unproven = [(f"request {p.name}", UNPROVEN) for p in facts.proofs if p.failures == (UNPROVEN,)]
    return (*unread, *unproven, *_absent(facts, failed=bool(failing)))


def _absent(facts: Facts, *, failed: bool) -> Iterator[tuple[str, str]]:
    """What should be among the facts, and is neither there nor said to be unknown."""
    kinds = [
        k
        for _, k in KINDS
        if k not in NEWEST and (k not in LATER or any(c.lease for c in facts.profile.components))
    ]
    for kind in (k for k in kinds if k not in facts.objects and facts.knows(k)):
        yield (kind, "it is not among the facts")
    # Nothing else was looked for.
    if facts.context:
        return
    if len(facts.proofs) < len(facts.profile.requests) and facts.knows(REQUESTS):
        yield (REQUESTS, "some were not sent")
    for running_node in (
        n
        for n in facts.nodes
        if n.status == "running" and n.disk is None and facts.knows(f"node {n.name}")
    ):
        yield (f"disk of {running_node.name}", "it is not among the facts")
    if (
        not facts.proxies
        and not failed
        and not any(what.startswith("Envoy ") for what in facts.unknown)
    ):
        yield ("Envoy", "no proxy of the Gateway's could be asked")


def _pod(what: str) -> str:
    """The pod that a look was for: `log POD/CONTAINER`, `Envoy POD`."""
    kind, _, name = what.partition(" ")
    return name.partition("/")[0] if kind in {"log", "Envoy"} else ""


def _broken(all_causes: list[Cause]) -> frozenset[Place]:
    """The places of the roots; where one has none, the first place among what follows from it."""
    places: set[Place] = set()
    for cause in all_causes:
        place = _place(cause.root)
        followed = sorted(
            (p for f in cause.consequences if (p := _place(f))), key=list(Place).index
        )
        places |= {place} if place else set(followed[:1])
    return frozenset(places)


def _place(finding: Finding) -> Place | None:
    return finding.place or codes.get(finding.code).place
