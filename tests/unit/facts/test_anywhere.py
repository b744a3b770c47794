"""Which part everything plays is found by what it does, not by its name."""

import json

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.facts.anywhere import concerning, discovered
from devenv.facts.model import dump, parse
from tests.paths import INCIDENTS
from tests.unit.diagnosis.spelled import fixes

RENAMED = (
    ("envoy-gateway-system", "gateways"), ("aibrix-system", "routing"), ("aibrix-eg", "front-door"), ("llama2-7b", "other-model"),
    ("aibrix-gateway-plugins", "chooser"),
)  # fmt: skip


def text_of(name, *, renamed=False):
    text = (INCIDENTS / name / "facts.json").read_text()
    for old, new in RENAMED if renamed else ():
        text = text.replace(old, new)
    return text


def seen_by_api(text):
    """The same facts as the API server alone would tell them."""
    whole = json.loads(text)
    objects = {kind: tuple(found) for kind, found in whole["objects"].items()}
    profile = json.loads(discovered("theirs", objects).model_dump_json(by_alias=True))
    unseen = {
        "context": "theirs",
        "profile": profile,
        "proofs": [],
        "proxies": [],
        "engine": None,
        "engine_disk": None,
    }
    return parse(json.dumps({**whole, **unseen}))


@pytest.mark.parametrize("renamed", [False, True])
@pytest.mark.parametrize("name", ["healthy", "aibrix-healthy"])
def test_the_parts_are_found_whatever_their_names(name, renamed):
    text = text_of(name, renamed=renamed)
    found = seen_by_api(text).profile
    assert (found.gateway.namespace, found.gateway.name) == (
        ("routing", "front-door") if renamed else ("aibrix-system", "aibrix-eg")
    )
    parts = {c.name for c in found.components}
    assert {
        "envoy-gateway",
        "gateway",
        "proxy",
        "extension-policy",
        "patch-policy",
        "gateway-plugins",
    } <= parts
    assert ("controller-manager" in parts) == (name == "aibrix-healthy")
    assert diagnose(seen_by_api(text)).healthy


@pytest.mark.parametrize(("name", "code"), [
    ("the-incident", "DE201"), ("latched", "DE401"), ("patches-switched-off", "DE404"), ("envoy-gateway-at-zero", "DE305"),
    ("aibrix-label-only-on-the-pods", "DE503"), ("aibrix-the-webhooks-service-leads-nowhere", "DE701"),
])  # fmt: skip
def test_a_fault_has_the_same_root_and_no_fix_of_devenvs(name, code):
    found = diagnose(seen_by_api(text_of(name)))
    assert code in [c.root.code for c in found.causes]
    for cause in found.causes:
        assert not [
            f for f in fixes(cause.root) if f.startswith("devenv ") and "--explain" not in f
        ]
        assert not any(
            "kind-" in f.split("--context ")[-1].split()[0]
            for f in fixes(cause.root)
            if "kubectl" in f
        )


def test_a_cluster_without_any_of_it_is_no_mistake():
    profile = discovered("empty", {})
    assert profile.components == ()
    healthy = json.loads(text_of("healthy"))
    bare = {
        **healthy,
        "objects": {kind: [] for kind in healthy["objects"]} | {"Node": healthy["objects"]["Node"]},
    }
    facts = seen_by_api(json.dumps(bare))
    assert diagnose(facts).causes == ()
    assert parse(dump(facts)) == facts


def test_of_thousands_only_those_are_kept_that_have_a_part_in_it():
    whole = json.loads(text_of("healthy"))
    objects = {kind: tuple(found) for kind, found in whole["objects"].items()}
    far = [
        {"metadata": {"name": f"p{n}", "namespace": "far"}, "spec": {}, "status": {}}
        for n in range(1000)
    ]
    profile = discovered("theirs", objects)
    kept = concerning({**objects, "Pod": (*objects["Pod"], *far)}, profile)
    assert kept["Pod"] == objects["Pod"]
    assert kept["Node"] == objects["Node"]


def test_what_others_webhooks_ask_is_there():
    """Else each of them would be taken for one that nobody answers."""
    whole = json.loads(text_of("aibrix-healthy"))
    objects = {kind: tuple(found) for kind, found in whole["objects"].items()}
    service = {"metadata": {"name": "theirs", "namespace": "far"}, "spec": {}}
    ready = [{"addresses": ["10.0.0.9"], "conditions": {"ready": True}}]
    labels = {"kubernetes.io/service-name": "theirs"}
    slice_ = {
        "metadata": {"name": "theirs-1", "namespace": "far", "labels": labels},
        "endpoints": ready,
    }
    client = {"service": {"namespace": "far", "name": "theirs"}, "caBundle": "there"}
    hook = {"metadata": {"name": "theirs"}, "webhooks": [{"name": "x", "clientConfig": client}]}
    for kind, obj in (
        ("Service", service),
        ("EndpointSlice", slice_),
        ("ValidatingWebhookConfiguration", hook),
    ):
        objects[kind] = (*objects[kind], obj)
    kept = concerning(objects, discovered("theirs", objects))
    facts = parse(json.dumps({**whole, "objects": kept}))
    assert diagnose(facts).healthy
    assert not diagnose(
        facts.model_copy(
            update={"objects": {**facts.objects, "EndpointSlice": objects["EndpointSlice"][:-1]}}
        )
    ).healthy
