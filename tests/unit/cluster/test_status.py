"""What `status` says where nothing answers."""

import pytest
from rich.text import Text

from devenv import data
from devenv.base.errors import NotReachableError
from devenv.cluster.status import StatusReader
from devenv.ports.containers import Node
from devenv.ports.host import Holder
from devenv.profiles.load import load
from devenv.state.record import Record, Records
from devenv.ui.status import status_lines


@pytest.fixture
def reader(fakes, monkeypatch):
    Records(fakes.host).write(Record("c", "offline", nodes=("id",), made=True))
    monkeypatch.setattr(
        fakes.engine, "nodes", lambda _: [Node("c-control-plane", "id", "running", "c")]
    )
    profile = load("offline", data.root() / "profiles")
    return StatusReader(fakes.session("c", profile))


def silent(*_args, **_more):
    raise NotReachableError("The API server of kind-c does not answer GET /apis/apps/v1.")


@pytest.mark.parametrize("chosen", ["", "DOCKER_HOST"])
def test_one_reason_for_all_components_is_said_once(
    reader, fakes, monkeypatch, chosen, check_message
):
    monkeypatch.setattr(fakes.kube, "get", silent)
    monkeypatch.setattr(fakes.kube, "select", silent)
    fakes.engine.chosen = chosen
    state = reader.read()
    assert state.unknown
    check_message(Text.from_markup("\n".join(status_lines(state, 80))).plain)


def test_reasons_that_differ_are_said_each(reader, fakes, monkeypatch):
    monkeypatch.setattr(fakes.kube, "get", silent)
    assert reader.read().silence == ""


def test_a_frozen_holder_is_told_with_its_age(reader, fakes):
    fakes.host.holder = Holder("process 7", 10800, frozen=True)
    assert "3 h" in reader.read().changing
    fakes.host.holder = Holder("process 7", 3)
    assert reader.read().changing == "process 7"


def test_a_stopped_cluster_has_no_gateway_to_ask(reader, fakes, monkeypatch):
    assert any(line.startswith("gateway") for line in status_lines(reader.read(), 80))
    monkeypatch.setattr(
        fakes.engine, "nodes", lambda _: [Node("c-control-plane", "id", "exited", "c")]
    )
    assert not [line for line in status_lines(reader.read(), 80) if line.startswith("gateway")]


def component(state, name):
    (selected,) = [component for component in state.components if component.name == name]
    return selected


def test_a_workload_has_its_replicas_and_another_component_has_none(reader, fakes):
    for kind, name, spec in (
        ("Deployment", "aibrix-redis-master", {"replicas": 2, "template": {}}),
        ("Gateway", "aibrix-eg", {}),
    ):
        meta = {"name": name, "namespace": "aibrix-system"}
        born = {"creationTimestamp": "1970-01-01T00:02:00Z"}
        fakes.kube.apply({"kind": kind, "metadata": {**meta, **born}, "spec": spec})
    state = reader.read()
    redis, gateway = component(state, "redis"), component(state, "gateway")
    assert redis.workload.desired == 2
    assert gateway.workload is None
    assert redis.created == gateway.created == 120


def test_components_are_told_where_pods_can_not_be_read(reader, fakes, monkeypatch):
    def select(_version, kind, *_place):
        return silent() if kind == "Pod" else []

    monkeypatch.setattr(fakes.kube, "select", select)
    assert not reader.read().unknown
