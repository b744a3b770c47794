"""The parts of the control plane among the facts: their static pods, leases and mirror pods."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from devenv.base.counting import counted
from devenv.diagnosis import keys
from devenv.diagnosis.keys import Key
from devenv.diagnosis.log_lines import line_text, line_time
from devenv.diagnosis.manifests import created_at
from devenv.diagnosis.model import Evidence
from devenv.diagnosis.read import was_listed
from devenv.diagnosis.roles import effects_of_failure
from devenv.diagnosis.times import spell_span
from devenv.diagnosis.workloads import Workload, all_workloads
from devenv.facts.collect import API
from devenv.facts.leases import expired, newest_renewal, renewed
from devenv.facts.model import Facts, NodeFacts, StaticPodFacts
from devenv.facts.node_programs import HEALTH_SECONDS, MANIFESTS, was_edited
from devenv.facts.objects import conditions_of, full_name, name_of, owners_of, status_of
from devenv.facts.telling import telling_line
from devenv.ports.kube import Manifest

ETCD, API_SERVER, MANAGER, SCHEDULER = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
)
# Seconds after the start of a node, a manifest or a container in which nothing is a fault.
START_SECONDS = 60.0
# Characters of a log line that are kept.
_LONGEST_LINE = 300


@dataclass(frozen=True)
class StaticPod:
    """One part of the control plane in one node."""

    facts: Facts
    node: NodeFacts
    pod: StaticPodFacts

    @property
    def name(self) -> str:
        """The part's name, such as kube-scheduler."""
        return self.pod.name

    @property
    def is_starting(self) -> bool:
        """Whether its node, its manifest or its container is so new that it may not run yet."""
        latest = max(self.node.started, self.pod.changed)
        if self.pod.state == "running":
            latest = max(latest, self.pod.started)
        return self.facts.now - latest < START_SECONDS

    @property
    def is_edited(self) -> bool:
        """Whether its manifest is newer than what kind had kubeadm write."""
        return was_edited(self.pod)

    @property
    def is_repairable(self) -> bool:
        """Whether writing its manifest as kind made it may bring it back."""
        return not self.pod.manifest or self.is_edited

    @property
    def hangs(self) -> bool:
        """Whether its container runs, and its program answers nothing.

        If the API server answers doctor, all is only slow.
        """
        is_silent = self.pod.answers is False and not self.facts.knows(API)
        return is_silent and self.pod.state == "running"

    @property
    def why_down(self) -> str:
        """Why it does not run, "" if it runs or that was not read."""
        if not self.pod.manifest:
            return f"its manifest is not in {MANIFESTS}"
        if self.pod.state == "":
            return "the node has no container of it"
        if self.pod.state == "exited":
            return f"its container ended with exit code {self.pod.exit_code}"
        if self.pod.state == "created":
            return "its container was not started"
        return ""

    def evidence(self) -> Iterator[Evidence]:
        """Yield what the node shows of it."""
        node, pod = self.node.name, self.pod
        if not pod.manifest:
            text = f"no {pod.name}.yaml since the folder last changed"
            yield Evidence(f"{MANIFESTS} in {node}", text, pod.changed)
            return
        if self.is_edited and self.why_down:
            text = "changed after the cluster was made"
            yield Evidence(f"{MANIFESTS}/{pod.name}.yaml in {node}", text, pod.changed)
        if pod.state:
            yield Evidence(f"crictl in {node}", *self._container())
        if self.hangs:
            text = f"{pod.name} did not tell its health within {HEALTH_SECONDS} s"
            yield Evidence(f"curl in {node}", text)
            # Written before it fell silent, so it says nothing of when the fault began.
            yield from (replace(words, time=0.0) for words in self.last_words())
            return
        yield from self.last_words()

    def _container(self) -> tuple[str, float]:
        """Return the state of its container, and since when."""
        pod = self.pod
        if pod.state == "exited":
            text = (
                f"{pod.name}: exited, exit code {pod.exit_code}, {counted(pod.restarts, 'restart')}"
            )
            return text, pod.ended
        return f"{pod.name}: {pod.state}, {counted(pod.restarts, 'restart')}", 0.0

    def last_words(self) -> Iterator[Evidence]:
        """Yield the line of its log that tells most."""
        texts = list(map(line_text, self.pod.lines))
        telling = telling_line(texts)
        times = [line_time(line) for line in self.pod.lines if telling and telling in line]
        if telling:
            source = f"log {self.name} in {self.node.name}"
            yield Evidence(source, telling[:_LONGEST_LINE], max(times, default=0.0))


