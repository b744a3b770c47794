"""A proxy that still waits when its controller is ready is replaced, once."""

from types import SimpleNamespace

import pytest

from devenv.base.errors import NotReachableError
from devenv.cluster.reconnect import Reconnect

PROFILE = SimpleNamespace(gateway=SimpleNamespace(name="g", namespace="n"))
OWNER = "gateway.envoyproxy.io/owning-gateway"
PROXY = {f"{OWNER}-name": "g", f"{OWNER}-namespace": "n"}
CONTROLLER = {"control-plane": "envoy-gateway"}


class Kube:
    """Pods that are ready from a time on; `None`: never."""

    def __init__(self, clock, controller=0.0, proxy=None, labels=PROXY):
        self.clock, self.times, self.deleted = clock, {"controller": controller, "proxy": proxy}, []
        self.labels = {"controller": CONTROLLER, "proxy": labels}

    def select(self, api_version, kind, namespace="", selector=""):
        return [self.pod(name) for name in self.times]

    def pod(self, name):
        since = self.times[name]
        ready = since is not None and self.clock.monotonic() >= since
        meta = {"name": name, "namespace": "n", "labels": self.labels[name]}
        return {
            "metadata": meta,
            "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
        }

    def delete(self, api_version, kind, namespace, name, *, grace=None):
        self.deleted.append((name, self.clock.monotonic()))


@pytest.fixture
def run(fakes):
    def build(**more):
        began = fakes.clock.monotonic()
        times = {
            name: began + at for name, at in more.items() if name != "labels" and at is not None
        }
        kube = Kube(fakes.clock, **{**more, **times})
        note = []
        Reconnect(PROFILE, kube, fakes.clock).run(note)
        return [(name, at - began) for name, at in kube.deleted], note

    return build


def test_a_proxy_that_waits_is_replaced_once_its_controller_is_ready(run):
    deleted, note = run(controller=5.0)
    assert [name for name, _ in deleted] == ["proxy"]
    assert deleted[0][1] >= 5.0
    assert "proxy" in note[0]


@pytest.mark.parametrize("proxy", [0.0, 5.5])
def test_a_proxy_that_gets_ready_by_itself_stays(run, proxy):
    assert run(controller=5.0, proxy=proxy) == ([], [])


def test_without_a_controller_nothing_is_replaced(run):
    assert run(controller=None) == ([], [])


def test_somebody_elses_proxy_stays(run):
    assert run(controller=0.0, labels={**PROXY, f"{OWNER}-name": "other"}) == ([], [])


def test_an_api_server_that_does_not_answer_is_no_error(run, monkeypatch):
    def refuse(*_, **__):
        raise NotReachableError("no answer")

    monkeypatch.setattr(Kube, "select", refuse)
    assert run() == ([], [])
