"""Whether a rollout can still end well. Where it can't, waiting for its deadline would be in vain.

Only pods of the newest revision are judged: those before them may crash as they like, they are being replaced.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from devenv.facts.revisions import KEEPERS, containers_of, is_ending, newest_pods
from devenv.facts.times import seconds
from devenv.ports import Clock, Kube, Manifest

_APPS = "apps/v1"
# Reasons for which a container waits that no time heals. The image is in the node, or the kubelet may not fetch it.
_FINAL = {"ErrImageNeverPull", "InvalidImageName"}
# runc could not start a container. Its next attempt may do better ("unable to freeze", kubernetes/kubernetes#131087), so
# such a failure counts as a crash, unless runc says that the image lacks the program ("exec: … no such file").
_NOT_STARTED = "RunContainerError"
_NO_PROGRAM = ("exec: ", "exec format error")
_PULL_FAILED = "ImagePullBackOff"
# Failed attempts: the first may have met a registry that hiccups.
_PULLS = 2
# A Secret or ConfigMap may still be made; containerd may still hold the name, or be slow.
_NOT_CREATED = {"CreateContainerConfigError", "CreateContainerError"}
_NOT_CREATED_SECONDS = 10.0
_CRASHES = 2
_NO_NODE_SECONDS = (
    # The scheduler tries again within that when a pod ends or a node becomes ready.
    3.0
)
_REFUSED_SECONDS = 3.0
_REFUSED = ("forbidden", "denied the request", "is invalid")
# What refuses only for a moment: a webhook whose pod starts, a namespace whose service account is being made.
_REFUSED_FOR_NOW = ("failed calling webhook", "serviceaccount", "service account")
# What the scheduler says where the pods that are to be replaced may take the room.
_TAKEN = ("Insufficient", "free ports", "anti-affinity")


@dataclass
class Outlook:
    """Judges one rollout, look after look: ask it for a verdict each time that the rollout isn't over yet.

    Crashes count from the first look on, so begin to look once everything that the workload waits for is ready.
    """

    kube: Kube
    clock: Clock
    # Whether all pods of the newest revision came with this rollout: then each crash counts.
    fresh: bool = False
    # Whether the last verdict was that a new pod finds no room beside others.
    no_room: bool = False
    # (pod's UID, container) → restarts at the first look
    _restarts: dict[tuple[str, str], int] = field(default_factory=dict)
    # (pod's UID, container) → number of the crash → how it ended
    _endings: dict[tuple[str, str], dict[int, str]] = field(default_factory=dict)
    # When it first looked, in seconds since 1970
    _began: float = 0.0
    # a trouble that may pass → when it was first seen, by the clock
    _since: dict[str, float] = field(default_factory=dict)

    def verdict(self, kind: str, workload: Manifest) -> str:
        """Return why the rollout can't end well, "" where it still may.

        Raises DevenvError where the API server does not answer.
        """
        self._began = self._began or self.clock.now()
        namespace = workload["metadata"]["namespace"]
        keepers = self.kube.select(_APPS, KEEPERS[kind], namespace) if kind in KEEPERS else []
        pods = newest_pods(kind, workload, keepers, self.kube.select("v1", "Pod", namespace))
        troubles = [t for pod in pods for t in self._pod(pod)]
        refusal = _refusal(workload)
        if refusal and self._lasts(refusal, _REFUSED_SECONDS):
            troubles.append(refusal)
        self.no_room = False
        if not troubles and (homeless := [p for p in pods if unschedulable(p)]):
            troubles += self._homeless(homeless[0])
        return troubles[0] if troubles else ""

    def _pod(self, pod: Manifest) -> Iterable[str]:
        for status in containers_of(pod):
            trouble = self._container(pod, status)
            if trouble:
                yield f"{pod['metadata']['name']}, container {status['name']}: {trouble}"

    def _container(self, pod: Manifest, status: Mapping[str, Any]) -> str:
        waiting = (status.get("state") or {}).get("waiting") or {}
        reason = str(waiting.get("reason") or "")
        trouble = f"{reason}: {waiting.get('message') or ''}".rstrip(": ")
        if reason in _FINAL or (
            reason == _NOT_STARTED and any(words in trouble for words in _NO_PROGRAM)
        ):
            return trouble
        place = f"{pod['metadata']['uid']} {status['name']}"
        if reason in _NOT_CREATED and self._lasts(f"{place} {reason}", _NOT_CREATED_SECONDS):
            return trouble
        if reason == _PULL_FAILED and self._failed_pulls(pod) >= _PULLS:
            return trouble
        is_init = status in ((pod.get("status") or {}).get("initContainerStatuses") or ())
        return self._crashes(pod["metadata"]["uid"], status, is_init=is_init)

    def _crashes(self, uid: str, status: Mapping[str, Any], *, is_init: bool) -> str:
        """Return how a container crashed twice alike, since the first look; "" where it did not."""
        key, restarts = (uid, str(status["name"])), int(status.get("restartCount") or 0)
        baseline = self._restarts.setdefault(key, 0 if self.fresh else restarts)
        endings = self._endings.setdefault(key, {})
        state, last_state = status.get("state") or {}, status.get("lastState") or {}
        if self._is_crash(state.get("terminated"), is_init=is_init):
            endings[restarts] = _ending(state["terminated"])
        if self._is_crash(last_state.get("terminated"), is_init=is_init):
            # A container that runs again, or has ended again, tells of the run before it; one that waits, of its own.
            endings[restarts if state.get("waiting") else restarts - 1] = _ending(
                last_state["terminated"]
            )
        newest = [endings[n] for n in sorted(endings) if n >= baseline][-_CRASHES:]
        alike = len(newest) == _CRASHES and len(set(newest)) == 1
        return f"crashed {_CRASHES} times alike: {newest[0]}" if alike else ""

    def _is_crash(self, terminated: Mapping[str, Any] | None, *, is_init: bool) -> bool:
        """Whether a container ended with a fault.

        An init container that ends well has done its work. What ended before the first look ended with
        the node, if it was stopped: the kubelet tells of it only once the node runs again.
        """
        if not terminated or (is_init and terminated.get("exitCode") == 0):
            return False
        return self.fresh or not 0 < seconds(terminated.get("finishedAt")) < self._began

    def _failed_pulls(self, pod: Manifest) -> int:
        meta = pod["metadata"]
        events = self.kube.select("v1", "Event", meta["namespace"])
        pod_events = [
            e for e in events if (e.get("involvedObject") or {}).get("uid") == meta["uid"]
        ]
        pulls = [
            e for e in pod_events if e.get("reason") == "Failed" and "pull" in str(e.get("message"))
        ]
        return sum(int(e.get("count") or 1) for e in pulls)

    def _homeless(self, pod: Manifest) -> list[str]:
        """Judge a pod that fits no node: a node that becomes ready, or a pod that ends, may make room."""
        reason = unschedulable(pod)
        nodes = self.kube.select("v1", "Node")
        ending = [p for p in self.kube.select("v1", "Pod") if is_ending(p)]
        if ending or any(_becomes_ready(n) for n in nodes):
            self._since.pop(reason, None)
            return []
        if not self._lasts(reason, _NO_NODE_SECONDS):
            return []
        self.no_room = any(words in reason for words in _TAKEN)
        return [f"{pod['metadata']['name']}: Unschedulable: {reason}"]

    def _lasts(self, trouble: str, seconds: float) -> bool:
        """Whether the same trouble was seen so many seconds ago already."""
        now = self.clock.monotonic()
        return now - self._since.setdefault(trouble, now) >= seconds


def unschedulable(pod: Manifest) -> str:
    """Return the scheduler's words on why a pod fits no node; "" where it has one, or may be about to get one."""
    status = pod.get("status") or {}
    if status.get("nominatedNodeName"):
        return ""
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            message = str(condition.get("message") or "").strip()
            # A claim may still be bound, by a provisioner that is slow.
            return "" if "persistentvolumeclaim" in message.lower() else message or "no node fits"
    return ""


