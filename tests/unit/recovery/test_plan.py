from pathlib import Path

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.facts.model import parse
from devenv.recovery.plan import Kind, gateway_components, plan

INCIDENTS = Path(__file__).parents[2] / "incidents"
OWNED = (
    "envoy-gateway-system/envoy-gateway", "aibrix-system/aibrix-redis-master", "aibrix-system/aibrix-gateway-plugins",
    "default/mock-llama2-7b",
)  # fmt: skip


def planned(name, owned=OWNED):
    facts = parse((INCIDENTS / name / "facts.json").read_text())
    return plan(diagnose(facts), facts.profile, owned)


def steps(name, owned=OWNED):
    return [(s.kind, s.target) for s in planned(name, owned).steps]


GATEWAY = [(Kind.RESTART, "envoy-gateway"), (Kind.RESTART, "proxy")]


def test_the_incident_makes_room_then_restarts_the_controller_then_the_proxy():
    assert [kind for kind, _ in steps("the-incident")] == [Kind.ROOM, Kind.RESTART, Kind.RESTART]
    assert steps("the-incident")[1:] == GATEWAY


def test_latched_is_restarted_only():
    assert steps("latched") == GATEWAY


@pytest.mark.parametrize(
    "name", ["redis-is-down", "no-model-pod", "httproute-gone", "referencegrant-gone", "model-label-wrong", "oomkilled"]
)
def test_what_the_profile_has_is_put_back(name):
    assert [kind for kind, _ in steps(name)] == [Kind.PUT_BACK]


def test_settings_of_envoy_gateway_take_a_restart():
    assert [kind for kind, _ in steps("patches-switched-off")] == [Kind.PUT_BACK, Kind.RESTART, Kind.RESTART]


def test_kubernetes_own_is_scaled():
    assert steps("coredns-is-down") == [(Kind.SCALE, "kube-system/coredns")]


def test_a_paused_node_is_started():
    assert [kind for kind, _ in steps("node-paused")] == [Kind.START]


@pytest.mark.parametrize("name", ["engine-stopped", "port-taken"])
def test_what_only_the_user_can_mend_is_said(name):
    found = planned(name)
    assert found.steps == ()
    assert all(f.fix for f in found.beyond)


def test_a_workload_that_is_not_the_profiles_is_left_to_its_owner():
    found = planned("oomkilled", owned=())
    assert found.steps == ()
    assert [f.code for f in found.beyond] == ["DE310"]


def test_a_healthy_cluster_needs_nothing():
    assert planned("healthy").steps == ()


def test_the_order_of_the_gateway_comes_from_the_profile():
    facts = parse((INCIDENTS / "healthy" / "facts.json").read_text())
    assert gateway_components(facts.profile) == ["envoy-gateway", "proxy"]
