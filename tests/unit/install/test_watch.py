"""A pod that waits for a Secret is changed once, so that its kubelet looks."""

import pytest

from devenv.base.errors import DevenvError, NotFoundError
from devenv.install.nudges import SANDBOX_RETRIED, SECRET_SEEN, changed_since_start, mounted_secrets
from devenv.install.watch import Watch
from tests.fakes.world import FakeKube

VOLUMES = [
    {"secret": {"secretName": "cert"}},
    {"projected": {"sources": [{"secret": {"name": "other"}}, {"configMap": {}}]}},
    {},
]


def workload(volumes=VOLUMES):
    template = {"metadata": {"labels": {"app": "c"}}, "spec": {"volumes": volumes}}
    spec = {"selector": {"matchLabels": {"app": "c"}}, "template": template}
    return {
        "kind": "Deployment",
        "metadata": {"name": "controller", "namespace": "ns"},
        "spec": spec,
    }


def pod(started="2026-01-01T00:00:10Z", *, ready=False, note=""):
    meta = {
        "name": "controller-h-1", "namespace": "ns", "labels": {"pod-template-hash": "h"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "controller-h"}], "annotations": {SECRET_SEEN: note} if note else {},
    }  # fmt: skip
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "metadata": meta,
        "status": {"phase": "Running", "startTime": started, "conditions": conditions},
    }


def secret(written="2026-01-01T00:00:12Z", version="7", data=("tls.crt",)):
    writers = [{"time": "2026-01-01T00:00:01Z"}, {"time": written}]
    meta = {
        "creationTimestamp": "2026-01-01T00:00:01Z",
        "managedFields": writers,
        "resourceVersion": version,
    }
    return {"metadata": meta, "data": dict.fromkeys(data, "x")}


class SecretKube(FakeKube):
    """Pods of one workload and their Secret; `merge` is kept as it is given."""

    def __init__(self, log, pods, secrets):
        super().__init__(log)
        self.own_pods, self.secrets, self.merged, self.gone = pods, secrets, [], False
        self.keepers, self.events, self.key = [], [], SECRET_SEEN

    def select(self, api_version, kind, namespace="", selector=""):
        return {"Pod": self.own_pods, "ReplicaSet": self.keepers, "Event": self.events}.get(
            kind, []
        )

    def get(self, api_version, kind, namespace, name):
        self.log.append(f"get {name}")
        return self.secrets.get(name)

    def merge(self, manifest):
        if self.gone:
            raise NotFoundError("no such pod")
        self.merged.append(manifest["metadata"]["annotations"][self.key])
        self.own_pods[0]["metadata"]["annotations"] = manifest["metadata"]["annotations"]


def test_secrets_are_found_wherever_a_pod_mounts_them():
    assert mounted_secrets({"volumes": VOLUMES}) == ["cert", "other"]
    assert mounted_secrets({}) == []


@pytest.mark.parametrize(
    ("own_pod", "own_secret", "note"),
    [
        (pod(), secret(), "7"),
        (pod(), secret("2026-01-01T00:00:10Z"), "7"),  # in the same second: perhaps after it
        (pod(), secret("2026-01-01T00:00:09Z"), ""),  # it has that one
        (pod(ready=True), secret(), ""),
        (pod(started=None), secret(), ""),  # its kubelet has not begun
        (pod(), secret(data=()), ""),  # nothing to bring yet
        (pod() | {"metadata": {"deletionTimestamp": "x"}}, secret(), ""),
    ],
)
def test_only_a_waiting_pod_with_an_older_secret_is_noted(own_pod, own_secret, note):
    assert changed_since_start(own_pod, [own_secret]) == note


def test_each_change_of_a_secret_changes_the_pod_once(fakes):
    kube = SecretKube(fakes.log, [pod()], {"cert": secret()})
    watch = Watch(kube, fakes.clock)
    for _ in range(20):
        watch.look("Deployment", workload())
        fakes.clock.sleep(0.2)
    assert kube.merged == ["7"]
    kube.secrets["cert"] = secret(version="9")
    fakes.clock.sleep(1)
    watch.look("Deployment", workload())
    assert kube.merged == ["7", "9"]


def test_another_process_has_noted_it_already(fakes):
    kube = SecretKube(fakes.log, [pod(note="7")], {"cert": secret()})
    Watch(kube, fakes.clock).look("Deployment", workload())
    assert kube.merged == []


def test_the_looks_are_few(fakes):
    kube = SecretKube(fakes.log, [pod(ready=True)], {})
    watch = Watch(kube, fakes.clock)
    for _ in range(10):
        watch.look("Deployment", workload())
        fakes.clock.sleep(0.2)
    assert fakes.log.count("get cert") == 2
    watch.look("Deployment", workload([]))
    assert fakes.log.count("get cert") == 2


def test_a_pod_that_is_gone_meanwhile_is_no_error(fakes):
    kube = SecretKube(fakes.log, [pod()], {"cert": secret()})
    kube.gone = True
    Watch(kube, fakes.clock).look("Deployment", workload())


def test_a_rollout_that_cant_end_well_is_given_up(fakes):
    waiting = {
        "name": "c",
        "state": {"waiting": {"reason": "ErrImageNeverPull", "message": "not there"}},
    }
    newest = pod()
    newest["status"]["containerStatuses"] = [waiting]
    newest["metadata"]["uid"] = "u"
    kube = SecretKube(fakes.log, [newest], {})
    owner = [{"kind": "Deployment", "name": "controller"}]
    revision = {"deployment.kubernetes.io/revision": "1"}
    keeper = {
        "name": "controller-h",
        "labels": {"pod-template-hash": "h"},
        "annotations": revision,
        "ownerReferences": owner,
    }
    kube.keepers = [{"metadata": keeper}]
    own = workload([])
    own["metadata"]["annotations"] = revision
    with pytest.raises(DevenvError) as given_up:
        Watch(kube, fakes.clock).look("Deployment", own)
    assert "ErrImageNeverPull" in given_up.value.why


def test_a_pod_without_a_sandbox_is_tried_again(fakes):
    waiting = pod()
    waiting["metadata"]["uid"] = "u"
    kube = SecretKube(fakes.log, [waiting], {})
    failed = {
        "reason": "FailedCreatePodSandBox",
        "involvedObject": {"uid": "u"},
        "lastTimestamp": "t",
    }
    kube.events, kube.key = [failed], SANDBOX_RETRIED
    Watch(kube, fakes.clock).look("Deployment", workload([]))
    assert kube.merged == ["t"]


def test_a_pod_that_could_not_be_frozen_is_replaced(fakes):
    ended = {"reason": "StartError", "message": "runc create failed: unable to freeze"}
    status = {"name": "c", "state": {"waiting": {}}, "lastState": {"terminated": ended}}
    stuck = pod()
    stuck["metadata"]["ownerReferences"][0]["controller"] = True
    stuck["status"]["containerStatuses"] = [status]
    Watch(SecretKube(fakes.log, [stuck], {}), fakes.clock).look("Deployment", workload([]))
    assert [entry for entry in fakes.log if entry.startswith("delete")] == [
        "delete Pod/controller-h-1"
    ]
