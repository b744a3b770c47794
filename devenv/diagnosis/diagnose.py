"""Facts into a diagnosis: all checks, then their causes. Pure: the same facts give the same diagnosis anywhere."""

from collections.abc import Iterable

from devenv.diagnosis import codes
from devenv.diagnosis.causes import BLINDING, causes
from devenv.diagnosis.checks import envoy, gateway, harmless, host, model, node, requests, workload
from devenv.diagnosis.checks.registry import CHECKS
from devenv.diagnosis.model import Cause, Diagnosis, Finding, Place, Verdict
from devenv.facts.live import UNPROVEN
from devenv.facts.model import Facts

__all__ = [
    "diagnose",
    "envoy",
    "gateway",
    "harmless",
    "host",
    "model",
    "node",
    "requests",
    "workload",
]  # importing them makes them checks


def diagnose(facts: Facts, ignore: Iterable[str] = ()) -> Diagnosis:
    """Return what the facts tell. Codes in `ignore`, and those that the profile ignores, are left out as roots."""
    ignored = frozenset({*ignore, *facts.profile.ignore})
    found = [f for check in CHECKS for f in check(facts)]
    judged = [c for c in causes(sorted(found, key=lambda f: (f.code, f.subject))) if c.root.code not in ignored]
    faults = tuple(c for c in judged if c.root.verdict is not Verdict.PROGRESS)
    progress = tuple(c for c in judged if c.root.verdict is Verdict.PROGRESS)
    return Diagnosis(
        cluster=facts.cluster,
        profile=facts.profile.name,
        taken=facts.taken,
        causes=faults,
        progress=progress,
        harmless=tuple(f for f in found if f.verdict is Verdict.HARMLESS and f.code not in ignored),
        unknown=_unknown(facts, [*faults, *progress]),
        requests=tuple((p.name, p.ok) for p in facts.proofs),
        broken=_broken([*faults, *progress]),
        ignored=ignored & {f.code for f in found},
    )


def _unknown(facts: Facts, judged: list[Cause]) -> tuple[tuple[str, str], ...]:
    """What could not be read, but for what a root explains: all, where it blinds; what is in a pod, where the pod fails."""
    found = [f for c in judged for f in c.findings]
    if any(f.code in BLINDING or f.code == "DE107" for f in found):
        return ()
    failing = tuple(key.rpartition("/")[2] for f in found for key in f.about if key.startswith("deployment/"))
    unread = [(what, why) for what, why in facts.unknown.items() if not _pod(what).startswith(failing)]
    return (*unread, *((f"request {p.name}", UNPROVEN) for p in facts.proofs if p.failures == (UNPROVEN,)))


def _pod(what: str) -> str:
    """The pod that a look was for: `log POD/CONTAINER`, `Envoy POD`."""
    kind, _, name = what.partition(" ")
    return name.partition("/")[0] if kind in {"log", "Envoy"} else ""


def _broken(judged: list[Cause]) -> frozenset[Place]:
    """The places of the roots; where one has none, the first place among what follows from it."""
    places: set[Place] = set()
    for cause in judged:
        own = _place(cause.root)
        followed = sorted((p for f in cause.consequences if (p := _place(f))), key=list(Place).index)
        places |= {own} if own else set(followed[:1])
    return frozenset(places)


def _place(finding: Finding) -> Place | None:
    return finding.place or codes.get(finding.code).place
