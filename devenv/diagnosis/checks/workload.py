"""Deployments and their pods: all that are there, for whatever runs in such a cluster matters to its owner."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.model import Confidence, Evidence, Finding, Place, Verdict
from devenv.diagnosis.read import (
    ROUTES,
    UNPROVEN,
    affected,
    after,
    component_of,
    conditions,
    devenv,
    ended_pods_of,
    has_earlier_revision,
    is_of_profile,
    kind_of,
    kubectl,
    label,
    model_pods,
    models,
    newest_pods_of,
    objects_of,
    role,
    seconds,
    workloads,
)  # fmt: skip
from devenv.facts.collect import containers_in, repository
from devenv.facts.labels import is_ready
from devenv.facts.model import Facts
from devenv.facts.telling import telling_line
from devenv.gates import ready
from devenv.images.load import normalise
from devenv.ports import Manifest

_PULL = {
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ErrImageInspect",
}
_CREATE = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError"}
_PLACES = {"proxy": Place.ENVOY, "plugins": Place.PLUGINS, "model": Place.MODEL}
# Seconds that an init container may wait for something.
_INIT_PATIENCE = 30.0
# What a bad image may be the cause of: a crash, a pod that does not get ready, a container that can't be started.
_BY_IMAGE = {"DE302", "DE303", "DE304", "DE309", "DE310", "DE311"}
# Of a container that runs again: once may happen to anybody.
_CRASHES = 2
# Seconds for a Deployment that the profile gives no deadline.
_PATIENCE = 240.0
# Characters of a message that are kept.
_LONGEST = 300
# Of a line of a log.
_LONGEST_LINE = 200
# How a kubelet names an end of which it knows nothing: the node was restarted, the pod evicted.
_UNKNOWN = {"Unknown", "ContainerStatusUnknown"}


@check
def missing(facts: Facts) -> Iterator[Finding]:
    """Every workload of the profile exists."""
    for component in facts.profile.components:
        if not (facts.knows(component.resource.kind) and facts.of("Deployment")):
            continue
        if component.gate == "workload" and not objects_of(facts, component):
            message = f"{component.resource} does not exist."
            keys = {f"component/{component.name}"}
            evidence = (Evidence("API server", f"no such {component.resource.kind}"),)
            yield Finding(
                "DE308", component.name, message, evidence, (devenv(facts, "recover"),), about=frozenset(keys),
                affects=frozenset(keys | _after_missing(facts, component.name)),
            )  # fmt: skip


def _after_missing(facts: Facts, name: str) -> set[str]:
    """What follows where a Deployment isn't there to be asked for its role: everything that comes after it."""
    keys = {f"component/{n}" for n in after(facts, name)}
    return {
        *keys,
        *(f"route/{r}" for r in ROUTES),
        *(f"model/{r.model}" for r in facts.profile.requests),
    }


@check
def deployments(facts: Facts) -> Iterator[Finding]:
    """Every workload has the pods that it wants, and they are ready."""
    for workload in workloads(facts):
        if workload["spec"].get("replicas", 1) == 0:
            if _matters(facts, workload):
                yield _finding(
                    facts, workload, "DE305", "is scaled to zero", [_scaled(facts, workload)]
                )
            continue
        findings = [
            f for pod in newest_pods_of(facts, workload) for f in _pod(facts, workload, pod)
        ]
        yield from _first_of_each(findings)
        if not findings and (problem := _lacks(facts, workload)):
            yield _waiting(facts, workload, problem)


def _lacks(facts: Facts, workload: Manifest) -> str:
    if kind_of(facts, workload) != "DaemonSet":
        return ready.workload(workload)
    by_hand = (workload["spec"].get("updateStrategy") or {}).get(
        "type"
        # Its pods become new when somebody says.
    ) == "OnDelete"
    return ready.daemon(workload, updated=not by_hand)


