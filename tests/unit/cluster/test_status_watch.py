"""What `status --watch` reads."""

from itertools import islice
from types import SimpleNamespace

import pytest

from devenv.base.errors import DevenvError
from devenv.cluster.status_watch import StatusWatch
from tests.unit.ui.test_status import STATUS

WARNING = {
    "type": "Warning",
    "involvedObject": {"kind": "Pod", "name": "x"},
    "lastTimestamp": "1970-01-01T00:00:00Z",
    "reason": "BackOff",
}


class Routes:
    routes, problem = (), ""

    def __init__(self) -> None:
        self.calls = []

    def start(self):
        self.calls.append("start")

    def stop(self):
        self.calls.append("stop")


@pytest.fixture
def watch(fakes, monkeypatch):
    monkeypatch.setattr(fakes.kube, "select", lambda *_: [WARNING])
    looks = iter([STATUS, DevenvError("No engine."), STATUS])

    def read():
        look = next(looks)
        if isinstance(look, DevenvError):
            raise look
        return look

    reader = SimpleNamespace(session=fakes.session("c"), read=read)
    return StatusWatch(reader, Routes())


def test_a_screen_has_routes_and_events_and_outlives_an_error(watch):
    readings = watch.readings(everything=True)
    first, second, third = islice(readings, 3)
    assert first.state is third.state is STATUS
    assert [len(reading.events) for reading in (first, second, third)] == [1, 0, 1]
    assert isinstance(second.state, DevenvError)
    readings.close()
    assert watch.routes.calls == ["start", "stop"]


def test_a_pipe_sends_no_requests(watch):
    (first,) = islice(watch.readings(everything=False), 1)
    assert first.events == ()
    assert "start" not in watch.routes.calls


def test_a_silent_api_server_hides_no_components(watch, fakes, monkeypatch):
    def silent(*_):
        raise DevenvError("silent")

    monkeypatch.setattr(fakes.kube, "select", silent)
    (first,) = islice(watch.readings(everything=True), 1)
    assert (first.state, list(first.events)) == (STATUS, [])
