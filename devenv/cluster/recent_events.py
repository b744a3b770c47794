"""Kubernetes' last warnings, for a screen that shows them as they come."""

from dataclasses import dataclass

from devenv.facts.objects import Fields, fields_of
from devenv.facts.times import seconds
from devenv.ports.kube import Kube, Manifest


@dataclass(frozen=True)
class RecentEvent:
    """One warning. `time`: when it was last seen, in seconds since 1970."""

    time: float
    subject: str
    reason: str
    message: str
    count: int = 1


def read_events(kube: Kube, since: float) -> list[RecentEvent]:
    """Return the warnings seen from `since` on, in seconds since 1970; the newest first.

    Raises DevenvError if the API server does not answer.
    """
    warnings = [event for event in kube.select("v1", "Event") if event.get("type") == "Warning"]
    recent = [event for event in map(_read, warnings) if event.time >= since]
    return sorted(recent, key=lambda event: event.time, reverse=True)


def _read(event: Manifest) -> RecentEvent:
    series = fields_of(event, "series")
    last_seen = series.get("lastObservedTime") or event.get("lastTimestamp")
    return RecentEvent(
        time=seconds(last_seen or event.get("eventTime")),
        subject=_subject(fields_of(event, "involvedObject")),
        reason=str(event.get("reason") or ""),
        message=" ".join(str(event.get("message") or "").split()),
        count=int(series.get("count") or event.get("count") or 1),
    )


def _subject(reference: Fields) -> str:
    parts = (reference.get("namespace"), reference.get("name"))
    name = "/".join(str(part) for part in parts if part)
    return f"{reference.get('kind')} {name}"
