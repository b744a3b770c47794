"""Judges whether a rollout can still end well. If it can't, waiting until its deadline is in vain.

Only pods of the newest revision are judged. Older pods may crash: they are being replaced.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from devenv.facts.objects import (
    Fields,
    conditions_of,
    fields_of,
    is_true,
    items_of,
    name_of,
    status_of,
)
from devenv.facts.revisions import (
    KEEPERS,
    containers_of,
    could_not_be_frozen,
    is_ending,
    newest_pods,
)
from devenv.facts.times import seconds
from devenv.ports.clock import Clock
from devenv.ports.kube import ContainerKey, Kube, Manifest

_APPS = "apps/v1"
# Reasons of a waiting container that no time heals: the image is in the node already, or the
# kubelet may not fetch it.
_FINAL = {"ErrImageNeverPull", "InvalidImageName"}
# runc could not start the container. Its next attempt may succeed, so this counts as a crash,
# unless runc says that the image lacks the program ("exec: … no such file").
_NOT_STARTED = "RunContainerError"
_NO_PROGRAM = ("exec: ", "exec format error")
_PULL_FAILED = "ImagePullBackOff"
# Failed attempts to pull. The registry may have failed only once.
_PULLS = 2
# A Secret or ConfigMap may still be made. containerd may still hold the name, or be slow.
_NOT_CREATED = {"CreateContainerConfigError", "CreateContainerError"}
_NOT_CREATED_SECONDS = 10.0
_CRASHES = 2
# The scheduler tries again within this time when a pod ends or a node becomes ready.
_NO_NODE_SECONDS = 3.0
_REFUSED_SECONDS = 3.0
_REFUSED = ("forbidden", "denied the request", "is invalid")
# What refuses only for a moment: a webhook whose pod starts, or a namespace whose service account
# is being made.
_REFUSED_FOR_NOW = ("failed calling webhook", "serviceaccount", "service account")
# What the scheduler says if the pods that are to be replaced may take what the new pod needs.
_TAKEN = ("Insufficient", "free ports", "anti-affinity")
# Parts of the taints that a node has while it starts.
_STARTING_TAINTS = ("not-ready", "uninitialized")


@dataclass
class _CrashHistory:
    """The crashes of one container, as far as its status told of them."""

    # Restarts at the first look: crashes before that don't count.
    baseline: int
    # Number of the run that crashed → how it ended.
    endings: dict[int, str] = field(default_factory=dict)

    @property
    def counted_endings(self) -> list[str]:
        """How the crashes since the first look ended, in their order."""
        endings = sorted(self.endings.items())
        return [ending for number, ending in endings if number >= self.baseline]

    def repeated_ending(self) -> str:
        """Return how the last crashes ended if all of them ended alike, otherwise ""."""
        last_endings = self.counted_endings[-_CRASHES:]
        if len(last_endings) < _CRASHES or len(set(last_endings)) > 1:
            return ""
        return last_endings[0]


@dataclass
class Outlook:
    """Judges one rollout, look after look.

    Ask for a verdict each time that the rollout isn't over yet. Crashes count from the first look
    on, so look first when everything that the workload waits for is ready.
    """

    kube: Kube
    clock: Clock
    # Whether all pods of the newest revision came with this rollout: then each crash counts.
    fresh: bool = False
    # Whether the last verdict was that a new pod does not fit on a node beside the others.
    no_room: bool = False
    # (pod's UID, container) → its crashes.
    _crashes: dict[ContainerKey, _CrashHistory] = field(default_factory=dict)
    # When it first looked, in seconds since 1970.
    _began: float = 0.0
    # A trouble that may pass → when it was first seen, by the clock.
    _since: dict[str, float] = field(default_factory=dict)

    def verdict(self, kind: str, workload: Manifest) -> str:
        """Return why the rollout can't end well, "" if it still may.

        Raises DevenvError if the API server does not answer.
        """
        self._began = self._began or self.clock.now()
        pods = self._newest_pods(kind, workload)
        # Every container is looked at every time, so that no crash is missed.
        troubles = list(self._container_troubles(pods))
        refusal = _refusal(workload)
        if refusal and self._lasts(refusal, _REFUSED_SECONDS):
            troubles.append(refusal)
        self.no_room = False
        if troubles:
            return troubles[0]
        for pod in pods:
            if unschedulable(pod):
                return self._judge_unscheduled(pod)
        return ""

    def _newest_pods(self, kind: str, workload: Manifest) -> list[Manifest]:
        namespace = workload["metadata"]["namespace"]
        keepers: list[Manifest] = []
        if kind in KEEPERS:
            keepers = self.kube.select(_APPS, KEEPERS[kind], namespace)
        pods = self.kube.select("v1", "Pod", namespace)
        return newest_pods(kind, workload, keepers, pods)

    def _container_troubles(self, pods: Iterable[Manifest]) -> Iterator[str]:
        for pod in pods:
            for status in containers_of(pod):
                trouble = self._judge_container(pod, status)
                if trouble:
                    container = status["name"]
                    yield f"{name_of(pod)}, container {container}: {trouble}"

    def _judge_container(self, pod: Manifest, status: Fields) -> str:
        waiting = fields_of(status.get("state"), "waiting")
        reason = str(waiting.get("reason") or "")
        message = waiting.get("message") or ""
        trouble = f"{reason}: {message}".rstrip(": ")
        if self._is_hopeless(pod, status["name"], reason, trouble):
            return trouble
        return self._judge_crashes(pod, status)

    def _is_hopeless(self, pod: Manifest, container: str, reason: str, trouble: str) -> bool:
        """Whether a container that waits for this reason will never start."""
        if reason == _NOT_STARTED:
            return _contains_any(trouble, _NO_PROGRAM)
        if reason in _NOT_CREATED:
            place = f"{pod['metadata']['uid']} {container}"
            return self._lasts(f"{place} {reason}", _NOT_CREATED_SECONDS)
        if reason == _PULL_FAILED:
            return self._failed_pulls(pod) >= _PULLS
        return reason in _FINAL

    def _judge_crashes(self, pod: Manifest, status: Fields) -> str:
        """Note the crashes that the container's status tells of, and judge all that were seen."""
        is_init = status in items_of(status_of(pod), "initContainerStatuses")
        history = self._history(pod["metadata"]["uid"], status)
        for number, terminated in _ended_runs(status):
            if self._is_crash(terminated, is_init=is_init):
                history.endings[number] = _ending(terminated)
        ending = history.repeated_ending()
        if not ending:
            return ""
        return f"crashed {_CRASHES} times in the same way: {ending}"

    def _history(self, uid: str, status: Fields) -> _CrashHistory:
        baseline = 0 if self.fresh else _restarts(status)
        container = (uid, str(status["name"]))
        return self._crashes.setdefault(container, _CrashHistory(baseline))

    def _is_crash(self, terminated: Fields, *, is_init: bool) -> bool:
        """Whether a container ended with a fault of its own.

        runc may fail to freeze whatever it starts: a later attempt succeeds. An init container that
        ends well has done its work. A container that ended before the first look may have been
        stopped with its node: the kubelet tells of it only once the node runs again.
        """
        if could_not_be_frozen(terminated):
            return False
        if is_init and terminated.get("exitCode") == 0:
            return False
        if self.fresh:
            return True
        finished = seconds(terminated.get("finishedAt"))
        return not 0 < finished < self._began

    def _failed_pulls(self, pod: Manifest) -> int:
        """Return how often the kubelet has failed to pull an image of the pod."""
        metadata = pod["metadata"]
        namespace, uid = metadata["namespace"], metadata["uid"]
        attempts = 0
        for event in self.kube.select("v1", "Event", namespace):
            is_of_pod = fields_of(event, "involvedObject").get("uid") == uid
            if is_of_pod and _tells_of_failed_pull(event):
                attempts += int(event.get("count") or 1)
        return attempts

    def _judge_unscheduled(self, pod: Manifest) -> str:
        """Judge a pod that fits no node, unless a starting node or an ending pod may make space."""
        reason = unschedulable(pod)
        nodes = self.kube.select("v1", "Node")
        pods = self.kube.select("v1", "Pod")
        is_pod_ending = any(map(is_ending, pods))
        is_node_starting = any(map(_becomes_ready, nodes))
        if is_pod_ending or is_node_starting:
            self._since.pop(reason, None)
            return ""
        if not self._lasts(reason, _NO_NODE_SECONDS):
            return ""
        self.no_room = _contains_any(reason, _TAKEN)
        return f"{name_of(pod)}: Unschedulable: {reason}"

    def _lasts(self, trouble: str, seconds: float) -> bool:
        """Whether the same trouble was first seen so many seconds ago or earlier."""
        time = self.clock.monotonic()
        began = self._since.setdefault(trouble, time)
        return time - began >= seconds