def _matters(facts: Facts, workload: Manifest) -> bool:
    """Whether somebody misses a workload that is scaled to zero: a model only if it is asked for and nobody else serves it."""
    if role(facts, workload) == "model":
        names = [
            k.removeprefix("model/") for k in affected(facts, workload) if k.startswith("model/")
        ]
        return any(
            n in models(facts) and not any(is_ready(p) for p in model_pods(facts, n)) for n in names
        )
    return bool(component_of(facts, workload) or role(facts, workload))


def _first_of_each(findings: list[Finding]) -> list[Finding]:
    """Replicas fail alike: one finding a code."""
    return list({f.code: f for f in reversed(findings)}.values())


def _finding(
    facts: Facts, workload: Manifest, code: str, message: str, evidence: list[Evidence],
    verdict: Verdict = Verdict.FAILED, fix: tuple[str, ...] = (), confidence: Confidence = Confidence.CONFIRMED,
) -> Finding:  # fmt: skip
    component = component_of(facts, workload)
    about = {
        f"deployment/{label(workload)}",
        *([f"component/{component.name}"] if component else []),
    }
    unproven = _unproven_images(facts, workload) if code in _BY_IMAGE else {}
    about |= {f"{UNPROVEN}{name}" for name in unproven}
    if unproven:
        fix = (devenv(facts, "reload-image", *unproven.values(), "--undo"),)
        evidence = [
            *evidence,
            *(Evidence(f"image {name}", "was loaded and never proven") for name in unproven),
        ]
    return Finding(
        code=code,
        subject=component.name if component else label(workload),
        says=f"{label(workload)} {message}.",
        evidence=tuple(evidence),
        fix=fix or _repair(facts, workload),
        verdict=verdict,
        confidence=confidence,
        about=frozenset(about),
        affects=frozenset(about | affected(facts, workload)),
        place=_PLACES.get(role(facts, workload)),
    )


def _unproven_images(facts: Facts, workload: Manifest) -> dict[str, str]:
    """Return the workload's images that one can return from: name in the nodes → what a user calls it."""
    names = {
        normalise(str(c.get("image"))) for c in containers_in(workload["spec"]["template"]["spec"])
    }
    of_profile = {normalise(i.ref): i.name for i in facts.profile.images}
    return {name: of_profile.get(name, name) for name in facts.returnable if name in names}


def _repair(facts: Facts, workload: Manifest) -> tuple[str, ...]:
    """What kind or somebody else has brought devenv can't put back."""
    meta, kind = workload["metadata"], kind_of(facts, workload).lower()
    what = ("-n", meta["namespace"], "rollout")
    if kind == "daemonset" and component_of(facts, workload) is None:
        return (kubectl(facts, *what, "restart", f"daemonset/{meta['name']}"),)
    if is_of_profile(facts, workload) or meta["namespace"] == "kube-system":
        return (devenv(facts, "recover"),)
    if workload["spec"].get("replicas", 1) == 0:
        return (
            kubectl(
                facts, "-n", meta["namespace"], "scale", f"{kind}/{meta['name']}", "--replicas=1"
            ),
        )
    if has_earlier_revision(facts, workload):
        return (kubectl(facts, *what, "undo", f"{kind}/{meta['name']}"),)
    return (kubectl(facts, *what, "restart", f"{kind}/{meta['name']}"),)


def _scaled(facts: Facts, workload: Manifest) -> Evidence:
    """When it was scaled down, as the event says, which is kept for an hour."""
    name = workload["metadata"]["name"]
    events = [
        e for e in facts.of("Event")
        if e.get("reason") == "ScalingReplicaSet" and _object(e) == name and str(e.get("message")).endswith(" to 0")
    ]  # fmt: skip
    time = max((seconds(e.get("lastTimestamp") or e.get("eventTime")) for e in events), default=0.0)
    return Evidence(f"{kind_of(facts, workload)} {label(workload)}", "replicas: 0", time)


