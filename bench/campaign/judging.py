"""What a round of random changes came to: what was broken, and whether doctor named it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What a round came to."""

    # Broken, and a root cause is on the way of what was changed.
    NAMED = "named"
    # Broken, and doctor named other roots only, or none.
    MISSED = "missed"
    # Broken, and doctor called the cluster healthy.
    CALLED_HEALTHY = "called healthy"
    # Not broken, and doctor named no root but the changed object.
    QUIET = "quiet"
    # Not broken, and doctor named another root.
    FALSE_ALARM = "false alarm"
    # doctor showed a traceback, or no JSON.
    CRASHED = "crashed"


BROKEN = frozenset({Outcome.NAMED, Outcome.MISSED, Outcome.CALLED_HEALTHY})


@dataclass(frozen=True)
class Round:
    """One round. `broken`: what failed, "" for nothing. `roots`: CODE SUBJECT of each root."""

    number: int
    change: str
    broken: str
    roots: tuple[str, ...]
    outcome: Outcome
    # What restored the cluster: the change taken back, `recover`, `up` or a new cluster.
    restored_by: str = ""

    def entry(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def judge(broken: str, diagnosis: Mapping[str, Any] | None, way: Iterable[str]) -> Outcome:
    """Return what doctor made of a change. `diagnosis`: its JSON, None if it gave none.

    `way`: names of the changed thing, its owners, and what it refers to or is referred to by.
    """
    if diagnosis is None:
        return Outcome.CRASHED
    on_way = [cause for cause in diagnosis["causes"] if _is_on_way(cause, way)]
    if not broken:
        others = len(diagnosis["causes"]) - len(on_way)
        return Outcome.FALSE_ALARM if others else Outcome.QUIET
    if on_way:
        return Outcome.NAMED
    return Outcome.CALLED_HEALTHY if diagnosis["healthy"] else Outcome.MISSED


def _is_on_way(cause: Mapping[str, Any], way: Iterable[str]) -> bool:
    """Whether the root's subject, its sentence or its evidence has one of the names."""
    evidence = [f"{piece['source']} {piece['text']}" for piece in cause["evidence"]]
    text = " ".join([cause["subject"], cause["says"], *evidence])
    return any(name in text for name in way)


def share_named(rounds: Iterable[Round]) -> float:
    """Return which share of the broken rounds was named, from 0 to 1; 1 if none was broken."""
    outcomes = [one.outcome for one in rounds if one.outcome in BROKEN]
    return outcomes.count(Outcome.NAMED) / len(outcomes) if outcomes else 1.0


def summary(rounds: Sequence[Round]) -> str:
    """Return the figures of a campaign in two lines."""
    counts = Counter(one.outcome for one in rounds)
    figures = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    return f"{len(rounds)} rounds: {figures}.\nNamed of the broken: {share_named(rounds):.0%}."
