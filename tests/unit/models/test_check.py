from contextlib import suppress

import pytest

from devenv.base.errors import DevenvError, Exit
from devenv.models.model import NewModel
from tests.unit.models.annotated import QWEN, route_for


def test_all_problems_are_reported_before_anything_is_applied(models, fakes):
    fakes.kube.objects["Deployment", "elsewhere", NewModel("a/b").slug] = {
        "metadata": {"name": "x", "namespace": "elsewhere"}, "spec": {},
    }  # fmt: skip
    with pytest.raises(DevenvError) as refused:
        models.check(NewModel("a/b", namespace="elsewhere"))
    assert refused.value.exit_code is Exit.USAGE
    problems = refused.value.why.splitlines()
    existing_object, missing_namespace = problems[-2:]
    assert NewModel("a/b").slug in existing_object
    assert "elsewhere" in missing_namespace
    # Without annotations the name must fit into a label.
    name_problems = [problem for problem in problems if problem.startswith("'a/b'")]
    assert bool(name_problems) is not models.session.profile.model_annotations
    assert len(problems) == 2 + len(name_problems), problems
    assert not [entry for entry in fakes.log if entry.startswith("apply")]


def test_a_name_that_is_taken_is_refused(models, fakes):
    labels = {"model.aibrix.ai/name": "m1"}
    fakes.kube.apply(
        {
            "kind": "Deployment",
            "metadata": {"name": "other", "namespace": "far", "labels": labels},
            "spec": {},
        }
    )
    with pytest.raises(DevenvError) as refused:
        models.check(NewModel("m1"))
    assert "Deployment far/other" in refused.value.why
    fakes.kube.apply(
        {
            "kind": "HTTPRoute",
            "metadata": {"name": "aibrix-reserved-router", "namespace": "aibrix-system"},
            "spec": {},
        }
    )
    with pytest.raises(DevenvError) as refused:
        models.check(NewModel("aibrix-reserved"))
    assert "HTTPRoute aibrix-reserved-router" in refused.value.why
    models.check(NewModel("free"))


@pytest.mark.parametrize("namespace", ["", "kube-system/pods", "../x", "Default"])
def test_an_invalid_namespace_is_refused(models, namespace):
    with pytest.raises(DevenvError) as refused:
        models.check(NewModel("m1", namespace=namespace))
    assert refused.value.exit_code is Exit.USAGE
    assert refused.value.what.startswith(repr(namespace))


def test_another_port_is_refused_and_nothing_is_removed(models, fakes):
    with suppress(DevenvError):
        models.add(NewModel("m1"))
    with pytest.raises(DevenvError) as refused:
        models.check(NewModel("m1", port=9000))
    assert "port 8000" in refused.value.why
    assert "`devenv model rm m1`" in refused.value.why
    assert not [entry for entry in fakes.log if entry.startswith("delete")]
    models.check(NewModel("m1", replicas=3))


@pytest.mark.parametrize("profile", ["main"], indirect=True)
def test_a_route_by_an_older_devenv_is_refused_if_the_controller_makes_one_now(models, fakes):
    slug = NewModel(QWEN).slug
    fakes.kube.apply(route_for(QWEN, f"{slug}-router", made_by_devenv=True))
    with pytest.raises(DevenvError) as refused:
        models.check(NewModel(QWEN))
    assert f"devenv model rm {QWEN}" in refused.value.why
