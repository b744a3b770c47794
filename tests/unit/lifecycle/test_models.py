import re
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from devenv import data
from devenv.errors import DevenvError, Exit
from devenv.gates.live import Prober
from devenv.lifecycle.models import Models, Wanted
from devenv.profiles.load import load
from devenv.profiles.model import LiveRequest
from devenv.profiles.variant import Variant

FOLDER = data.root() / "profiles"
NAMES = st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", fullmatch=True)


@pytest.fixture(params=["offline", "aibrix"])
def profile(request):
    if request.param == "main":
        return load("aibrix", FOLDER, Variant(checkout="/source"))
    return load(request.param, FOLDER)


@pytest.fixture
def models(fakes, profile):
    fakes.kube.up = True
    fakes.kube.objects["Namespace", "", "default"] = {"metadata": {"name": "default"}}
    prober = Prober(fakes.kube, fakes.gateway, fakes.clock, profile)
    return Models("c", profile, fakes.kube, fakes.clock, fakes.reporter, lambda: prober)


@given(NAMES)
def test_objects_of_any_model_have_names_that_kubernetes_takes(name):
    slug = Wanted(name).slug
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", slug)
    assert len(f"{slug}-router") <= 63
    assert Wanted(name).own_name == (slug == name)


@given(NAMES, NAMES)
def test_two_models_never_share_a_name(one, other):
    assert (Wanted(one).slug == Wanted(other).slug) == (one == other)


def labels_of(fakes, kind, name):
    return fakes.kube.objects[kind, "default", name]["metadata"]["labels"]


def test_a_model_gets_the_labels_that_each_part_of_aibrix_reads(models, fakes, profile):
    if profile.name == "aibrix":
        fakes.kube.apply(
            {
                "kind": "HTTPRoute",
                "metadata": {"name": "m1-router", "namespace": "aibrix-system"},
                "spec": {},
            }
        )
    assert [p.route for p in models.add(Wanted("m1", replicas=2, port=9000))] == [
        "direct",
        "extension",
        "plain",
    ]
    wanted = {"model.aibrix.ai/name": "m1", "model.aibrix.ai/port": "9000"}
    assert wanted.items() <= labels_of(fakes, "Deployment", "m1").items()
    spec = fakes.kube.objects["Deployment", "default", "m1"]["spec"]
    assert wanted.items() <= spec["template"]["metadata"]["labels"].items()
    assert spec["replicas"] == 2
    assert fakes.kube.objects["Service", "default", "m1"]["spec"]["ports"][0]["port"] == 9000
    made = [entry for entry in fakes.log if entry.startswith("apply ReferenceGrant")]
    assert bool(made) == (profile.name == "offline"), (
        "AIBrix's controller makes route and grant, where it is"
    )


@pytest.mark.parametrize("profile", ["aibrix"], indirect=True)
def test_a_route_that_never_comes_is_told(models):
    with pytest.raises(DevenvError, match="The model's route was not ready") as failed:
        models.add(Wanted("m1"))
    assert "HTTPRoute m1-router, which the controller makes" in failed.value.why


def test_where_the_controller_can_make_none_devenv_makes_the_route(models, fakes):
    with suppress(DevenvError):  # the fake gateway knows one model's route
        models.add(Wanted("Qwen2.5_7B"))
    slug = Wanted("Qwen2.5_7B").slug
    route = fakes.kube.objects["HTTPRoute", "aibrix-system", f"{slug}-router"]
    assert route["spec"]["rules"][0]["matches"][0]["headers"] == [
        {"name": "model", "value": "Qwen2.5_7B"}
    ]
    deployment = fakes.kube.objects["Deployment", "default", slug]
    assert "model.aibrix.ai/name" not in deployment["metadata"]["labels"], (
        "else the controller made one that leads nowhere"
    )
    assert (
        deployment["spec"]["template"]["metadata"]["labels"]["model.aibrix.ai/name"] == "Qwen2.5_7B"
    )


def test_all_that_is_wrong_is_told_before_anything_is_applied(models, fakes):
    fakes.kube.objects["Deployment", "elsewhere", Wanted("a/b").slug] = {
        "metadata": {"name": "x", "namespace": "elsewhere"}, "spec": {},
    }  # fmt: skip
    with pytest.raises(DevenvError) as refused:
        models.check(Wanted("a/b", namespace="elsewhere"))
    assert refused.value.exit_code is Exit.USAGE
    label = "can't be a label's value" in refused.value.why
    assert label is not models.profile.model_annotations
    assert len(refused.value.why.splitlines()) == 2 + label, refused.value.why
    assert not [entry for entry in fakes.log if entry.startswith("apply")]