def _waiting(facts: Facts, workload: Manifest, problem: str) -> Finding:
    """A rollout under way within its deadline is neither a fault nor health."""
    component, pods = component_of(facts, workload), newest_pods_of(facts, workload)
    patience = component.deadline if component else _PATIENCE
    progressing = [c for c in conditions(workload) if c["type"] == "Progressing"]
    began = max(
        (
            seconds(t)
            for t in [
                *(c.get("lastUpdateTime") for c in progressing),
                *(p["metadata"].get("creationTimestamp") for p in pods),
            ]
        ),
        default=0.0,
    )
    stuck = any(c["status"] == "False" for c in progressing)
    name = f"{kind_of(facts, workload)} {label(workload)}"
    evidence = [
        Evidence(name, problem, began),
        *_unhealthy(facts, pods),
        *_refused(facts, workload),
    ]
    if not stuck and facts.taken - began < patience:
        return _finding(
            facts, workload, "DE312", f"is being rolled out: {problem}", evidence, Verdict.PROGRESS
        )
    failure = [
        c for c in conditions(workload) if c["type"] == "ReplicaFailure" and c["status"] == "True"
    ]
    evidence += [Evidence(name, c.get("message", "")) for c in failure]
    return _finding(facts, workload, "DE304", f"is not ready: {problem}", evidence)


def _refused(facts: Facts, workload: Manifest) -> list[Evidence]:
    """Say why the last pod failed: where a node refuses each new one, nothing else tells."""
    evidence = []
    for pod in ended_pods_of(facts, workload)[-1:]:
        status, created = pod["status"], seconds(pod["metadata"].get("creationTimestamp"))
        text = f"{status.get('reason') or 'Failed'}: {status.get('message') or ''}".strip(": ")
        evidence.append(Evidence(f"pod {label(pod)}", text[:_LONGEST], created))
    return evidence


def _unhealthy(facts: Facts, pods: list[Manifest]) -> list[Evidence]:
    names = {p["metadata"]["name"] for p in pods}
    events = [
        e for e in facts.of("Event") if e.get("reason") == "Unhealthy" and _object(e) in names
    ]
    events.sort(key=_event_time)
    return [
        Evidence(f"event {_object(e)}", str(e.get("message")).strip()[:200], _event_time(e))
        for e in events[-1:]
    ]


def _object(event: Manifest) -> str:
    return str((event.get("involvedObject") or {}).get("name"))


def _event_time(event: Manifest) -> float:
    return seconds(event.get("firstTimestamp") or event.get("eventTime"))


# One pod


def _pod(facts: Facts, workload: Manifest, pod: Manifest) -> Iterator[Finding]:
    status = pod.get("status") or {}
    for condition in conditions(pod):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            text = condition.get("message", "")
            evidence = [
                Evidence(
                    f"pod {label(pod)}",
                    f"{condition.get('reason')}: {text}",
                    seconds(condition.get("lastTransitionTime")),
                )
            ]
            yield _finding(
                facts,
                workload,
                "DE307",
                f"has a pod that fits no node: {text.split('.')[0]}",
                evidence,
                fix=_smaller(facts, workload),
            )
    for container in status.get("initContainerStatuses") or ():
        yield from _container(facts, workload, pod, container)
        yield from _init(facts, workload, pod, container)
    for container in status.get("containerStatuses") or ():
        yield from _container(facts, workload, pod, container)


def _smaller(facts: Facts, workload: Manifest) -> tuple[str, ...]:
    meta = workload["metadata"]
    what = f"{kind_of(facts, workload).lower()}/{meta['name']}"
    less = kubectl(
        facts, "-n", meta["namespace"], "set", "resources", what, "--requests=cpu=50m,memory=64Mi"
    )
    return (less, devenv(facts, "recover")) if is_of_profile(facts, workload) else (less,)


def _init(
    facts: Facts, workload: Manifest, pod: Manifest, status: Mapping[str, Any]
) -> Iterator[Finding]:
    began = seconds(((status.get("state") or {}).get("running") or {}).get("startedAt"))
    if began and facts.taken - began > _INIT_PATIENCE:
        evidence = [
            Evidence(
                f"pod {label(pod)}", f"init container {status['name']} has not finished", began
            )
        ]
        message = f"waits in its init container {status['name']}"
        yield _finding(facts, workload, "DE303", message, evidence, confidence=Confidence.LIKELY)