def static_pods(facts: Facts) -> Iterator[StaticPod]:
    """Yield the parts of the control plane in the nodes that run."""
    for node in facts.nodes:
        if node.status == "running":
            for pod in node.static_pods:
                yield StaticPod(facts, node, pod)


# Leases and mirror pods


def expired_leases(facts: Facts) -> dict[str, Manifest]:
    """Return the leases that were not renewed in time, by the part of the control plane."""
    return {name_of(lease): lease for lease in expired(facts.of("Lease"))}


def lease_evidence(facts: Facts, lease: Manifest) -> Evidence:
    """Return for how long a lease was not renewed."""
    silence = newest_renewal(facts.of("Lease")) - renewed(lease)
    text = f"not renewed for {spell_span(silence)}, while others are"
    return Evidence(f"lease {full_name(lease)}", text, renewed(lease))


def mirror_evidence(facts: Facts, name: str) -> Iterator[Evidence]:
    """Yield the mirror pods that a part of the control plane lacks, or the state of one.

    The kubelet makes a mirror pod `NAME-NODE` for each static pod, so that kubectl shows it.
    """
    if not was_listed(facts, "Pod"):
        return
    for node in facts.of("Node"):
        if facts.one("Pod", "kube-system", f"{API_SERVER}-{name_of(node)}") is None:
            # It has no control plane, or not one that kubelets run.
            continue
        pod_name = f"{name}-{name_of(node)}"
        if facts.one("Pod", "kube-system", pod_name) is None:
            yield Evidence("API server", f"no pod kube-system/{pod_name}")


# What waits for a part


def waiting_keys(facts: Facts, part: str) -> set[Key]:
    """Return the keys of the workloads that wait for a leader, and of what fails with them."""
    waiting: set[Key] = set()
    for workload in all_workloads(facts):
        if _waits_for(part, workload):
            waiting |= {keys.deployment(workload.full_name), *effects_of_failure(workload)}
            if component := workload.component:
                waiting.add(keys.component(component.name))
    if part == SCHEDULER:
        pods = filter(_is_unscheduled, facts.of("Pod"))
        waiting |= {keys.object_of("Pod", full_name(pod)) for pod in pods}
    return waiting


def _waits_for(part: str, workload: Workload) -> bool:
    if part == MANAGER:
        return _is_unobserved(workload)
    return any(map(_is_unscheduled, workload.pods))


def _is_unobserved(workload: Workload) -> bool:
    """Whether a workload's status is not what a controller would write of it."""
    status = status_of(workload.manifest)
    generation = workload.manifest["metadata"].get("generation", 0)
    if status.get("observedGeneration", 0) < generation:
        return True
    if workload.kind == "DaemonSet":
        return len(workload.pods) < int(status.get("desiredNumberScheduled", 0))
    return len(workload.pods) != int(workload.manifest["spec"].get("replicas", 1))


def _is_unscheduled(pod: Manifest) -> bool:
    """Whether no scheduler has said anything of a pod yet."""
    has_node = bool((pod.get("spec") or {}).get("nodeName"))
    was_judged = any(condition["type"] == "PodScheduled" for condition in conditions_of(pod))
    return not (has_node or was_judged)


def ignored_objects(facts: Facts, part: str) -> list[Evidence]:
    """Return the objects that no leader has looked at since they were created, the oldest first."""
    text = "no scheduler has seen it yet"
    objects = [pod for pod in facts.of("Pod") if _is_unscheduled(pod) and owners_of(pod)]
    if part == MANAGER:
        text = "no controller has seen it yet"
        objects = [w.manifest for w in all_workloads(facts) if _is_new(w)]
    evidence = [Evidence(full_name(obj), text, created_at(obj)) for obj in objects]
    return sorted(evidence, key=lambda e: e.time)


def _is_new(workload: Workload) -> bool:
    return "observedGeneration" not in status_of(workload.manifest)
