from contextlib import suppress

import pytest

from devenv.base.errors import DevenvError, Exit
from devenv.models.model import NewModel
from tests.unit.models.annotated import QWEN, QWEN_ROUTE, route_for, serve_by_pod


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
    assert [p.route for p in models.add(NewModel("m1", replicas=2, port=9000))] == [
        "direct",
        "extension",
        "plain",
    ]
    discovery_labels = {"model.aibrix.ai/name": "m1", "model.aibrix.ai/port": "9000"}
    assert discovery_labels.items() <= labels_of(fakes, "Deployment", "m1").items()
    spec = fakes.kube.objects["Deployment", "default", "m1"]["spec"]
    assert discovery_labels.items() <= spec["template"]["metadata"]["labels"].items()
    assert spec["replicas"] == 2
    assert fakes.kube.objects["Service", "default", "m1"]["spec"]["ports"][0]["port"] == 9000
    grants = [entry for entry in fakes.log if entry.startswith("apply ReferenceGrant")]
    assert bool(grants) == (profile.name == "offline"), (
        "AIBrix's controller makes route and grant, where it is"
    )


@pytest.mark.parametrize("profile", ["aibrix"], indirect=True)
def test_a_missing_route_is_reported(models, expect_error):
    with expect_error(Exit.FAILED):
        models.add(NewModel("m1"))


def test_devenv_makes_the_route_that_the_controller_can_not_make(models, fakes):
    with suppress(DevenvError):  # the fake gateway knows one model's route
        models.add(NewModel("Qwen2.5_7B"))
    slug = NewModel("Qwen2.5_7B").slug
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


def test_a_rebuilt_image_replaces_the_pods(models, fakes):
    with suppress(DevenvError):
        models.add(NewModel("m1", image="mine:1", image_id="sha256:2"))
    template = fakes.kube.objects["Deployment", "default", "m1"]["spec"]["template"]
    assert "sha256:2" in template["metadata"]["annotations"].values()


@pytest.mark.parametrize("profile", ["aibrix"], indirect=True)
def test_a_release_gets_no_annotations(models, fakes):
    with suppress(DevenvError):
        models.add(NewModel("Qwen2.5_7B"))
    deployment = fakes.kube.objects["Deployment", "default", NewModel("Qwen2.5_7B").slug]
    assert set(deployment["metadata"]["annotations"]) == {"devenv/model"}
    assert "annotations" not in deployment["spec"]["template"]["metadata"]


@pytest.mark.parametrize("profile", ["main"], indirect=True)
def test_main_makes_the_route_of_a_name_that_only_an_annotation_can_hold(models, fakes):
    fakes.kube.apply(route_for(QWEN, QWEN_ROUTE))
    fakes.gateway.routes[QWEN] = QWEN_ROUTE
    serve_by_pod(fakes, QWEN)
    models.check(NewModel(QWEN))
    assert [(p.route, p.ok) for p in models.add(NewModel(QWEN))] == [
        ("direct", True),
        ("extension", True),
        ("plain", True),
    ]
    slug = NewModel(QWEN).slug
    deployment = fakes.kube.objects["Deployment", "default", slug]
    names = {"model.aibrix.ai/name": QWEN, "model.aibrix.ai/service-name": slug}
    for obj in (deployment, deployment["spec"]["template"]):
        assert names.items() <= obj["metadata"]["annotations"].items()
        assert "model.aibrix.ai/name" not in obj["metadata"]["labels"]
    assert ("Service", "default", slug) in fakes.kube.objects
    assert not [entry for entry in fakes.log if entry == f"apply HTTPRoute/{slug}-router"]
    (listed,) = models.list_all()
    assert (listed.name, listed.answers, listed.route, listed.service) == (
        QWEN,
        True,
        "accepted",
        f"default/{slug}",
    )


@pytest.mark.parametrize("profile", ["main"], indirect=True)
def test_main_makes_the_route_of_a_label_that_is_no_services_name(models, fakes):
    fakes.kube.apply(route_for("Qwen2.5_7B", "qwen2-5-7b-aaaaaaaaaaaa-router"))
    fakes.gateway.routes["Qwen2.5_7B"] = "qwen2-5-7b-aaaaaaaaaaaa-router"
    assert [p.route for p in models.add(NewModel("Qwen2.5_7B"))] == ["direct", "extension", "plain"]
    meta = fakes.kube.objects["Deployment", "default", NewModel("Qwen2.5_7B").slug]["metadata"]
    assert meta["labels"]["model.aibrix.ai/name"] == "Qwen2.5_7B"
    assert meta["annotations"]["model.aibrix.ai/service-name"] == NewModel("Qwen2.5_7B").slug
