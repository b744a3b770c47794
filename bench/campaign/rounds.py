"""Random rounds: one field of one object changed, a process stopped or a file taken away; look; restore."""

import contextlib
import json
import random
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.campaign import mutation
from bench.campaign.judging import Outcome, Round, judge, share_named, summary
from bench.campaign.processes import process_of, send
from devenv.base.errors import DevenvError
from tests.cluster.lab import Lab

# Seconds that a change gets to break something, that doctor gets to name it, and to be well again.
_BREAKS_WITHIN, _NAMED_WITHIN, _WELL_WITHIN = 40, 120, 120
_PAUSE = 2.0
# A request each shows that a route answers.
_ROUTES = ("direct", "extension", "plain")
# Looks at what a change did not break.
_QUIET_LOOKS = 4
# Of the broken rounds.
_SHARE = 0.9
# Of ten rounds, one stops a process and one takes a file away.
_STOPS, _FILES = 0.1, 0.2
# Files of the node that its parts read, and the process that reads them again when it starts.
_NODE_FILES = (
    ("/var/lib/kubelet/config.yaml", "kubelet"),
    ("/etc/kubernetes/kubelet.conf", "kubelet"),
    ("/etc/kubernetes/scheduler.conf", "kube-scheduler"),
    ("/etc/kubernetes/controller-manager.conf", "kube-controller-manager"),
    ("/etc/kubernetes/pki/etcd/server.crt", "etcd"),
    ("/etc/kubernetes/pki/apiserver.crt", "kube-apiserver"),
    ("/etc/cni/net.d/10-kindnet.conflist", "kubelet"),
    ("/etc/cni/net.d/10-devenv.conflist", "kubelet"),
)
_KINDS = (
    "deployments,statefulsets,daemonsets,replicasets,pods,services,configmaps,secrets,"
    "serviceaccounts,roles,rolebindings,gateways,httproutes,referencegrants,envoyproxies,"
    "envoypatchpolicies,envoyextensionpolicies,clienttrafficpolicies,endpoints"
)
_CLUSTER_KINDS = "clusterroles,clusterrolebindings,gatewayclasses"


@dataclass(frozen=True)
class Disturbance:
    """What one round does. `way`: names that a root cause must have one of."""

    label: str
    way: frozenset[str]
    inject: Callable[[], None]
    restore: Callable[[], None]


def run(lab: Lab, count: int, seed: int, results: Path, facts: Path | None = None) -> int:
    """Run rounds 1 to `count` that `results` does not have yet; return 1 if the promise broke.

    `facts`: a folder for the facts by which doctor misjudged a round, as NUMBER.json.
    """
    if facts:
        facts.mkdir(parents=True, exist_ok=True)
    done_rounds = _read(results)
    numbers = {one.number for one in done_rounds}
    objects = _manifests(lab)
    for number in range(1, count + 1):
        if number in numbers:
            continue
        one = _round(lab, number, random.Random(f"{seed}/{number}"), objects, facts)
        done_rounds.append(one)
        with results.open("a") as file:
            file.write(json.dumps(one.entry()) + "\n")
        print(f"{number:3} {one.outcome:14} {one.change}", flush=True)
        print(f"    broken: {one.broken or 'no'}; roots: {', '.join(one.roots) or 'none'}")
    print(summary(done_rounds))
    return 0 if _is_promise_kept(done_rounds) else 1


def _is_promise_kept(all_rounds: Sequence[Round]) -> bool:
    """Whether nine of ten broken rounds were named, and nothing worse happened."""
    bad = {Outcome.CALLED_HEALTHY, Outcome.FALSE_ALARM, Outcome.CRASHED}
    return share_named(all_rounds) >= _SHARE and not any(one.outcome in bad for one in all_rounds)


def _read(results: Path) -> list[Round]:
    if not results.exists():
        return []
    entries = map(json.loads, results.read_text().splitlines())
    return [
        Round(**{**entry, "outcome": Outcome(entry["outcome"]), "roots": tuple(entry["roots"])})
        for entry in entries
    ]


def _manifests(lab: Lab) -> list[dict[str, Any]]:
    """Return the profile's objects whose fields may be changed."""
    rendered = lab.devenv("profile", "show", str(lab.profile), "--rendered").stdout
    documents = filter(None, yaml.safe_load_all(rendered))
    return [dict(obj) for obj in mutation.changeable(documents)]