def _container(
    facts: Facts, workload: Manifest, pod: Manifest, status: Mapping[str, Any]
) -> Iterator[Finding]:
    state, last_end = status.get("state") or {}, _last_end(facts, status)
    if status.get("ready") or _finished(state):
        return
    waiting = state.get("waiting") or {}
    ended = _known(state.get("terminated")) or last_end
    for judge in (_pull, _create, _ended):
        if finding := judge(facts, workload, pod, status, waiting, ended):
            yield finding
            return


def _last_end(facts: Facts, status: Mapping[str, Any]) -> Mapping[str, Any]:
    """How the container ended before, unless it ended with its node: that was no fault of its own."""
    last_end = _known((status.get("lastState") or {}).get("terminated"))
    started = max((n.started for n in facts.nodes), default=0.0)
    with_node = seconds(last_end.get("finishedAt")) < started
    once = (
        status.get("restartCount", 0) < _CRASHES
        and last_end.get("reason") != "OOMKilled"
        and "waiting" not in (status.get("state") or {})
    )
    return {} if with_node or once else last_end


def _known(terminated: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return how a container ended, nothing where the kubelet itself does not know it."""
    return terminated if terminated and terminated.get("reason") not in _UNKNOWN else {}


def _finished(state: Mapping[str, Any]) -> bool:
    return bool((state.get("terminated") or {}).get("exitCode") == 0)


def _pull(
    facts: Facts,
    workload: Manifest,
    pod: Manifest,
    status: Mapping[str, Any],
    waiting: Mapping[str, Any],
    _: Mapping[str, Any],
) -> Finding | None:
    if waiting.get("reason") not in _PULL:
        return None
    spec = _spec(pod, status["name"])
    image = str(spec.get("image", status.get("image", "")))
    began = seconds(pod["metadata"].get("creationTimestamp"))
    evidence = [
        Evidence(
            f"pod {label(pod)}", f"{waiting['reason']}: {waiting.get('message', '')}"[:300], began
        )
    ]
    is_in_node = _in_node(facts, image)
    if spec.get("imagePullPolicy") == "Always" and is_in_node:
        evidence.append(Evidence("node", f"{image} is in the node"))
        return _finding(
            facts,
            workload,
            "DE306",
            f"always pulls {image}, though it is in the node, and no registry answers",
            evidence,
        )
    if is_in_node is False:
        evidence.append(Evidence("node", f"{image} is not in the node"))
    return _finding(
        facts,
        workload,
        "DE301",
        f"needs the image {image}, which is not in the node",
        evidence,
        fix=_bring(facts, workload, status["name"], image),
    )


def _bring(facts: Facts, workload: Manifest, container: str, image: str) -> tuple[str, ...]:
    """Return how a pod comes by an image that is to be had: its own, or the nearest one."""
    meta, kind = workload["metadata"], kind_of(facts, workload).lower()
    reference = normalise(image)
    # Kind made it, with an image that the node has.
    if meta["namespace"] == "kube-system":
        return (
            kubectl(facts, "-n", meta["namespace"], "rollout", "undo", f"{kind}/{meta['name']}"),
        )
    if any(normalise(i.ref) == reference for i in facts.profile.images):
        return (devenv(facts, "recover"),)
    reload = devenv(facts, "reload-image", image)
    if facts.engine_images is not None and reference in map(normalise, facts.engine_images):
        return (reload,)
    if is_of_profile(facts, workload):
        return (devenv(facts, "recover"),)
    if nearest := _nearest(facts, reference):
        change = kubectl(
            facts,
            "-n",
            meta["namespace"],
            "set",
            "image",
            f"{kind}/{meta['name']}",
            f"{container}={nearest}",
        )
        return (
            (change,)
            if _in_node(facts, nearest)
            else (devenv(facts, "reload-image", nearest), change)
        )
    return (f"build or pull {image} on this machine, then {reload}",)


def _nearest(facts: Facts, image: str) -> str:
    """Return the image of the same repository whose name is the most alike.

    Those in the nodes come before those in the engine.
    """
    names = {normalise(name) for name in facts.engine_images or ()}
    for node in facts.nodes:
        names |= set(node.images or ())
    akin = [name for name in sorted(names) if repository(name) == repository(image)]
    in_nodes = [name for name in akin if _in_node(facts, name)]
    return next(iter(get_close_matches(image, in_nodes or akin, 1, cutoff=0)), "")


def _in_node(facts: Facts, image: str) -> bool | None:
    """Whether every node has the image; None where that could not be read."""
    image_lists = [n.images for n in facts.nodes if n.images is not None]
    return all(normalise(image) in images for images in image_lists) if image_lists else None


def _create(
    facts: Facts,
    workload: Manifest,
    pod: Manifest,
    status: Mapping[str, Any],
    waiting: Mapping[str, Any],
    ended: Mapping[str, Any],
) -> Finding | None:
    text = str(waiting.get("message") or ended.get("message") or "")
    if "exec format error" in text or any(
        "exec format error" in line for line in _log(facts, pod, status["name"])
    ):
        evidence = [
            Evidence(
                f"pod {label(pod)}",
                f"{status['name']}: exec format error",
                seconds(ended.get("finishedAt")),
            )
        ]
        return _finding(
            facts, workload, "DE309", "has an image for another processor architecture", evidence
        )
    if waiting.get("reason") in _CREATE or ended.get("reason") in _CREATE:
        evidence = [
            Evidence(
                f"pod {label(pod)}",
                f"{waiting.get('reason') or ended.get('reason')}: {text}"[:300],
                seconds(ended.get("finishedAt")),
            )
        ]
        return _finding(
            facts,
            workload,
            "DE311",
            f"has a container that can't be started: {status['name']}",
            evidence,
        )
    return None


def _ended(
    facts: Facts,
    workload: Manifest,
    pod: Manifest,
    status: Mapping[str, Any],
    waiting: Mapping[str, Any],
    ended: Mapping[str, Any],
) -> Finding | None:
    if not ended:
        return None
    when = seconds(ended.get("finishedAt"))
    count = status.get("restartCount", 0)
    evidence = [
        Evidence(
            f"pod {label(pod)}",
            f"{status['name']} ended: {ended.get('reason')}, exit code {ended.get('exitCode')}, {count} restarts",
            when,
        )
    ]
    if ended.get("reason") == "OOMKilled":
        limits = (_spec(pod, status["name"]).get("resources") or {}).get("limits") or {}
        limit = limits.get("memory", "none")
        return _finding(
            facts,
            workload,
            "DE310",
            f"was killed for want of memory: {status['name']}, limit {limit}",
            evidence,
        )
    if waiting.get("reason") == "CrashLoopBackOff" or ended.get("exitCode"):
        evidence += _last_words(facts, pod, status)
        return _finding(
            facts, workload, "DE302", f"crashes: {status['name']}, {count} restarts", evidence
        )
    return None


def _spec(pod: Manifest, container: str) -> Mapping[str, Any]:
    containers = [
        *(pod["spec"].get("initContainers") or ()),
        *(pod["spec"].get("containers") or ()),
    ]
    return next((c for c in containers if c["name"] == container), {})


def _last_words(facts: Facts, pod: Manifest, status: Mapping[str, Any]) -> list[Evidence]:
    """Return the line that tells why a container ended, from the log of the run that has ended."""
    runs = "running" in (status.get("state") or {})
    name, container = pod["metadata"]["name"], status["name"]
    logs = [log for log in facts.logs if log.pod == name and log.container == container]
    logs.sort(key=lambda log: log.previous is runs)
    lines = [line.partition(" ")[2] for log in logs for line in log.lines]
    telling = telling_line(lines)
    return [Evidence(f"log {name}", telling[:_LONGEST_LINE])] if telling else []


def _log(facts: Facts, pod: Manifest, container: str) -> list[str]:
    name = pod["metadata"]["name"]
    logs = sorted(
        (log for log in facts.logs if log.pod == name and log.container == container),
        key=lambda log: not log.previous,
    )
    return [line for log in logs for line in log.lines if line.partition(" ")[2].strip()]
