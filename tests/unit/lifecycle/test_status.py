"""What `status` says where nothing answers."""

import pytest

from devenv import data
from devenv.errors import NotReachableError
from devenv.lifecycle.record import Record, Records
from devenv.lifecycle.status import StatusReader
from devenv.ports import Holder, Node
from devenv.profiles.load import load
from devenv.ui.reports import status_lines


@pytest.fixture
def reader(fakes, monkeypatch):
    Records(fakes.host).write(Record("c", "offline", nodes=("id",), made=True))
    monkeypatch.setattr(
        fakes.engine, "nodes", lambda _: [Node("c-control-plane", "id", "running", "c")]
    )
    profile = load("offline", data.root() / "profiles")
    return StatusReader("c", profile, fakes.host, fakes.engine, fakes.engine, fakes.kube)


def silent(*_args, **_more):
    raise NotReachableError("The API server of kind-c does not answer GET /apis/apps/v1.")


@pytest.mark.parametrize("chosen", ["", "DOCKER_HOST"])
def test_one_reason_for_all_components_is_said_once(reader, fakes, monkeypatch, chosen):
    monkeypatch.setattr(fakes.kube, "get", silent)
    monkeypatch.setattr(fakes.kube, "select", silent)
    fakes.engine.chosen = chosen
    state = reader.read()
    assert state.unknown
    assert len([line for line in status_lines(state) if "does not answer" in line]) == 1
    assert (chosen in state.silence) if chosen else "names the engine" not in state.silence


def test_reasons_that_differ_are_said_each(reader, fakes, monkeypatch):
    monkeypatch.setattr(fakes.kube, "get", silent)
    assert reader.read().silence == ""


def test_a_frozen_holder_is_told_with_its_age(reader, fakes):
    fakes.host.holder = Holder("process 7", 10800, frozen=True)
    assert "3 h" in reader.read().changing
    fakes.host.holder = Holder("process 7", 3)
    assert reader.read().changing == "process 7"


def test_a_stopped_cluster_has_no_gateway_to_ask(reader, fakes, monkeypatch):
    assert any(line.startswith("gateway") for line in status_lines(reader.read()))
    monkeypatch.setattr(
        fakes.engine, "nodes", lambda _: [Node("c-control-plane", "id", "exited", "c")]
    )
    assert not [line for line in status_lines(reader.read()) if line.startswith("gateway")]