def _round(
    lab: Lab,
    number: int,
    chance: random.Random,
    objects: list[dict[str, Any]],
    facts: Path | None,
) -> Round:
    disturbance = _disturbance(lab, chance, objects)
    broken, diagnosis, outcome = "", None, Outcome.CRASHED
    try:
        broken = _until_broken(lab)
        diagnosis, outcome = _until_judged(lab, broken, disturbance.way)
        if facts and outcome not in {Outcome.NAMED, Outcome.QUIET}:
            lab.devenv("doctor", "--save", str(facts / f"{number}.json"), check=False)
    finally:
        restored_by = _restore(lab, disturbance)
    causes = diagnosis["causes"] if diagnosis else []
    roots = tuple(f"{cause['code']} {cause['subject']}" for cause in causes)
    return Round(number, disturbance.label, broken, roots, outcome, restored_by)


# What a round does


def _disturbance(lab: Lab, chance: random.Random, objects: list[dict[str, Any]]) -> Disturbance:
    """Choose a disturbance and inject it. One that the API server refuses is followed by another."""
    share = chance.random()
    while True:
        try:
            if share < _STOPS:
                return _injected(_stopped_process(lab, chance))
            if share < _FILES:
                return _injected(_taken_file(lab, chance))
            return _injected(_changed_field(lab, chance, objects))
        except (AssertionError, LookupError, TypeError):
            # Refused by the API server, or the live object has no such field, or the node no such file.
            continue


def _injected(disturbance: Disturbance) -> Disturbance:
    disturbance.inject()
    return disturbance


def _changed_field(lab: Lab, chance: random.Random, objects: list[dict[str, Any]]) -> Disturbance:
    change = mutation.choose(objects, chance)
    scope = ["-n", change.namespace] if change.namespace else []
    kind = change.kind.lower()
    live = json.loads(lab.kubectl(*scope, "get", kind, change.name, "-o", "json"))
    changed = mutation.applied(live, change)
    changed["metadata"].pop("resourceVersion", None)
    way = mutation.way_of(change, _live_objects(lab))

    def restore() -> None:
        original = {**live, "metadata": {**live["metadata"]}}
        for field in ("resourceVersion", "uid", "generation", "creationTimestamp"):
            original["metadata"].pop(field, None)
        original.pop("status", None)
        lab.kubectl_in(json.dumps(original), "replace", "-f", "-")

    return Disturbance(str(change), way, lambda: _replace(lab, changed), restore)


def _replace(lab: Lab, obj: dict[str, Any]) -> None:
    lab.kubectl_in(json.dumps(obj), "replace", "-f", "-")


def _live_objects(lab: Lab) -> list[dict[str, Any]]:
    namespaced = lab.kubectl("get", "-A", _KINDS, "-o", "json")
    clusterwide = lab.kubectl("get", _CLUSTER_KINDS, "-o", "json")
    return [*json.loads(namespaced)["items"], *json.loads(clusterwide)["items"]]


def _stopped_process(lab: Lab, chance: random.Random) -> Disturbance:
    """Stop the main process of one container, whichever."""
    listing = json.loads(lab.docker("exec", lab.node, "crictl", "ps", "-o", "json"))
    containers = sorted(listing["containers"], key=lambda c: c["labels"]["io.kubernetes.pod.name"])
    container = chance.choice(containers)
    process = process_of(lab, container["id"])
    labels = container["labels"]
    pod, name = labels["io.kubernetes.pod.name"], labels["io.kubernetes.container.name"]
    owner = _owner_of(lab, labels["io.kubernetes.pod.namespace"], pod)

    return Disturbance(
        f"process of {pod}/{name} stopped",
        frozenset({pod, name, owner}),
        lambda: send(lab, "STOP", [process], check=False),
        lambda: send(lab, "CONT", [process], check=False),
    )


def _owner_of(lab: Lab, namespace: str, pod: str) -> str:
    """Return the name of the workload that made a pod, or of the static pod."""
    path = "jsonpath={.metadata.ownerReferences[0].kind} {.metadata.ownerReferences[0].name}"
    kind, _, name = lab.kubectl("-n", namespace, "get", "pod", pod, "-o", path).partition(" ")
    if kind == "Node":
        return pod.removesuffix(f"-{lab.node}")
    return name.rpartition("-")[0] if kind == "ReplicaSet" else name


