"""What was deleted is named as itself, once, and drawn where requests fail."""

import copy

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.diagnosis.model import Place
from devenv.facts.model import Declared
from tests.unit.diagnosis.test_diagnose_incidents import read

CRD = "CustomResourceDefinition"
ROUTES = "httproutes.gateway.networking.k8s.io"
ADAPTERS = "modeladapters.model.aibrix.ai"
WEBHOOK = ("aibrix-system", "aibrix-webhook-service")
DEFINED = (
    Declared(kind=CRD, name=ROUTES, defines="HTTPRoute"),
    Declared(kind=CRD, name=ADAPTERS, defines="ModelAdapter"),
)


def definitions(*names, **more):
    return tuple({"metadata": {"name": name, **more}} for name in names)


class Cluster:
    def __init__(self, name="healthy", **facts):
        self.facts = read(name)
        self.objects = copy.deepcopy(dict(self.facts.objects))
        self.more = facts

    def without(self, kind, name=None):
        self.objects[kind] = tuple(
            o for o in self.objects[kind] if name and o["metadata"]["name"] != name
        )
        return self

    def found(self):
        return diagnose(self.facts.model_copy(update={"objects": self.objects, **self.more}))

    def causes(self):
        return self.found().causes

    def codes(self):
        return [c.root.code for c in self.causes()]


def cluster_with_definitions(*present, **more):
    made = Cluster(declared=DEFINED)
    made.objects[CRD] = definitions(*present, **more)
    return made


def test_all_definitions_are_there():
    assert cluster_with_definitions(ROUTES, ADAPTERS).found().healthy


def test_a_deleted_definition_is_a_finding_though_nothing_else_fails():
    (cause,) = cluster_with_definitions(ROUTES).causes()
    assert (cause.root.code, str(cause.root.subject)) == ("DE415", ADAPTERS)
    assert cause.consequences == ()


def test_one_that_is_being_deleted_is_gone():
    gone = cluster_with_definitions(ROUTES)
    gone.objects[CRD] += definitions(ADAPTERS, deletionTimestamp="2026-01-01T00:00:00Z")
    assert gone.codes() == ["DE415"]


def test_what_went_with_a_definition_follows_from_it():
    (cause,) = cluster_with_definitions(ADAPTERS).without("HTTPRoute").causes()
    assert cause.root.code == "DE415"
    assert {"DE406", "DE503"} <= {f.code for f in cause.consequences}


def test_a_fault_that_it_does_not_explain_stays_a_root():
    both = Cluster("redis-is-down", declared=DEFINED)
    both.objects[CRD] = definitions(ROUTES)
    assert both.codes() == ["DE305", "DE415"]


def test_where_definitions_could_not_be_read_none_is_missed():
    made = Cluster(declared=DEFINED, unknown={CRD: "forbidden"})
    made.objects[CRD] = ()
    assert made.codes() == []


SERVICES = (
    Declared(
        kind="Service",
        namespace="aibrix-system",
        name="aibrix-redis-master",
        selector={"app": "redis"},
    ),
    Declared(
        kind="Service",
        namespace="default",
        name="llama2-7b",
        selector={"model.aibrix.ai/name": "llama2-7b"},
    ),
)


def test_a_deleted_service_is_named_as_itself_and_drawn_nowhere_while_requests_pass():
    found = Cluster(declared=SERVICES).without("Service", "aibrix-redis-master").found()
    (cause,) = found.causes
    assert (cause.root.code, str(cause.root.subject)) == (
        "DE416",
        "Service aibrix-system/aibrix-redis-master",
    )
    assert found.broken == frozenset()


def test_who_crashes_for_want_of_a_service_follows_from_it():
    made = Cluster("gateway-plugins-crash", declared=SERVICES).without(
        "Service", "aibrix-redis-master"
    )
    (cause,) = made.causes()
    assert cause.root.code == "DE416"
    assert "DE302" in [f.code for f in cause.consequences]


def test_a_models_own_service_is_told_once():
    assert Cluster(declared=SERVICES).without("Service", "llama2-7b").codes() == ["DE502"]


def test_without_a_route_a_models_service_is_told_all_the_same():
    """AIBrix's controller removes the route with the Deployment: the plan must put both back."""
    made = (
        Cluster("no-model-pod", declared=SERVICES)
        .without("Service", "llama2-7b")
        .without("HTTPRoute", "llama2-7b-router")
    )
    made.objects["Pod"] = tuple(
        p for p in made.objects["Pod"] if not p["metadata"]["name"].startswith("mock-")
    )
    assert "DE502" in [f.code for c in made.causes() for f in c.findings]


@pytest.mark.parametrize(
    "declared", [None, (Declared(kind="Service", namespace=WEBHOOK[0], name=WEBHOOK[1]),)]
)
def test_the_deleted_service_of_the_webhooks_is_one_root(declared):
    made = Cluster("aibrix-healthy", declared=declared).without("Service", WEBHOOK[1])
    made.objects["EndpointSlice"] = tuple(
        s for s in made.objects["EndpointSlice"] if not s["metadata"]["name"].startswith(WEBHOOK[1])
    )
    found = made.found()
    (cause,) = found.causes
    assert (cause.root.code, str(cause.root.subject)) == ("DE416", f"Service {'/'.join(WEBHOOK)}")
    assert [f.code for f in cause.consequences] == ["DE701"]
    assert found.broken == frozenset()


def test_a_deleted_webhook_configuration_is_not_drawn_on_the_way_of_requests():
    made = Cluster("aibrix-healthy").without("MutatingWebhookConfiguration")
    assert (made.codes(), made.found().broken) == (["DE406"], frozenset())


def test_the_proxys_own_service_is_where_requests_come_in():
    made = Cluster()
    owner = "gateway.envoyproxy.io/owning-gateway-name"
    made.objects["Service"] = tuple(
        s for s in made.objects["Service"] if owner not in (s["metadata"].get("labels") or {})
    )
    found = made.found()
    assert ([c.root.code for c in found.causes], found.broken) == (["DE416"], {Place.PORT})


EVERYTHING = (
    *DEFINED,
    Declared(kind="Service", namespace="default", name="llama2-7b", selector={"app": "x"}),
    Declared(kind="Service", namespace="aibrix-system", name="aibrix-gateway-plugins"),
    Declared(kind="Deployment", namespace="default", name="mock-llama2-7b"),
)


@pytest.mark.parametrize(("name", "code"), [("node-paused", "DE203"), ("engine-stopped", "DE101")])
def test_what_could_not_be_read_is_not_said_to_be_gone(name, code):
    assert Cluster(name, declared=EVERYTHING).codes() == [code]


def test_a_patch_that_names_a_deleted_extension_policy_follows_from_that():
    (cause,) = Cluster().without("EnvoyExtensionPolicy").causes()
    assert cause.root.code == "DE406"
    assert "DE405" in [f.code for f in cause.consequences]
