"""Kubernetes' events as records. Any field may be missing."""

from dataclasses import dataclass, replace

from devenv.diagnosis.model import Evidence
from devenv.diagnosis.times import parse_time
from devenv.facts.model import Facts
from devenv.facts.objects import Fields, fields_of, full_name, name_of, namespace_of
from devenv.ports.kube import Manifest


@dataclass(frozen=True)
class ClusterEvent:
    """What happened to one object. `onset` and `latest` are in seconds since 1970, 0 if unknown."""

    kind: str
    namespace: str
    name: str
    uid: str
    reason: str
    message: str
    onset: float
    latest: float
    count: int
    is_warning: bool

    @property
    def words(self) -> str:
        """The event as evidence shows it: REASON: MESSAGE."""
        return f"{self.reason}: {self.message}".strip(": ")

    @property
    def source(self) -> str:
        """What evidence calls it."""
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"event {self.kind} {place}"

    def evidence(self, begin: float = 0.0) -> Evidence:
        """Return it as evidence. What came before `begin`, the last progress, is not its onset."""
        time = self.onset if self.onset >= begin else self.latest
        return Evidence(self.source, self.words, time)


def events_with_reason(facts: Facts, reason: str) -> list[ClusterEvent]:
    """Return all events of a reason, the oldest first."""
    candidates = [event for event in facts.of("Event") if event.get("reason") == reason]
    return sorted(map(_read, candidates), key=lambda event: event.latest)


def events_about(facts: Facts, kind: str, obj: Manifest) -> list[ClusterEvent]:
    """Return the events of one object, the oldest first.

    An earlier object of the same name has another UID.
    """
    uid = str(obj["metadata"].get("uid") or "")
    events = events_named(facts, kind, namespace_of(obj), name_of(obj))
    return [event for event in events if uid in {"", event.uid} or not event.uid]


def events_named(facts: Facts, kind: str, namespace: str, name: str) -> list[ClusterEvent]:
    """Return the events of all objects that have had a name, the oldest first."""
    # By the name first: a large cluster has thousands of events.
    candidates = [
        e for e in facts.of("Event") if fields_of(e, "involvedObject").get("name") == name
    ]
    events = sorted(map(_read, candidates), key=lambda event: event.latest)
    return [e for e in events if (e.kind, e.namespace) == (kind, namespace)]


def warnings_about(facts: Facts, kind: str, obj: Manifest, begin: float) -> list[ClusterEvent]:
    """Return the warnings about an object that are not older than `begin`, the oldest first."""
    # Kubernetes' times have whole seconds.
    earliest = float(int(begin))
    events = events_about(facts, kind, obj)
    return [event for event in events if event.is_warning and event.latest >= earliest]


def merged(events: list[ClusterEvent]) -> ClusterEvent:
    """Return the last of several events, since the first: each may have words of its own.

    The names of sandboxes and of pods differ in each, so Kubernetes does not count them as one.
    """
    onset = min(event.onset for event in events)
    return replace(events[-1], onset=onset, count=sum(event.count for event in events))


def source_of(kind: str, obj: Manifest) -> str:
    """Return what evidence calls an object."""
    return f"{kind} {full_name(obj)}"


def _read(event: Fields) -> ClusterEvent:
    involved, series = fields_of(event, "involvedObject"), fields_of(event, "series")
    begun = parse_time(event.get("firstTimestamp") or event.get("eventTime"))
    last_time = series.get("lastObservedTime") or event.get("lastTimestamp")
    return ClusterEvent(
        kind=str(involved.get("kind") or ""),
        namespace=str(involved.get("namespace") or namespace_of(event)),
        name=str(involved.get("name") or ""),
        uid=str(involved.get("uid") or ""),
        reason=str(event.get("reason") or ""),
        message=str(event.get("message") or "").strip(),
        onset=begun,
        latest=parse_time(last_time) or begun,
        count=int(series.get("count") or event.get("count") or 1),
        is_warning=event.get("type") == "Warning",
    )
