"""The shape of `-o json` is a promise. A change here is a new version."""

import pytest

from devenv.cluster.status import ComponentState, Status
from devenv.cluster.workload_state import WorkloadState
from devenv.ports.containers import Node
from devenv.ports.host import Space
from devenv.ui import status
from devenv.ui.render import render

NOW = 1e9
RUNNING = WorkloadState(1, 1, ("docker.io/library/redis:latest",))
BACKING_OFF = WorkloadState(
    0, 1, ("docker.io/envoyproxy/envoy:v1.36.2", "docker.io/envoyproxy/gateway:v1.2.8"), 3,
    'pod proxy-1, container envoy: ImagePullBackOff: Back-off pulling image "docker.io/envoyproxy/envoy:v1.36.2", 3 restarts',
)  # fmt: skip
STATUS = Status(
    "c", "offline", "http://localhost:8888", (Node("c-control-plane", "id", "running", "c"),),
    (ComponentState("redis", "Deployment a/redis", "", created=NOW - 7 * 86400, workload=RUNNING),
     ComponentState("proxy", "Deployment b/x", "0 of 1 replicas available", created=NOW - 90, workload=BACKING_OFF),
     ComponentState("extension-policy", "EnvoyExtensionPolicy b/y", "", created=NOW - 3600),
     ComponentState("model", "Deployment c/x", "", "no answer")),
    {"engine": Space(1 << 30, 2 << 30, 10, 20), "c-control-plane": Space(100 << 20, 20 << 30, 123456, 654321)},
    time=NOW,
)  # fmt: skip


def test_shape_of_status():
    assert status.status_shape(STATUS) == {
        "cluster": "c", "profile": "offline", "url": "http://localhost:8888", "ready": False, "changing": "", "silence": "",
        "nodes": [{"name": "c-control-plane", "status": "running"}],
        "components": [
            {"name": "redis", "resource": "Deployment a/redis", "ready": True, "missing": "", "unknown": "", "created": 999395200,
             "replicas": {"ready": 1, "desired": 1}, "restarts": 0, "images": ["docker.io/library/redis:latest"], "reason": ""},
            {"name": "proxy", "resource": "Deployment b/x", "ready": False, "missing": "0 of 1 replicas available", "unknown": "",
             "created": 999999910, "replicas": {"ready": 0, "desired": 1}, "restarts": 3, "images": list(BACKING_OFF.images),
             "reason": BACKING_OFF.reason},
            {"name": "extension-policy", "resource": "EnvoyExtensionPolicy b/y", "ready": True, "missing": "", "unknown": "",
             "created": 999996400, "replicas": None, "restarts": None, "images": [], "reason": ""},
            {"name": "model", "resource": "Deployment c/x", "ready": False, "missing": "", "unknown": "no answer",
             "created": None, "replicas": None, "restarts": None, "images": [], "reason": ""},
        ],
        "disks": {
            "engine": {"free": 1 << 30, "total": 2 << 30, "free_inodes": 10, "total_inodes": 20},
            "c-control-plane": {"free": 100 << 20, "total": 20 << 30, "free_inodes": 123456, "total_inodes": 654321},
        },
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
