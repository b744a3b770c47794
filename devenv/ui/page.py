"""A diagnosis as a page: one file that loads nothing, to be attached to an issue."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape

from devenv.diagnosis.codes import book
from devenv.diagnosis.model import Cause, Diagnosis, Place
from devenv.diagnosis.read import label
from devenv.diagnosis.timeline import timeline
from devenv.facts.model import Facts, dump
from devenv.ui import console
from devenv.ui.diagnosis import clock, headline_text, since

# Of the drawing's own units, from one place to the next.
_STEP = 132


@dataclass(frozen=True)
class Stop:
    """A place on a request's way. `state`: fine, broken, or beyond, where requests do not come any more."""

    name: str
    state: str
    codes: tuple[str, ...]
    at: int


@dataclass(frozen=True)
class Fold:
    """Facts of one kind, folded: what they are, and each of them."""

    title: str
    # Pairs of a name and a text.
    items: tuple[tuple[str, str], ...]


def page(facts: Facts, diagnosis: Diagnosis) -> str:
    """Return the page."""
    rooms = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    rooms.filters |= {"plain": _plain, "clock": clock}
    moments = timeline(facts, diagnosis)
    began = min((c.since for c in diagnosis.causes if c.since), default=facts.taken)
    return rooms.get_template("page.html").render(
        found=diagnosis,
        facts=facts,
        headline=headline_text(diagnosis),
        mood="good" if diagnosis.healthy else "bad" if diagnosis.causes else "unsure",
        stops=list(stops(diagnosis)),
        causes=[
            (c, since(c.since, diagnosis.taken), fold_consequences(c))
            for c in (*diagnosis.causes, *diagnosis.progress)
        ],
        moments=[(m, _offset(m.time - began)) for m in moments],
        folds=list(folds(facts)),
        book=book(),
        step=_STEP,
    )


def stops(diagnosis: Diagnosis) -> Iterator[Stop]:
    """Yield the places on a request's way; those behind the first broken one are beyond."""
    codes: dict[Place, list[str]] = {}
    code_book = book()
    for cause in diagnosis.causes:
        for finding in cause.findings:
            place = finding.place or (
                code_book[finding.code].place if finding.code in code_book else None
            )
            if place and finding.code not in codes.setdefault(place, []):
                codes[place].append(finding.code)
    state = "fine"
    for number, place in enumerate(Place):
        broken = place in diagnosis.broken
        yield Stop(place.value, "broken" if broken else state, tuple(codes.get(place, ())), number)
        state = "beyond" if broken else state


def fold_consequences(cause: Cause) -> list[tuple[str, str]]:
    """Return what follows from a root, each thing once."""
    return list(dict.fromkeys((f.code, f.says) for f in cause.consequences))


def folds(facts: Facts) -> Iterator[Fold]:
    """Yield all facts, by what they are of."""
    whole: dict[str, Any] = json.loads(dump(facts))
    plain = {
        k: v
        for k, v in whole.items()
        if k not in {"objects", "logs", "proxies", "proofs", "profile", "nodes"}
    }
    yield Fold("The look", (("engine, disks, ports", _json(plain)),))
    yield Fold("Nodes", tuple((n["name"], _json(n)) for n in whole["nodes"]))
    yield Fold("Live requests", tuple((p["name"], _json(p)) for p in whole["proofs"]))
    yield Fold("Envoy", tuple((p["pod"], _json(p)) for p in whole["proxies"]))
    for kind, objects in sorted(whole["objects"].items()):
        yield Fold(kind, tuple((label(o), _json(o)) for o in objects))
    yield Fold(
        "Logs",
        tuple(
            (f"{log['pod']}/{log['container']}", "\n".join(log["lines"])) for log in whole["logs"]
        ),
    )
    yield Fold("Profile", ((facts.profile.name, _json(whole["profile"])),))


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=False)


def _plain(text: str) -> str:
    """Text without control characters, but with its lines."""
    return "\n".join(console.harmless(line) for line in str(text).splitlines())


def _offset(seconds: float) -> str:
    """How long before or after the root began."""
    whole = round(seconds)
    if whole == 0:
        return "0"
    sign, whole = ("+" if whole > 0 else "\N{MINUS SIGN}"), abs(whole)
    if whole < 120:  # noqa: PLR2004
        return f"{sign}{whole} s"
    return f"{sign}{whole // 60} min" if whole < 7200 else f"{sign}{whole // 3600} h"  # noqa: PLR2004
