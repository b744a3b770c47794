"""The shape of `-o json` is a promise. A change here is a new version."""

from devenv.cluster.adopt import Adoption
from devenv.ui import up
from devenv.ui.render import render
from devenv.up import Result
from tests.unit.ui.proofs import PROOF, PROOF_JSON


def test_shape_of_up():
    assert up.up_shape(Result("c", "offline", "http://localhost:8888", (PROOF,), changed=True, version="v1")) == {
        "cluster": "c", "profile": "offline", "version": "v1", "url": "http://localhost:8888", "changed": True,
        "requests": [PROOF_JSON],
    }  # fmt: skip


def test_an_adoption_is_listed_by_kind(capsys, check_message):
    brought = (
        ("v1", "Namespace", "", "ns"),
        ("v1", "ConfigMap", "ns", "a"),
        ("v1", "ConfigMap", "ns", "b"),
    )
    up.show_adoption(
        Adoption("c", ("c-control-plane",), brought, (), {"redis": "replaced", "envoy": "brought"})
    )
    check_message(capsys.readouterr().err)


def test_text_names_the_cluster_its_gateway_and_the_reason(capsys, check_message):
    result = Result("c", "offline", "http://localhost:8888", (PROOF,), changed=False)
    render(up.up(result, "asked for"), "text")
    check_message(capsys.readouterr().out)