def _tells_of_failed_pull(event: Manifest) -> bool:
    return event.get("reason") == "Failed" and "pull" in str(event.get("message"))


def unschedulable(pod: Manifest) -> str:
    """Return why a pod fits no node, in the scheduler's words.

    "" if it has a node, or may be about to get one.
    """
    if status_of(pod).get("nominatedNodeName"):
        return ""
    for condition in conditions_of(pod):
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            message = str(condition.get("message") or "").strip()
            # A slow provisioner may still bind the claim.
            if "persistentvolumeclaim" in message.lower():
                return ""
            return message or "no node fits"
    return ""


def _becomes_ready(node: Manifest) -> bool:
    """Whether a node is not ready yet.

    A cordoned node does not count: it takes no pods until a user uncordons it.
    """
    taints = items_of(node.get("spec"), "taints")
    has_starting_taint = any(map(_is_starting, taints))
    return has_starting_taint or not is_true(conditions_of(node), "Ready")


def _is_starting(taint: Fields) -> bool:
    return _contains_any(str(taint.get("key")), _STARTING_TAINTS)


def _refusal(workload: Manifest) -> str:
    """Return why the API server refuses a Deployment's pods, "" unless it does so for good."""
    for condition in conditions_of(workload):
        if condition.get("type") != "ReplicaFailure" or condition.get("status") != "True":
            continue
        message = str(condition.get("message") or "")
        if _refuses_for_good(message):
            reason = condition.get("reason", "")
            return f"{reason}: {message}".strip(": ")
    return ""