def test_only_what_devenv_has_added_is_removed(models, fakes):
    with suppress(DevenvError):
        models.add(Wanted("Other_1"))
    fakes.kube.apply(
        {
            "kind": "Deployment",
            "metadata": {"name": "theirs", "namespace": "default", "annotations": {}},
            "spec": {},
        }
    )
    objects = models.objects("Other_1")
    assert [o["kind"] for o in objects] == ["Deployment", "Service", "HTTPRoute"]
    models.remove("Other_1", objects)
    assert ("Deployment", "default", "theirs") in fakes.kube.objects
    with pytest.raises(DevenvError, match="has not added a model theirs"):
        models.objects("theirs")


def test_a_name_that_somebody_else_has_is_refused(models, fakes):
    labels = {"model.aibrix.ai/name": "m1"}
    fakes.kube.apply(
        {
            "kind": "Deployment",
            "metadata": {"name": "other", "namespace": "far", "labels": labels},
            "spec": {},
        }
    )
    with pytest.raises(DevenvError) as refused:
        models.check(Wanted("m1"))
    assert "Deployment far/other serves a model of that name" in refused.value.why
    fakes.kube.apply(
        {
            "kind": "HTTPRoute",
            "metadata": {"name": "aibrix-reserved-router", "namespace": "aibrix-system"},
            "spec": {},
        }
    )
    with pytest.raises(DevenvError) as refused:
        models.check(Wanted("aibrix-reserved"))
    assert "HTTPRoute aibrix-reserved-router is there already" in refused.value.why
    models.check(Wanted("free"))


@pytest.mark.parametrize("namespace", ["", "kube-system/pods", "../x", "Default"])
def test_a_namespace_that_is_none_is_refused(models, namespace):
    with pytest.raises(DevenvError, match="is no name of a namespace"):
        models.check(Wanted("m1", namespace=namespace))


def test_another_port_takes_another_route_and_nothing_is_removed_unasked(models, fakes):
    with suppress(DevenvError):
        models.add(Wanted("m1"))
    with pytest.raises(DevenvError) as refused:
        models.check(Wanted("m1", port=9000))
    assert "it is there with port 8000" in refused.value.why
    assert "`devenv model rm m1` first" in refused.value.why
    assert not [entry for entry in fakes.log if entry.startswith("delete")]
    models.check(Wanted("m1", replicas=3))


def test_an_image_that_was_built_again_replaces_the_pods(models, fakes):
    with suppress(DevenvError):
        models.add(Wanted("m1", image="mine:1", image_id="sha256:2"))
    template = fakes.kube.objects["Deployment", "default", "m1"]["spec"]["template"]
    assert "sha256:2" in template["metadata"]["annotations"].values()


HASHED = (
    "qwen-qwen2-5-7b-401a4b448e74-router"  # as main's controller named it (docs/facts/aibrix.md)
)
QWEN = "Qwen/Qwen2.5-7B"


def route_for(model, name, *, made_by_devenv=False):
    match = {"headers": [{"name": "model", "value": model}]}
    meta = {
        "name": name,
        "namespace": "aibrix-system",
        "annotations": {"devenv/model": model} if made_by_devenv else {},
    }
    return {"kind": "HTTPRoute", "metadata": meta, "spec": {"rules": [{"matches": [match]}]}}


