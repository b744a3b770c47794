"""DE316: pods with the image from before a reload."""

import shlex

import pytest

from devenv.images.nodes.containerd import kept_name
from tests.unit.diagnosis.covers import codes, covers, only_finding
from tests.unit.diagnosis.facts_builder import (
    IMAGE,
    MODELS,
    SERVER,
    healthy_facts,
    healthy_node,
    healthy_objects,
    named,
    pod_of,
)
from tests.unit.diagnosis.spelled import fixes

OLD, NEW, FOREIGN = (f"sha256:{digit * 64}" for digit in "012")
STORM = {"kind": "StormService", "name": "storm"}


def reloaded(*owners, digest=OLD, current=NEW):
    """Return facts after a reload, with a pod of no workload that runs `digest`."""
    objects = healthy_objects()
    for pod in objects["Pod"]:
        pod["status"]["containerStatuses"][0]["imageID"] = current
    pod = pod_of(named(objects, "Deployment", SERVER))
    pod["metadata"].update(name="alone", labels={}, ownerReferences=list(owners))
    pod["status"]["containerStatuses"][0]["imageID"] = digest
    objects["Pod"].append(pod)
    node = healthy_node(images=(IMAGE, kept_name(OLD)))
    return healthy_facts(objects, nodes=(node,))


@covers("DE316")
def test_a_bare_pod_with_the_image_before_a_reload(code):
    finding = only_finding(reloaded())
    assert (finding.code, str(finding.subject)) == (code, f"Pod {MODELS}/alone")
    (fix,) = fixes(finding)
    get, replace = fix.split(" | ")
    assert get.endswith(f"-n {MODELS} get pod/alone -o json")
    assert replace.endswith("replace --force -f -")


def test_a_pod_of_another_owner_is_named_with_it_and_deleted():
    finding = only_finding(reloaded(STORM))
    assert str(finding.subject) == f"StormService {MODELS}/storm"
    (fix,) = fixes(finding)
    assert shlex.split(fix)[-3:] == ["delete", "pod", "alone"]


@pytest.mark.parametrize(
    "facts",
    [reloaded(digest=NEW), reloaded(current=OLD), reloaded(digest=FOREIGN)],
    ids=["it has the newer image", "the workloads run the same", "no reload of devenv's"],
)
def test_a_pod_whose_image_is_not_superseded(facts):
    assert codes(facts) == []


def test_without_the_nodes_images_nothing_is_said():
    facts = reloaded()
    node = healthy_node(images=None)
    assert codes(facts.model_copy(update={"nodes": (node,)})) == []
