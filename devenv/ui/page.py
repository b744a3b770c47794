"""A diagnosis as a page: one file that loads nothing, to be attached to an issue."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from operator import itemgetter
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup

from devenv.diagnosis.codes import book
from devenv.diagnosis.model import Command, Diagnosis, Finding, Place, PlaceState
from devenv.diagnosis.timeline import Moment, Sort, timeline
from devenv.facts.live import Proof
from devenv.facts.model import Facts, dump
from devenv.facts.objects import full_name
from devenv.profiles.model import Profile, Route
from devenv.recovery.drift import Drift
from devenv.recovery.plan import Kind, RepairStep
from devenv.recovery.proposal import Proposal, of_facts
from devenv.ui import console, times
from devenv.ui.diagnosis import age, headline_text, joined, joined_causes, problem_text, proven_text
from devenv.ui.recovery import HIDDEN, UNCHANGED, shown_value, words

# Facts that have a fold of their own.
_OWN_FOLDS = {"objects", "logs", "proxies", "proofs", "profile", "nodes"}
# Moments before the onset that are shown; older ones are folded.
_BEFORE_ONSET = 3
# Characters of a date.
_DAY = len("2026-01-01")
# Fewer moments than these are not worth a fold.
_FEWEST_FOLDED = 3
_SIGNS = {
    PlaceState.PROVEN: "✓",
    PlaceState.BROKEN: "✗",
    PlaceState.UNPROVEN: "?",
}
_MOOD_SIGNS = {"good": "✓", "bad": "✗", "unsure": "?"}


@dataclass(frozen=True)
class Stop:
    """A place on a request's way, and the codes of what was found there."""

    name: str
    state: PlaceState
    codes: tuple[str, ...]

    @property
    def sign(self) -> str:
        """The state as a character."""
        return _SIGNS[self.state]


@dataclass(frozen=True)
class Fold:
    """Facts of one kind, folded: what they are, and each of them."""

    title: str
    # Pairs of a name and a text.
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _RootCause:
    """A root cause as the page shows it."""

    root: Finding
    since: float
    # How long before the look it began.
    age: str
    # Pairs of a fix and whether a shell understands it.
    fixes: tuple[tuple[str, bool], ...]
    # Pairs of a code and a sentence.
    effects: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _LiveRequest:
    """A live request as the page shows it."""

    name: str
    ok: bool
    pod: str
    answer: str
    method: str
    base: str
    path: str
    failures: tuple[str, ...]


@dataclass(frozen=True)
class _Step:
    """A step of `recover` as the page shows it."""

    words: str
    codes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    drifts: tuple[Drift, ...] = ()


def page(facts: Facts, diagnosis: Diagnosis) -> str:
    """Return the page as HTML."""
    template = _templates().get_template("page.html")
    mood = _mood(diagnosis)
    moments, onset = timeline(facts, diagnosis), _onset(facts, diagnosis)
    folded_count = folded(moments, onset)
    rows = _with_offsets(moments, onset)
    return template.render(
        diagnosis=diagnosis,
        facts=facts,
        headline=headline_text(diagnosis),
        verdict=problem_text(diagnosis),
        proven=proven_text(diagnosis),
        mood=mood,
        sign=_MOOD_SIGNS[mood],
        stops=list(stops(diagnosis)),
        causes=_root_causes(diagnosis),
        proofs=[_live_request(proof, facts.profile) for proof in facts.proofs],
        steps=_steps(facts, diagnosis),
        old_moments=rows[:folded_count],
        moments=rows[folded_count:],
        folds=list(folds(facts)),
        hidden=HIDDEN,
        book=book(),
    )


def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "plain": _plain,
        "prose": _prose,
        "value": shown_value,
        "local": times.local_second,
        "local_day": lambda time: times.local_second(time)[:_DAY],
        "iso": lambda time: f"{datetime.fromtimestamp(time, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "day": lambda time: f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d}",
        "utc": lambda time: f"{datetime.fromtimestamp(time, UTC):%H:%M:%SZ}",
    }
    return environment


def _mood(diagnosis: Diagnosis) -> str:
    if diagnosis.healthy:
        return "good"
    if diagnosis.causes:
        return "bad"
    return "unsure"


def _root_causes(diagnosis: Diagnosis) -> list[_RootCause]:
    """Return each root cause, those under way last."""
    return [
        _RootCause(
            root=cause.root,
            since=cause.since,
            age=age(max(0, int(diagnosis.taken - cause.since))),
            fixes=tuple((str(fix), isinstance(fix, Command)) for fix in cause.root.fix),
            effects=tuple(joined(cause.consequences)),
        )
        for cause in joined_causes(diagnosis)
    ]


def _live_request(proof: Proof, profile: Profile) -> _LiveRequest:
    """Return what a live request showed: who answered, how fast, and at which address."""
    answer = proof.answer
    method, path = "POST", "/v1/chat/completions"
    if proof.route is Route.MODELS:
        method, path = "GET", "/v1/models"
    text = f"{answer.status} in {answer.seconds * 1000:.0f} ms"
    if not answer.status:
        text = answer.error or "none"
    return _LiveRequest(
        name=proof.name,
        ok=proof.ok,
        pod=proof.pod or "no pod",
        answer=text,
        method=method,
        base=profile.gateway.url,
        path=path,
        failures=proof.failures,
    )