def _taken_file(lab: Lab, chance: random.Random) -> Disturbance:
    """Take a file of the node away, and end the process that reads it; root reads any mode."""
    file, reader = chance.choice(_NODE_FILES)

    def inject() -> None:
        lab.docker("exec", lab.node, "mv", file, f"{file}.away")
        lab.docker("exec", lab.node, "pkill", "-x", reader[:15], check=False)

    def restore() -> None:
        # A container that starts meanwhile finds a folder: containerd makes what it mounts.
        back = f"rm -rf {file} && mv -T {file}.away {file}"
        lab.docker("exec", lab.node, "sh", "-c", back)
        lab.docker("exec", lab.node, "systemctl", "restart", "kubelet", check=False)

    way = frozenset({file, reader})
    return Disturbance(f"file {file} of {reader} taken away", way, inject, restore)


# What came of it


def _until_broken(lab: Lab) -> str:
    """Return what is broken once something is in two looks running, "" if nothing is for some time.

    A probe that fails once, as on a busy machine, has nothing to do with the change.
    """
    problems: list[str] = []

    def nothing_yet() -> str:
        was_broken = bool(problems)
        problems[:] = filter(None, [_broken(lab)])
        return "" if problems and was_broken else "anything broken"

    try:
        lab.eventually("a fault", nothing_yet, _BREAKS_WITHIN, _PAUSE)
    except (DevenvError, AssertionError):
        return ""
    return problems[-1]


def _broken(lab: Lab) -> str:
    """Return the first live request that fails or workload that is not ready, "" if there is none."""
    try:
        workloads = json.loads(
            lab.kubectl("get", "-A", "deployments,statefulsets,daemonsets", "-o", "json")
        )
    except (AssertionError, subprocess.SubprocessError):
        return "the API server does not answer"
    for workload in workloads["items"]:
        if lack := _lack(workload):
            return lack
    for route in _ROUTES:
        if lab.devenv("request", "--no-doctor", "--route", route, check=False).returncode:
            return f"request {route}"
    return ""


def _lack(workload: dict[str, Any]) -> str:
    """Return how a workload is not ready, "" if it is."""
    status, spec = workload.get("status", {}), workload["spec"]
    wanted = status.get("desiredNumberScheduled", spec.get("replicas", 1))
    ready = status.get("readyReplicas", status.get("numberReady", 0))
    updated = status.get("updatedReplicas", status.get("updatedNumberScheduled", 0))
    if (
        min(ready, updated) < wanted
        or status.get("observedGeneration", 0) < workload["metadata"]["generation"]
    ):
        return f"{workload['kind']} {workload['metadata']['name']}"
    return ""


def _until_judged(
    lab: Lab, broken: str, way: frozenset[str]
) -> tuple[dict[str, Any] | None, Outcome]:
    """Return doctor's last answer, and what it came to.

    What is broken has to be named in time. Of what is not, no look may name a root elsewhere.
    """
    judged: list[tuple[dict[str, Any] | None, Outcome]] = []

    def look() -> Outcome:
        diagnosis = _diagnosis(lab)
        judged.append((diagnosis, judge(broken, diagnosis, way)))
        return judged[-1][1]

    def missing() -> str:
        outcome = look()
        if not broken:
            is_over = outcome is not Outcome.QUIET or len(judged) == _QUIET_LOOKS
            return "" if is_over else "another look"
        return "" if outcome in {Outcome.NAMED, Outcome.CRASHED} else "a root"

    with contextlib.suppress(DevenvError, AssertionError):
        lab.eventually("a root", missing, _NAMED_WITHIN, _PAUSE)
    return judged[-1]


def _diagnosis(lab: Lab) -> dict[str, Any] | None:
    outcome = lab.devenv("doctor", "-o", "json", check=False)
    if "Traceback" in outcome.stderr:
        return None
    try:
        diagnosis: dict[str, Any] = json.loads(outcome.stdout)["result"]
    except (ValueError, LookupError):
        return None
    return diagnosis


def _restore(lab: Lab, disturbance: Disturbance) -> str:
    """Take the disturbance back; if that is not enough, recover, then make a new cluster."""
    try:
        disturbance.restore()
        lab.eventually("health", lambda: _lack_of_health(lab), _WELL_WITHIN, _PAUSE)
    except (DevenvError, AssertionError, subprocess.SubprocessError):
        return _restore_by_force(lab)
    return "taking it back"


def _restore_by_force(lab: Lab) -> str:
    lab.devenv("recover", "--yes", check=False)
    if not _lack_of_health(lab):
        return "recover"
    lab.devenv("down", "--yes", check=False)
    lab.up()
    return "a new cluster"


def _lack_of_health(lab: Lab) -> str:
    diagnosis = _diagnosis(lab)
    return "" if diagnosis and diagnosis["healthy"] else "health"