def _becomes_ready(node: Manifest) -> bool:
    """Whether a node is not ready yet. One that is cordoned won't take pods before somebody uncordons it."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    is_ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
    taints = (node.get("spec") or {}).get("taints") or ()
    starts = any(
        "not-ready" in str(t.get("key")) or "uninitialized" in str(t.get("key")) for t in taints
    )
    return not is_ready or starts


def _refusal(workload: Manifest) -> str:
    """Return why no pod of a Deployment may be made; "" where it may, or only for a moment not."""
    for condition in (workload.get("status") or {}).get("conditions") or ():
        message = str(condition.get("message") or "")
        lower = message.lower()
        if condition.get("type") != "ReplicaFailure" or condition.get("status") != "True":
            continue
        if any(words in lower for words in _REFUSED_FOR_NOW):
            continue
        if any(words in lower for words in _REFUSED):
            return f"{condition.get('reason', '')}: {message}".strip(": ")
    return ""


def _ending(terminated: Mapping[str, Any]) -> str:
    """Return how a container ended, in a form in which two endings can be compared."""
    code, reason = terminated.get("exitCode", 0), str(terminated.get("reason") or "")
    message = str(terminated.get("message") or "").strip()
    return ", ".join(
        part for part in (f"exit code {code}", reason, message) if part not in {"", "Error"}
    )
