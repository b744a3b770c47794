"""The shape of `-o json` is a promise. A change here is a new version."""

import pytest

from devenv.cluster.status import ComponentState, Status
from devenv.ports.containers import Node
from devenv.ports.host import Space
from devenv.ui import status
from devenv.ui.render import render

STATUS = Status(
    "c", "offline", "http://localhost:8888", (Node("c-control-plane", "id", "running", "c"),),
    (ComponentState("redis", "Deployment a/redis", ""), ComponentState("proxy", "Deployment b/x", "0 of 1 replicas available"),
     ComponentState("model", "Deployment c/x", "", "no answer")),
    {"engine": Space(1 << 30, 2 << 30, 10, 20)},
)  # fmt: skip


def test_shape_of_status():
    assert status.status_shape(STATUS) == {
        "cluster": "c", "profile": "offline", "url": "http://localhost:8888", "ready": False, "changing": "", "silence": "",
        "nodes": [{"name": "c-control-plane", "status": "running"}],
        "components": [
            {"name": "redis", "resource": "Deployment a/redis", "ready": True, "missing": "", "unknown": ""},
            {"name": "proxy", "resource": "Deployment b/x", "ready": False, "missing": "0 of 1 replicas available", "unknown": ""},
            {"name": "model", "resource": "Deployment c/x", "ready": False, "missing": "", "unknown": "no answer"},
        ],
        "disks": {"engine": {"free": 1 << 30, "total": 2 << 30, "free_inodes": 10, "total_inodes": 20}},
    }  # fmt: skip


@pytest.mark.parametrize(
    "nodes",
    [(), (Node("other-control-plane", "id", "exited", "other"),)],
    ids=["not there", "stopped"],
)
def test_a_cluster_that_is_not_there_or_stopped_says_so_and_how_to_have_it(
    capsys, nodes, check_message
):
    state = Status("other", "offline", "http://localhost:8888", nodes, (), {})
    render(status.status(state), "text")
    check_message(capsys.readouterr().out)
    assert not state.ready
    assert not state.unknown


def test_what_could_not_be_told_is_neither_ready_nor_missing():
    assert STATUS.unknown
    assert not STATUS.ready


def test_text_says_the_same(capsys, check_message):
    render(status.status(STATUS), "text")
    out = capsys.readouterr().out
    assert "\x1b" not in out
    check_message(out)
