"""How it came about: everything that facts date, in its order. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from devenv.diagnosis.model import Diagnosis
from devenv.diagnosis.read import conditions, label, seconds
from devenv.facts.collect import component_pods
from devenv.facts.model import Facts

# HTTP status from which on an answer is a failure.
_BAD = 500
_CONDITIONED = (
    "Gateway",
    "HTTPRoute",
    "EnvoyPatchPolicy",
    "EnvoyExtensionPolicy",
    "ClientTrafficPolicy",
)


class Sort(StrEnum):
    """What kind of thing happened."""

    EVIDENCE = "evidence"
    START = "start"
    CONDITION = "condition"
    REQUEST = "request"
    LOOK = "look"


@dataclass(frozen=True, order=True)
class Moment:
    """Something that happened. `time` in seconds since 1970."""

    time: float
    sort: Sort
    source: str
    text: str


def timeline(facts: Facts, diagnosis: Diagnosis) -> list[Moment]:
    """Return what is known of the time before the look, each thing once; evidence comes before what else says the same."""
    evidence = {
        Moment(e.time, Sort.EVIDENCE, e.source, e.text)
        for cause in (*diagnosis.causes, *diagnosis.progress) for e in cause.timeline
    }  # fmt: skip
    keys = {(m.time, m.source) for m in evidence}
    others = {
        m
        for m in (*_starts(facts), *_conditions(facts), *_requests(facts))
        if m.time and (m.time, m.source) not in keys
    }
    return sorted(
        [*evidence, *others, Moment(facts.taken, Sort.LOOK, "devenv doctor", "this look")]
    )


def _starts(facts: Facts) -> Iterator[Moment]:
    for node in facts.nodes:
        yield Moment(node.started, Sort.START, f"node {node.name}", "started")
        if node.ended and node.status != "running":
            yield Moment(node.ended, Sort.START, f"node {node.name}", "ended")
    for component, pod in component_pods(facts.profile, dict(facts.objects)):
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            running = (status.get("state") or {}).get("running") or {}
            restarts = status.get("restartCount") or 0
            text = f"{component.name}: container {status['name']} started" + (
                f", restart {restarts}" if restarts else ""
            )
            yield Moment(
                seconds(running.get("startedAt")),
                Sort.START,
                f"pod {pod['metadata']['name']}",
                text,
            )


def _conditions(facts: Facts) -> Iterator[Moment]:
    for kind in _CONDITIONED:
        for obj in facts.of(kind):
            for condition in conditions(obj):
                text = f"{condition['type']}={condition['status']} {condition.get('reason', '')}".strip()
                yield Moment(
                    seconds(condition.get("lastTransitionTime")),
                    Sort.CONDITION,
                    f"{kind} {label(obj)}",
                    text,
                )


def _requests(facts: Facts) -> Iterator[Moment]:
    """Yield the first failed request of each route, and how many more followed."""
    first_failures: dict[str, tuple[float, str]] = {}
    count: dict[str, int] = {}
    for _, line in facts.lines():
        when, _, text = line.partition(" ")
        try:
            entry = json.loads(text) if text.startswith("{") else {}
        except ValueError:
            continue
        code = str(entry.get("response_code") or "")
        if code.isdigit() and int(code) >= _BAD:
            route = str(entry.get("route_name") or "no route")
            first_failures.setdefault(
                route, (seconds(when), f"{code} {entry.get('response_flags') or ''}".strip())
            )
            count[route] = count.get(route, 0) + 1
    for route, (time, what) in first_failures.items():
        suffix = f", and {count[route] - 1} more by this route" if count[route] > 1 else ""
        yield Moment(
            time, Sort.REQUEST, f"access log, {route}", f"the first failed request: {what}{suffix}"
        )