def pod_of(fakes, model, **meta):
    """Make the fake's pod one of a model that only an annotation can name."""
    found = {
        "name": "mock-1",
        "namespace": "default",
        "annotations": {"model.aibrix.ai/name": model},
        **meta,
    }
    pod = {
        "metadata": found,
        "status": {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
    }
    select = fakes.kube.select

    def selected(version, kind, namespace="", selector=""):
        if kind == "Pod" and "owning-gateway" not in selector:
            assert "/Qwen" not in selector, "the API server refuses it"
            return [pod]
        return select(version, kind, namespace, selector)

    fakes.kube.select = selected


@pytest.mark.parametrize("profile", ["main"], indirect=True)
def test_main_makes_the_route_of_a_name_that_only_an_annotation_can_hold(models, fakes):
    fakes.kube.apply(route_for(QWEN, HASHED))
    fakes.gateway.routes[QWEN] = HASHED
    pod_of(fakes, QWEN)
    models.check(Wanted(QWEN))
    assert [(p.route, p.ok) for p in models.add(Wanted(QWEN))] == [
        ("direct", True),
        ("extension", True),
        ("plain", True),
    ]
    slug = Wanted(QWEN).slug
    deployment = fakes.kube.objects["Deployment", "default", slug]
    names = {"model.aibrix.ai/name": QWEN, "model.aibrix.ai/service-name": slug}
    for obj in (deployment, deployment["spec"]["template"]):
        assert names.items() <= obj["metadata"]["annotations"].items()
        assert "model.aibrix.ai/name" not in obj["metadata"]["labels"]
    assert ("Service", "default", slug) in fakes.kube.objects
    assert not [entry for entry in fakes.log if entry == f"apply HTTPRoute/{slug}-router"]
    (seen,) = models.look()
    assert (seen.name, seen.answers, seen.route, seen.service) == (
        QWEN,
        True,
        "accepted",
        f"default/{slug}",
    )


@pytest.mark.parametrize("profile", ["main"], indirect=True)
def test_main_makes_the_route_of_a_label_that_is_no_services_name(models, fakes):
    fakes.kube.apply(route_for("Qwen2.5_7B", "qwen2-5-7b-aaaaaaaaaaaa-router"))
    fakes.gateway.routes["Qwen2.5_7B"] = "qwen2-5-7b-aaaaaaaaaaaa-router"
    assert [p.route for p in models.add(Wanted("Qwen2.5_7B"))] == ["direct", "extension", "plain"]
    meta = fakes.kube.objects["Deployment", "default", Wanted("Qwen2.5_7B").slug]["metadata"]
    assert meta["labels"]["model.aibrix.ai/name"] == "Qwen2.5_7B"
    assert meta["annotations"]["model.aibrix.ai/service-name"] == Wanted("Qwen2.5_7B").slug


@pytest.mark.parametrize("profile", ["main"], indirect=True)
def test_a_route_of_devenvs_own_that_the_controller_would_make_now_is_told(models, fakes):
    slug = Wanted(QWEN).slug
    fakes.kube.apply(route_for(QWEN, f"{slug}-router", made_by_devenv=True))
    with pytest.raises(DevenvError) as refused:
        models.check(Wanted(QWEN))
    assert f"devenv model rm {QWEN}" in refused.value.why


@pytest.mark.parametrize("profile", ["aibrix"], indirect=True)
def test_a_release_gets_no_annotations(models, fakes):
    with suppress(DevenvError):
        models.add(Wanted("Qwen2.5_7B"))
    deployment = fakes.kube.objects["Deployment", "default", Wanted("Qwen2.5_7B").slug]
    assert set(deployment["metadata"]["annotations"]) == {"devenv/model"}
    assert "annotations" not in deployment["spec"]["template"]["metadata"]


@pytest.mark.parametrize("profile", ["main"], indirect=True)
def test_a_storm_service_is_asked_by_the_one_route_that_it_has(models, fakes):
    pod_of(
        fakes, "pd-model", labels={"storm-service-name": "pd", "model.aibrix.ai/name": "pd-model"}
    )
    (seen,) = models.look()
    assert (seen.name, seen.answers) == ("pd-model", True)
    assert [p.route for p in seen.proofs] == ["extension"]


def test_requests_carry_the_models_headers(models, monkeypatch):
    monkeypatch.setenv("PLANTED", "x")
    keyed = LiveRequest(route="direct", model="m1", headers={"Authorization": "Bearer ${PLANTED}"})
    profile = models.profile.model_copy(update={"requests": (keyed,)})
    of = {
        name: replace(models, profile=profile).requests(name, "", anonymous=True)
        for name in ("m1", "m2")
    }
    assert all(r.headers == keyed.headers for r in of["m1"])
    assert not any(r.headers for r in of["m2"])
    given = {"X-Key": SecretStr("y")}
    assert all(
        r.headers == given
        for r in replace(models, headers=given).requests("m1", "", anonymous=True)
    )
