"""What of an object differs: paths, both values, and no credential among them."""

import pytest

from devenv.diagnosis.changes import NOT_SHOWN, changes_of
from devenv.facts.trim import trimmed


def changes(live, desired, kind="Deployment"):
    """Path → both values, as texts."""
    found = changes_of({"kind": kind, "spec": desired}, {"spec": live})
    return {change.path: (change.live, change.desired) for change in found}


@pytest.mark.parametrize(
    ("live", "desired", "expected"),
    [
        ({"a": 1, "more": 2}, {"a": 1}, {}),
        ({"a": "1"}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2}, {"spec.a": ("1", "2")}),
        ({}, {"a": {"b": 2}}, {"spec.a.b": ("", "2")}),
        (None, {"a": 2}, {"spec.a": ("", "2")}),
        ({"a": [1, 2]}, {"a": [1, 3]}, {"spec.a[1]": ("2", "3")}),
        ({"a": [1, 2]}, {"a": [1]}, {"spec.a": ("[1, 2]", "[1]")}),
        ({"a": 1}, {"a": [1]}, {"spec.a": ("1", "[1]")}),
        ({"a": []}, {"a": []}, {}),
        ({"a": "1Gi"}, {"a": "1024Mi"}, {}),
        ({"a": "1Gi"}, {"a": "1000Mi"}, {"spec.a": ("1Gi", "1000Mi")}),
        ({"a": 0.5}, {"a": 0.9}, {"spec.a": ("0.5", "0.9")}),
        ({"a": "b\nc"}, {"a": "d"}, {"spec.a": ("b c", "d")}),
    ],
)
def test_values(live, desired, expected):
    assert changes(live, desired) == expected


def named(**images):
    return {"containers": [{"name": name, "image": image} for name, image in images.items()]}


def test_items_with_names_are_compared_by_name():
    assert changes(named(a="1", b="2"), named(a="1", b="3")) == {
        "spec.containers[b].image": ("2", "3")
    }
    assert changes(named(b="2"), named(a="1", b="2")) == {
        "spec.containers[a]": ("", '{"name": "a", "image": "1"}')
    }
    assert changes(named(a="1", b="2", c="3"), named(c="3")) == {
        "spec.containers[a]": ('{"name": "a", "image": "1"}', ""),
        "spec.containers[b]": ('{"name": "b", "image": "2"}', ""),
    }
    assert changes(named(a="1", b="2"), named(b="2", a="1")) == {
        "spec.containers": ("a, b", "b, a")
    }


def test_a_name_that_two_items_have_tells_none_apart():
    two = {"x": [{"name": "a", "v": 1}, {"name": "a", "v": 2}]}
    other = {"x": [{"name": "a", "v": 1}, {"name": "a", "v": 3}]}
    assert changes(two, other) == {"spec.x[1].v": ("2", "3")}


S3CRET = "s3cret"


def variables(**values):
    return {"env": [{"name": name, "value": value} for name, value in values.items()]}


def test_no_credential_is_shown():
    assert changes(variables(API_KEY="live-s3cret"), variables(API_KEY="own-s3cret")) == {
        "spec.env[API_KEY].value": (NOT_SHOWN, NOT_SHOWN)
    }
    assert changes(variables(HOST="a"), variables(HOST="b")) == {"spec.env[HOST].value": ("a", "b")}
    assert "s3cret" not in str(changes(variables(), variables(MY_TOKEN=S3CRET)))
    assert "s3cret" not in str(changes({"x": 1}, {"x": ["--api-key", "s3cret"]}))
    assert "s3cret" not in str(changes({"x": "a"}, {"x": "--token=s3cret"}))
    assert changes({"a": "s3cret"}, {"a": "x"}, kind="Secret") == {"spec.a": (NOT_SHOWN, NOT_SHOWN)}


def deployment(**values):
    container = {"name": "c", **variables(**values)}
    template = {"spec": {"containers": [container]}}
    return {"kind": "Deployment", "metadata": {"name": "d"}, "spec": {"template": template}}


def test_of_a_variable_in_facts_only_that_it_differs_is_known():
    manifest = {"kind": "Deployment", **trimmed(deployment(HOST="a", PORT="1"))}
    found = list(changes_of(manifest, trimmed(deployment(HOST="b", PORT="1"))))
    path = "spec.template.spec.containers[c].env[HOST]"
    assert [(c.path, c.live, c.desired) for c in found] == [(path, NOT_SHOWN, NOT_SHOWN)]
