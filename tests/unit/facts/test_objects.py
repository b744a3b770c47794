"""What every Kubernetes object may lack, or have as null, counts as empty."""

import pytest

from devenv.facts.objects import (
    annotations_of,
    conditions_of,
    fields_of,
    full_name,
    is_true,
    items_of,
    labels_of,
    namespace_of,
    owners_of,
    status_of,
)

BARE = {"metadata": {"name": "x"}}
NULLS = {
    "metadata": {"name": "x", "labels": None, "annotations": None, "ownerReferences": None},
    "status": None,
}


@pytest.mark.parametrize("obj", [BARE, NULLS])
def test_a_part_that_is_missing_or_null_is_empty(obj):
    assert not labels_of(obj)
    assert not annotations_of(obj)
    assert not owners_of(obj)
    assert not status_of(obj)
    assert not conditions_of(obj)
    assert namespace_of(obj) == ""


@pytest.mark.parametrize(
    ("namespace", "expected"), [("a", "a/x"), ("", "x"), (None, "x")], ids=["some", "empty", "null"]
)
def test_a_full_name_begins_with_the_namespace_if_there_is_one(namespace, expected):
    obj = {"metadata": {"name": "x", "namespace": namespace}}
    assert namespace_of(obj) == (namespace or "")
    assert full_name(obj) == expected


def test_a_full_name_without_a_namespace_is_the_name():
    assert full_name(BARE) == "x"


def test_a_parent_that_is_null_has_empty_parts():
    assert fields_of(None, "spec") == {}
    assert items_of(None, "rules") == []


@pytest.mark.parametrize(("status", "expected"), [("True", True), ("False", False)])
def test_a_condition_is_true_by_its_status(status, expected):
    conditions = [{"type": "Other", "status": "True"}, {"type": "Ready", "status": status}]
    assert is_true(conditions, "Ready") is expected
    assert not is_true([], "Ready")
