"""The shape of `-o json` is a promise. A change here is a new version."""

import json

import pytest

from devenv.errors import DevenvError
from devenv.facts.live import AccessLine, Proof
from devenv.images.listing import Entry
from devenv.lifecycle.adopt import Adoption
from devenv.lifecycle.down import Removal
from devenv.lifecycle.models import Seen
from devenv.lifecycle.status import ComponentState, Status
from devenv.lifecycle.up import Result
from devenv.ports import HttpAnswer, Node, Space
from devenv.profiles.model import Route
from devenv.ui import console, models, reports
from devenv.ui.watch import watch

LINE = AccessLine(
    "original_route", "original_destination_cluster", "-", "via_upstream", "10.0.0.1:8000"
)
PROOF = Proof(
    "extension",
    Route.EXTENSION,
    HttpAnswer(200, {"target-pod": "mock-1"}, "hello", 0.0123),
    LINE,
    "mock-1",
)
BROKEN = Proof(
    "direct", Route.DIRECT, HttpAnswer(0, error="refused"), None, "", ("no answer: refused",)
)
STATUS = Status(
    "c", "offline", "http://localhost:8888", (Node("c-control-plane", "id", "running", "c"),),
    (ComponentState("redis", "Deployment a/redis", ""), ComponentState("proxy", "Deployment b/x", "0 of 1 replicas available"),
     ComponentState("model", "Deployment c/x", "", "no answer")),
    {"engine": Space(1 << 30, 2 << 30, 10, 20)},
)  # fmt: skip

PROOF_JSON = {
    "name": "extension", "route": "extension", "ok": True, "failures": [], "pod": "mock-1",
    "answer": {"status": 200, "seconds": 0.0123, "headers": {"target-pod": "mock-1"}, "body": "hello", "error": ""},
    "access_log": {"route": "original_route", "cluster": "original_destination_cluster", "flags": "-",
                   "details": "via_upstream", "upstream": "10.0.0.1:8000"},
}  # fmt: skip


def test_every_result_comes_in_one_envelope():
    assert json.loads(reports.envelope("x", {"a": 1})) == {
        "version": 1,
        "kind": "x",
        "result": {"a": 1},
    }


def test_shape_of_up():
    assert reports.up_json(Result("c", "offline", "http://localhost:8888", (PROOF,), changed=True, version="v1")) == {
        "cluster": "c", "profile": "offline", "version": "v1", "url": "http://localhost:8888", "changed": True,
        "requests": [PROOF_JSON],
    }  # fmt: skip


def test_shape_of_a_request_whose_line_is_not_there_yet():
    shape = reports.proof_json(BROKEN)
    assert shape["access_log"] is None
    assert shape["ok"] is False
    assert shape["failures"] == ["no answer: refused"]


def test_shape_of_status():
    assert reports.status_json(STATUS) == {
        "cluster": "c", "profile": "offline", "url": "http://localhost:8888", "ready": False, "changing": "", "silence": "",
        "nodes": [{"name": "c-control-plane", "status": "running"}],
        "components": [
            {"name": "redis", "resource": "Deployment a/redis", "ready": True, "missing": "", "unknown": ""},
            {"name": "proxy", "resource": "Deployment b/x", "ready": False, "missing": "0 of 1 replicas available", "unknown": ""},
            {"name": "model", "resource": "Deployment c/x", "ready": False, "missing": "", "unknown": "no answer"},
        ],
        "disks": {"engine": {"free": 1 << 30, "total": 2 << 30, "free_inodes": 10, "total_inodes": 20}},
    }  # fmt: skip


def test_shape_of_down():
    key = ("v1", "Namespace", "", "ns")
    removal = Removal(
        (),
        (("v1", "ConfigMap", "ns", "c"),),
        ("docker.io/library/redis:latest",),
        {key: "Pod p would go with it"},
    )
    assert reports.down_json("c", removal, dry_run=False, purged=["x"], stayed=["y: in use"]) == {
        "cluster": "c", "dry_run": False, "nodes": [],
        "objects": [{"apiVersion": "v1", "kind": "ConfigMap", "namespace": "ns", "name": "c"}],
        "images": ["docker.io/library/redis:latest"], "purged": ["x"],
        "stayed": ["Namespace ns: Pod p would go with it", "y: in use"],
    }  # fmt: skip


def test_shape_of_a_look_that_failed():
    assert reports.error_json(DevenvError("a", "b", "c")) == {
        "error": "a",
        "why": "b",
        "next_step": "c",
    }


def test_an_adoption_is_listed_by_kind(capsys):
    brought = (
        ("v1", "Namespace", "", "ns"),
        ("v1", "ConfigMap", "ns", "a"),
        ("v1", "ConfigMap", "ns", "b"),
    )
    reports.adoption(
        Adoption("c", ("c-control-plane",), brought, (), {"redis": "replaced", "envoy": "brought"})
    )
    told = capsys.readouterr().err
    assert "  ConfigMap: ns/a, ns/b\n" in told
    assert "  redis  in place of what has that name\n" in told
    assert "0 objects that are there would be changed" in told


def test_a_watch_in_a_pipe_prints_changes_alone(capsys):
    watch([["a", "b"], ["a", "b"], ["a", "c"]])
    assert capsys.readouterr().out == "a\nb\na\nc\n"
    reports.emit_changes("status", [{"n": 1}, {"n": 1}, {"n": 2}])
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["result"]["n"] for line in lines] == [1, 2]


@pytest.mark.parametrize(("nodes", "told"), [
    ((), "There is no cluster other. Make it with `devenv up --name other`."),
    ((Node("other-control-plane", "id", "exited", "other"),), "It is not running. Start it again with `devenv up --name other`."),
])  # fmt: skip
def test_a_cluster_that_is_not_there_or_stopped_says_so_and_how_to_have_it(capsys, nodes, told):
    state = Status("other", "offline", "http://localhost:8888", nodes, (), {})
    reports.status(state)
    assert told in capsys.readouterr().out
    assert not state.ready
    assert not state.unknown


def test_shape_of_images():
    entry = Entry("kube", "v1", "d", "key", "devenv.local/kube:key", built=True, size=5, seconds=9)
    assert reports.images_json([entry]) == [
        {
            "name": "kube",
            "version": "v1",
            "key": "key",
            "ref": "devenv.local/kube:key",
            "built": True,
            "size": 5,
            "seconds": 9,
        }
    ]


def test_what_could_not_be_told_is_neither_ready_nor_missing():
    assert STATUS.unknown
    assert not STATUS.ready


def test_text_says_the_same(capsys):
    reports.status(STATUS)
    reports.request(BROKEN, "http://localhost:8888")
    reports.up(Result("c", "offline", "http://localhost:8888", (PROOF,), changed=False))
    out = capsys.readouterr().out
    assert "✗ proxy  0 of 1 replicas available" in out
    assert "? model  no answer" in out
    assert "has not got the request's line yet" in out
    assert "Nothing to do: the cluster c answers on every route." in out
    assert "\x1b" not in out


def test_a_pipe_cuts_nothing(capsys):
    console.result().print("x" * 400)
    assert capsys.readouterr().out == "x" * 400 + "\n"


def test_shapes_of_models():
    seen = Seen("m", (1, 2), ("default/m",), "accepted", "default/m", (PROOF,), ours=True)
    assert models.shape(seen) == {
        "name": "m", "pods": {"ready": 1, "all": 2}, "workloads": ["default/m"], "route": "accepted", "service": "default/m",
        "added_by_devenv": True, "requests": [PROOF_JSON],
    }  # fmt: skip
