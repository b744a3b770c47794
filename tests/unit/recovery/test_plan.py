from dataclasses import replace

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.diagnosis.model import Advice, Cause, Command, Diagnosis, Finding, Subject
from devenv.facts.model import parse
from devenv.recovery.plan import Kind, gateway_components, plan
from tests.paths import INCIDENTS
from tests.unit.diagnosis.spelled import fixes, keys

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
    "name",
    [
        "redis-is-down",
        "no-model-pod",
        "httproute-gone",
        "referencegrant-gone",
        "model-label-wrong",
        "oomkilled",
    ],
)
def test_what_the_profile_has_is_put_back(name):
    assert [kind for kind, _ in steps(name)] == [Kind.PUT_BACK]


def test_settings_of_envoy_gateway_take_a_restart_of_its_controller_alone():
    assert steps("patches-switched-off")[1:] == [(Kind.RESTART, "envoy-gateway")]


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


# Only what the repair needs is restarted


def of_causes(*causes, profile=None, drifted=False):
    facts = parse((INCIDENTS / "aibrix-healthy" / "facts.json").read_text())
    diagnosis = Diagnosis("c", "aibrix", 1.0, causes)
    found = plan(diagnosis, profile or facts.profile, OWNED, lambda _: drifted)
    return [(s.kind, s.target) for s in found.steps]


SUBJECT = Subject("x", "x")


def cause(code, about, *consequences):
    return Cause(
        Finding(code, SUBJECT, "x", about=keys({about})),
        tuple(Finding(c, SUBJECT, "x", about=keys({a})) for c, a in consequences),
    )


@pytest.mark.parametrize(
    ("code", "subject", "step"),
    [
        ("DE201", Subject("node", "n"), (Kind.ROOM, "n")),
        ("DE202", Subject("node", "n"), (Kind.ROOM, "n")),
        ("DE203", Subject("node", "node n"), (Kind.START, "node n")),
        ("DE105", Subject("context", "kind-c"), (Kind.CONTEXT, "kind-c")),
        ("DE702", Subject.component("controller"), (Kind.RESTART, "controller")),
    ],
)
def test_a_target_is_the_name_in_the_subject_and_not_cut_out_of_its_text(code, subject, step):
    assert of_causes(Cause(Finding(code, subject, "x"))) == [step]


def restarts(*causes, **more):
    return [target for kind, target in of_causes(*causes, **more) if kind is Kind.RESTART]


@pytest.mark.parametrize("code", ["DE402", "DE403", "DE407", "DE411", "DE412", "DE414"])
def test_the_gateway_is_restarted_only_where_there_is_nothing_to_put_back(code):
    assert restarts(cause(code, "a"), drifted=True) == []
    assert restarts(cause(code, "a")) == ["envoy-gateway", "proxy"]


def test_a_webhook_takes_a_restart_only_for_its_certificate():
    service = "Service/aibrix-system/aibrix-webhook-service"
    assert restarts(cause("DE701", service), drifted=True) == []
    assert restarts(
        cause("DE701", "certificate/aibrix-system/aibrix-webhook-service"), drifted=True
    ) == ["controller-manager"]


def test_a_service_takes_a_restart_only_of_what_crashed_for_want_of_it():
    assert restarts(cause("DE416", "Service/a/b", ("DE701", "Service/a/b"))) == []
    assert restarts(cause("DE416", "Service/a/b", ("DE302", "component/gateway-plugins"))) == [
        "gateway-plugins"
    ]
    assert restarts(cause("DE416", "entrance")) == ["envoy-gateway"]


def test_a_definition_takes_a_restart_only_of_who_misses_its_objects():
    adapters, routes = (
        f"CustomResourceDefinition/{n}"
        for n in ("x.model.aibrix.ai", "httproutes.gateway.networking.k8s.io")
    )
    assert restarts(cause("DE415", adapters)) == []
    assert restarts(cause("DE415", routes)) == []
    assert restarts(cause("DE415", routes, ("DE406", "component/reserved-route"))) == [
        "envoy-gateway"
    ]
    assert restarts(cause("DE415", routes, ("DE503", "http route/x"))) == [
        "envoy-gateway",
        "controller-manager",
    ]
    assert restarts(cause("DE415", adapters, ("DE302", "component/controller-manager"))) == [
        "controller-manager"
    ]


def test_a_step_names_every_root_that_it_is_for():
    facts = parse((INCIDENTS / "healthy" / "facts.json").read_text())
    causes = (cause("DE502", "model/x"), cause("DE504", "model/x"), cause("DE502", "model/y"))
    (step,) = plan(Diagnosis("c", "p", 1.0, causes), facts.profile, OWNED).steps
    assert (step.reason, step.codes) == ("DE502", ("DE502", "DE504"))