# What `recover` would do


def _steps(facts: Facts, diagnosis: Diagnosis) -> list[_Step]:
    """Return the plan of `recover`; none for a cluster that devenv did not make."""
    if facts.context:
        return []
    proposal = of_facts(facts, diagnosis)
    return [_step(step, proposal) for step in proposal.plan.steps]


def _step(step: RepairStep, proposal: Proposal) -> _Step:
    notes: tuple[str, ...] = ()
    drifts: tuple[Drift, ...] = ()
    if step.kind is Kind.ROOM:
        notes = ("`devenv recover --dry-run` lists what it would remove.",)
    elif step.kind is Kind.PUT_BACK:
        drifts = proposal.drifts
        if not proposal.is_compared:
            notes = (
                "These facts lack the profile's values; `devenv recover --dry-run` shows them.",
            )
        elif not drifts:
            notes = (UNCHANGED,)
    return _Step(words(step), step.codes, notes, drifts)


# The time line


def _onset(facts: Facts, diagnosis: Diagnosis) -> float:
    """Return when the first root cause began, otherwise when the facts were taken."""
    onsets = [cause.since for cause in diagnosis.causes if cause.since]
    return min(onsets, default=facts.taken)


def folded(moments: Sequence[Moment], onset: float) -> int:
    """Return how many of the first moments are old: long before the onset and all evidence."""
    earlier_moments = takewhile(
        lambda moment: moment.time < onset and moment.sort is not Sort.EVIDENCE, moments
    )
    count = len(list(earlier_moments)) - _BEFORE_ONSET
    return count if count >= _FEWEST_FOLDED else 0


def _with_offsets(moments: Sequence[Moment], onset: float) -> list[tuple[Moment, str]]:
    """Return each moment with its distance from the onset."""
    return [(moment, _offset(moment.time - onset)) for moment in moments]


# A request's way


def stops(diagnosis: Diagnosis) -> Iterator[Stop]:
    """Yield the places on a request's way."""
    codes = _codes_by_place(diagnosis)
    for place in Place:
        yield Stop(place.value, diagnosis.state_of(place), tuple(codes.get(place, ())))


def _codes_by_place(diagnosis: Diagnosis) -> dict[Place, list[str]]:
    """Return the codes of all findings at each place, each code once."""
    codes: dict[Place, list[str]] = {}
    for cause in diagnosis.causes:
        for finding in cause.findings:
            place = _place_of(finding)
            if place and finding.code not in codes.setdefault(place, []):
                codes[place].append(finding.code)
    return codes


def _place_of(finding: Finding) -> Place | None:
    """Return a finding's own place, or else that of its code."""
    code = book().get(finding.code)
    if finding.place or code is None:
        return finding.place
    return code.place


def folds(facts: Facts) -> Iterator[Fold]:
    """Yield all facts, kind by kind."""
    content: dict[str, Any] = json.loads(dump(facts))
    machine_facts = {key: value for key, value in content.items() if key not in _OWN_FOLDS}
    yield _single_fold("The facts as a whole", "engine, disks, ports", machine_facts)
    yield _fold("Nodes", content["nodes"], itemgetter("name"))
    yield _fold("Live requests", content["proofs"], itemgetter("name"))
    yield _fold("Envoy", content["proxies"], itemgetter("pod"))
    for kind, objects in sorted(content["objects"].items()):
        yield _fold(kind, objects, full_name)
    yield _log_fold(content["logs"])
    yield _single_fold("Profile", facts.profile.name, content["profile"])


def _single_fold(title: str, name: str, value: Any) -> Fold:
    return Fold(title, ((name, _json(value)),))


def _fold(title: str, records: Sequence[Mapping[str, Any]], name_of: Callable[[Any], str]) -> Fold:
    """Return a fold of records, each under its name."""
    items = [(name_of(record), _json(record)) for record in records]
    return Fold(title, tuple(items))


def _log_fold(logs: Sequence[Mapping[str, Any]]) -> Fold:
    """Return a fold of logs as their lines, not as JSON."""
    items = []
    for log in logs:
        name = f"{log['pod']}/{log['container']}"
        items.append((name, "\n".join(log["lines"])))
    return Fold("Logs", tuple(items))


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=False)


def _plain(text: str) -> str:
    """Return text without control characters, but with its lines."""
    return console.harmless_lines(str(text))


def _prose(text: str) -> Markup:
    """Return text in which what stands in backticks is code."""
    html = Markup()
    for position, part in enumerate(_plain(text).split("`")):
        html += Markup("<code>{}</code>").format(part) if position % 2 else part
    return html


def _offset(seconds: float) -> str:
    """Return how long before or after the onset something was."""
    distance = round(seconds)
    if distance == 0:
        return "0"
    sign = "+" if distance > 0 else "\N{MINUS SIGN}"
    return f"{sign}{age(abs(distance))}"