def _refuses_for_good(message: str) -> bool:
    lower = message.lower()
    return _contains_any(lower, _REFUSED) and not _contains_any(lower, _REFUSED_FOR_NOW)


def _contains_any(text: str, phrases: Iterable[str]) -> bool:
    return any(phrase in text for phrase in phrases)


def _restarts(status: Fields) -> int:
    return int(status.get("restartCount") or 0)


def _ended_runs(status: Fields) -> Iterator[tuple[int, Fields]]:
    """Yield each ended run that a container's status tells of: its number, and how it ended."""
    restarts = _restarts(status)
    state = fields_of(status, "state")
    if state.get("terminated"):
        yield restarts, state["terminated"]
    last_terminated = fields_of(fields_of(status, "lastState"), "terminated")
    # The last state of a waiting container is that of its newest run. If the container runs again
    # or has ended again, it is that of the run before.
    last_run = restarts if state.get("waiting") else restarts - 1
    if last_terminated:
        yield last_run, last_terminated


def _ending(terminated: Fields) -> str:
    """Return how a container ended, as text that can be compared and shown."""
    exit_code = terminated.get("exitCode", 0)
    reason = str(terminated.get("reason") or "")
    message = str(terminated.get("message") or "").strip()
    parts = (f"exit code {exit_code}", reason, message)
    # "Error" says nothing that the exit code doesn't.
    return ", ".join(part for part in parts if part not in {"", "Error"})
