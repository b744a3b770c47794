"""How it came about: everything that facts date, in its order. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from devenv.diagnosis.model import Diagnosis
from devenv.diagnosis.read import conditions, label, seconds
from devenv.facts.collect import component_pods
from devenv.facts.model import Facts

_BAD = 500  # HTTP status from which on an answer is a failure
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


def timeline(facts: Facts, found: Diagnosis) -> list[Moment]:
    """Return what is known of the time before the look, each thing once; evidence comes before what else says the same."""
    told = {
        Moment(e.time, Sort.EVIDENCE, e.source, e.text)
        for cause in (*found.causes, *found.progress) for e in cause.timeline
    }  # fmt: skip
    said = {(m.time, m.source) for m in told}
    others = {
        m
        for m in (*_starts(facts), *_conditions(facts), *_requests(facts))
        if m.time and (m.time, m.source) not in said
    }
    return sorted([*told, *others, Moment(facts.taken, Sort.LOOK, "devenv doctor", "this look")])


def _starts(facts: Facts) -> Iterator[Moment]:
    for node in facts.nodes:
        yield Moment(node.started, Sort.START, f"node {node.name}", "started")
        if node.ended and node.status != "running":
            yield Moment(node.ended, Sort.START, f"node {node.name}", "ended")
    for component, pod in component_pods(facts.profile, dict(facts.objects)):
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            running = (status.get("state") or {}).get("running") or {}
            again = status.get("restartCount") or 0
            text = f"{component.name}: container {status['name']} started" + (
                f", restart {again}" if again else ""
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
    first: dict[str, tuple[float, str]] = {}
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
            first.setdefault(
                route, (seconds(when), f"{code} {entry.get('response_flags') or ''}".strip())
            )
            count[route] = count.get(route, 0) + 1
    for route, (at, what) in first.items():
        more = f", and {count[route] - 1} more by this route" if count[route] > 1 else ""
        yield Moment(
            at, Sort.REQUEST, f"access log, {route}", f"the first failed request: {what}{more}"
        )
