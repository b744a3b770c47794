"""Kubernetes' warnings as `status --watch` shows them."""

from devenv.cluster.recent_events import read_events

AT_12 = 1769860800.0


class Events:
    def __init__(self, *events) -> None:
        self.events = events

    def select(self, *_kind):
        return list(self.events)


def event(name, time, kind="Warning", **others):
    subject = {"kind": "Pod", "namespace": "a", "name": name}
    words = {"reason": "BackOff", "message": "Back-off\nrestarting"}
    return {"type": kind, "involvedObject": subject, "lastTimestamp": time, **words, **others}


def test_warnings_alone_come_and_the_newest_comes_first():
    kube = Events(
        event("old", "2026-01-31T10:59:59Z"),
        event("first", "2026-01-31T11:30:00Z"),
        event("last", "2026-01-31T12:00:00Z"),
        event("fine", "2026-01-31T12:00:00Z", kind="Normal"),
    )
    events = read_events(kube, AT_12 - 3600)
    assert [e.subject for e in events] == ["Pod a/last", "Pod a/first"]
    assert events[0].message == "Back-off restarting"


def test_a_series_has_its_own_time_and_count():
    series = {"lastObservedTime": "2026-01-31T12:00:00Z", "count": 7}
    (repeated,) = read_events(Events(event("x", None, series=series, count=2)), 0)
    assert (repeated.time, repeated.count) == (AT_12, 7)


def test_an_event_of_a_node_has_no_namespace():
    node = {"kind": "Node", "name": "c-control-plane"}
    (only,) = read_events(Events(event("x", None, involvedObject=node)), 0)
    assert only.subject == "Node c-control-plane"