PLUGINS = "devenv.local/gateway-plugins:reference"


def crashing(**more):
    facts = parse((INCIDENTS / "gateway-plugins-crash" / "facts.json").read_text())
    return facts.model_copy(update=more)


def test_an_image_that_was_reloaded_and_crashes_is_returned_from_and_nothing_else():
    facts = crashing(returnable=(PLUGINS,))
    found = diagnose(facts)
    assert [c.root.code for c in found.causes] == ["DE302"]
    assert fixes(found.causes[0].root) == (
        "devenv reload-image gateway-plugins --undo --name devenv-test",
    )
    assert [(s.kind, s.target) for s in plan(found, facts.profile, OWNED).steps] == [
        (Kind.UNDO, PLUGINS)
    ]


def test_a_crash_of_an_image_that_was_proven_is_no_reason_to_return():
    for facts in (crashing(), crashing(returnable=("docker.io/library/another:1",))):
        assert [s.kind for s in plan(diagnose(facts), facts.profile, OWNED).steps] == [
            Kind.PUT_BACK
        ]


@pytest.mark.parametrize(
    ("fix", "steps_of_plan"),
    [
        (Command(("devenv", "recover")), [(Kind.PUT_BACK, "test")]),
        (Command(("kubectl", "patch")), []),
        (Advice("devenv recover"), []),
    ],
)
def test_a_limit_is_put_back_only_where_the_profile_sets_a_higher_one(fix, steps_of_plan):
    root = Finding("DE604", SUBJECT, "x", fix=(fix,))
    assert of_causes(Cause(root)) == steps_of_plan


@pytest.mark.parametrize(
    ("code", "subject", "about", "expected"),
    [
        ("DE208", Subject("unit", "kubelet in n"), {"unit/n/kubelet"}, [(Kind.UNIT, "n/kubelet")]),
        ("DE207", Subject("static pod", "etcd"), {"static pod/n/etcd"},
         [(Kind.STATIC_POD, "n/etcd")]),
        ("DE207", Subject("static pod", "etcd"), {"control plane/etcd"}, []),
        ("DE109", Subject("network", "kind"), {"network/kind", "node/n"},
         [(Kind.NETWORK, "kind"), (Kind.START, "n")]),
        ("DE109", Subject("network", "mine"), {"network/mine", "node/n"}, []),
        ("DE204", Subject("API server"), {"api", "kubeconfig/kind-c"}, [(Kind.CONTEXT, "kind-c")]),
        ("DE204", Subject("API server"), {"api"}, []),
    ],
)  # fmt: skip
def test_what_is_beneath_kubernetes_is_repaired_as_far_as_it_can_be(code, subject, about, expected):
    profile = parse((INCIDENTS / "healthy" / "facts.json").read_text()).profile
    cause = Cause(Finding(code, subject, "", about=keys(about)))
    diagnosis = Diagnosis("c", "offline", 0.0, (cause,))
    found = plan(diagnosis, profile, ())
    assert [(step.kind, step.target) for step in found.steps] == expected
    assert bool(found.beyond) is not bool(expected)


@pytest.mark.parametrize(
    ("reason", "drifted", "expected"),
    [
        ("Unhealthy", False, [(Kind.RESTART, "envoy-gateway")]),
        ("FailedMount", False, []),
        ("Unhealthy", True, [(Kind.PUT_BACK, "test")]),
    ],
)
def test_a_component_that_its_own_probe_kills_is_restarted(reason, drifted, expected):
    told = Finding(
        "DE313",
        Subject.component("envoy-gateway"),
        "x",
        fix=(Command(("devenv", "recover")),),
        about=keys({"component/envoy-gateway"}),
        reason=reason,
    )
    assert of_causes(Cause(told), drifted=drifted) == expected


def test_a_component_that_does_not_answer_is_restarted_and_nothing_else_is():
    root = Finding("DE606", SUBJECT, "x", about=keys({"component/model", "model/llama2-7b"}))
    assert of_causes(Cause(root)) == [(Kind.RESTART, "model")]
    assert of_causes(Cause(replace(root, about=keys({"model/llama2-7b"})))) == []


@pytest.mark.parametrize(
    ("kind", "restarted"), [("EnvoyPatchPolicy", []), ("ConfigMap", ["envoy-gateway"])]
)
def test_an_object_that_differs_is_put_back_and_only_settings_take_a_restart(kind, restarted):
    steps_of_object = of_causes(Cause(Finding("DE419", Subject(kind, "a/b"), "x")))
    assert steps_of_object[0][0] is Kind.PUT_BACK
    assert [
        target for step_kind, target in steps_of_object if step_kind is Kind.RESTART
    ] == restarted
