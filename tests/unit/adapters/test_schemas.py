"""The shapes of Kubernetes' own kinds."""

import copy

import pytest

from devenv.adapters.schemas import BuiltinSchemas

WHOLE = {
    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "b", "labels": {"x": "y"}},
    "spec": {
        "replicas": 1, "selector": {"matchLabels": {"x": "y"}},
        "template": {
            "metadata": {"labels": {"x": "y"}},
            "spec": {
                "containers": [{
                    "name": "c", "image": "i", "imagePullPolicy": "IfNotPresent", "ports": [{"containerPort": 80}],
                    "resources": {"limits": {"cpu": 1, "memory": "64Mi"}}, "readinessProbe": {"httpGet": {"port": "http"}},
                }],
                "volumes": [{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": 64}}],
            },
        },
    },
}  # fmt: skip
CONTAINER = ("spec", "template", "spec", "containers", 0)


def fields(manifest) -> list[str]:
    return [problem.partition(":")[0] for problem in BuiltinSchemas().problems(manifest)]


def test_what_is_whole_has_no_problem():
    assert fields(WHOLE) == []


@pytest.mark.parametrize(("path", "value"), [
    (("spec", "replicas"), "two"), (("spec", "replicas"), True), (("spec", "replicass"), 1), (("spec", "template", "spec"), []),
    (("spec", "template", "spec", "containers"), {}), ((*CONTAINER, "imagePullPolicy"), "Sometimes"), ((*CONTAINER, "env"), [7]),
    ((*CONTAINER, "ports"), [{"containerPort": "80"}]), (("metadata", "labels"), {"x": 7}), ((*CONTAINER, "imag"), "x"),
])  # fmt: skip
def test_what_the_api_server_would_refuse_is_told_by_its_field(path, value):
    changed = copy.deepcopy(WHOLE)
    node = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    (field,) = fields(changed)
    assert field.startswith(".".join(map(str, path)))


def test_a_kind_that_is_not_known_is_not_judged():
    assert (
        fields({"apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "EnvoyProxy", "spec": 7})
        == []
    )
    assert fields({"apiVersion": "v1", "kind": "Nothing", "spec": 7}) == []
