"""Pods that no workload made: AIBrix's are made again, others are named."""

from types import SimpleNamespace

import pytest

from devenv import data
from devenv.base.errors import DevenvError, Exit
from devenv.profiles.load import load
from devenv.reload.loose import LeftPodsError, LoosePods
from devenv.reload.plan import Planner
from devenv.reload.rollout import Rollout

IMAGE, OLD, NEW, NODE = "docker.io/library/a:1", "sha256:old", "sha256:new", "n1"
EXPECTED = {NODE: {IMAGE: NEW}}
BARE = "n/bare (no owner)"
PROFILE = load("offline", data.root() / "profiles")


def pod(name, owner=None, image="a:1", **metadata):
    owners = [{"kind": owner, "name": "o"}] if owner else []
    meta = {"name": name, "namespace": "n", "uid": f"{name}-uid", "ownerReferences": owners}
    condition = {"type": "Ready", "status": "True"}
    return {
        "metadata": {**meta, **metadata},
        "spec": {"nodeName": NODE, "containers": [{"name": "c", "image": image}]},
        "status": {"phase": "Running", "conditions": [condition]},
    }


class Kube:
    """A cluster whose AIBrix makes each deleted pod of its own again, if it `remakes`."""

    def __init__(self, *pods, remakes=True):
        self.pods, self.remakes, self.log = list(pods), remakes, []
        template = {"spec": {"containers": [{"name": "c", "image": "a:1"}]}}
        meta = {"name": "d", "namespace": "n", "uid": "d"}
        self.deployment = {"metadata": meta, "spec": {"template": template}}
        self.running = {(self.uid(p), "c"): OLD for p in pods}

    @staticmethod
    def uid(obj):
        return obj["metadata"]["uid"]

    def select(self, api_version, kind, namespace="", selector=""):
        return {"Pod": self.pods, "Deployment": [self.deployment]}.get(kind, [])

    def delete(self, api_version, kind, namespace, name, *, grace=None):
        self.log.append(name)
        (gone,) = [p for p in self.pods if p["metadata"]["name"] == name]
        self.pods.remove(gone)
        del self.running[self.uid(gone), "c"]
        if self.remakes:
            owner = gone["metadata"]["ownerReferences"][0]["kind"]
            again = pod(f"{name}-2", owner)
            self.pods.append(again)
            self.running[self.uid(again), "c"] = NEW


@pytest.fixture
def loose(fakes):
    return lambda kube: LoosePods("c", kube, fakes.clock, fakes.reporter)


def replace(loose, kube):
    return loose(kube).replace([IMAGE], EXPECTED, lambda: kube.running)


def of_deployment():
    return pod("d-1-x", "ReplicaSet", labels={"pod-template-hash": "1"})


def test_which_pods_are_loose(loose):
    deployments_pod = of_deployment()
    deployments_pod["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "d-1"}]
    others = [
        deployments_pod,
        pod("static", "Node"),
        pod("other", image="b:1"),
        pod("ending", deletionTimestamp="2026-01-01T00:00:00Z"),
    ]
    kube = Kube(pod("bare"), pod("job", "Job"), pod("role", "RoleSet"), *others)
    found = [(entry.pod["metadata"]["name"], entry.owner) for entry in loose(kube).using([IMAGE])]
    assert found == [("bare", ""), ("job", "Job o"), ("role", "RoleSet o")]


@pytest.mark.parametrize("owner", ["StormService", "RoleSet", "PodSet"])
def test_the_pods_of_aibrix_are_restarted(loose, owner):
    kube = Kube(pod("p", owner), pod("q", owner), pod("bare"))
    assert replace(loose, kube) == [f"{owner} o"]
    assert kube.log == ["p", "q"]


def test_pods_that_run_the_new_image_stay(loose):
    kube = Kube(pod("p", "RoleSet"))
    kube.running = {("p-uid", "c"): NEW}
    assert (replace(loose, kube), kube.log) == ([], [])


def test_pods_that_are_not_made_again_are_a_failure(loose, fakes):
    with pytest.raises(DevenvError) as caught:
        replace(loose, Kube(pod("p", "RoleSet"), remakes=False))
    assert caught.value.exit_code == Exit.FAILED


@pytest.mark.parametrize(("owner", "words"), [(None, "no owner"), ("Job", "Job o")])
def test_what_still_runs_the_old_image_is_named_with_its_owner(loose, owner, words):
    kube = Kube(pod("p", owner))
    with pytest.raises(LeftPodsError) as caught:
        loose(kube).refuse_left([IMAGE], EXPECTED, lambda: kube.running)
    assert caught.value.why == f"n/p ({words})"
    assert "`kubectl --context kind-c -n n delete pod p`" in caught.value.next_step


@pytest.mark.parametrize("running", [{}, {("p-uid", "c"): NEW}, {("p-uid", "other"): NEW}])
def test_what_does_not_run_the_old_image_is_not_left(loose, running):
    kube = Kube(pod("p"))
    if running == {("p-uid", "other"): NEW}:
        kube.pods[0]["spec"]["nodeName"] = "n2"
    loose(kube).refuse_left([IMAGE], EXPECTED, lambda: running)


class FakeRollout(Rollout):
    """One whose nodes are the test's own."""

    @property
    def proven(self):
        return SimpleNamespace(running_images=lambda: self.session.kube.running)


@pytest.fixture
def rollout(fakes, monkeypatch):
    monkeypatch.setattr("devenv.reload.rollout.prove_routes", lambda *_: fakes.log.append("proof"))

    def roll(kube):
        settled = SimpleNamespace(run=lambda _: None)
        session = fakes.session("c", PROFILE, kube=kube)
        return FakeRollout(session, SimpleNamespace(settled=settled), None)

    return roll


def test_a_rollout_ends_with_the_pods_that_are_left(rollout, fakes, monkeypatch):
    monkeypatch.setattr("devenv.reload.rollout.prove_routes", lambda *_: [])
    kube = Kube(pod("p", "RoleSet"), pod("bare"))
    with pytest.raises(LeftPodsError) as caught:
        rollout(kube).run([], EXPECTED)
    assert (caught.value.why, kube.log) == (BARE, ["p"])
    kube.pods = [p for p in kube.pods if p["metadata"]["name"] != "bare"]
    assert rollout(kube).run([], EXPECTED).restarted == ()


def planner(fakes, kube):
    return Planner(fakes.session("c", PROFILE, kube=kube), None)


@pytest.mark.parametrize(
    ("pods", "is_refused"), [([], True), ([pod("bare")], True), ([pod("p", "RoleSet")], False)]
)
def test_an_image_that_no_workload_uses(fakes, pods, is_refused):
    kube = Kube(*pods)
    kube.deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "b:1"
    moves = [SimpleNamespace(name=IMAGE)]

    def find():
        return planner(fakes, kube)._find_workloads(moves, fix_pull_policy=False)

    if not is_refused:
        assert find() == []
        return
    with pytest.raises(DevenvError) as caught:
        find()
    assert caught.value.exit_code == Exit.USAGE
    assert (BARE in caught.value.why) is bool(pods)


def test_where_no_pod_is_loose_no_node_is_asked(loose):
    def running_images():
        pytest.fail("the nodes were asked")

    pods = loose(Kube())
    assert pods.replace([IMAGE], EXPECTED, running_images) == []
    pods.refuse_left([IMAGE], EXPECTED, running_images)
