"""Workloads and their pods: all in the cluster, since users need theirs as well."""

from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches

from devenv.base.counting import counted
from devenv.base.image_names import normalise
from devenv.diagnosis import keys
from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.commands import devenv_command, json_word, recover
from devenv.diagnosis.containers import Container, init_containers_of, main_containers_of
from devenv.diagnosis.loose_pods import LoosePods, loose_pods
from devenv.diagnosis.manifests import changed_at, conditions_of_type, created_at, template_of
from devenv.diagnosis.model import (
    Advice,
    Command,
    Confidence,
    Evidence,
    Finding,
    Fix,
    Subject,
    Verdict,
)
from devenv.diagnosis.read import objects_of
from devenv.diagnosis.roles import Role, effects_of_failure, place_of, role_of
from devenv.diagnosis.served_models import ServedModel, requested_models
from devenv.diagnosis.story.culprits import culprit_in
from devenv.diagnosis.story.events import ClusterEvent
from devenv.diagnosis.story.fixes import correct_probe, heal, show
from devenv.diagnosis.story.probes import probe_in, probe_kill
from devenv.diagnosis.story.reader import (
    SCHEDULING_PATIENCE,
    Blockage,
    blockage_of,
    has_lasted,
    last_warnings,
)
from devenv.diagnosis.story.scheduling import (
    CORDONED,
    absent_resources,
    can_never_fit,
    cordoned_nodes,
    is_beside_old_pod,
    lacking_resources,
)
from devenv.diagnosis.times import parse_time
from devenv.diagnosis.workloads import Workload, all_workloads
from devenv.facts.collect import containers_in, repository
from devenv.facts.model import Facts
from devenv.facts.objects import fields_of, full_name, items_of, name_of, namespace_of, status_of
from devenv.gates import ready
from devenv.ports.kube import Manifest
from devenv.profiles.model import Component

# Why a container waits, when its image can't be had …
_PULL_REASONS = {
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ErrImageInspect",
}
# … and when the runtime can't create or start it.
_CREATE_REASONS = {
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "StartError",
}
_WRONG_ARCHITECTURE = "exec format error"
# Why the scheduler does not try, and how it says that labels keep a pod from a node.
_GATED = "SchedulingGated"
_SELECTED = "affinity/selector"
# Seconds that an init container may run.
_INIT_PATIENCE = 30.0
# Seconds until a Deployment without a deadline in the profile counts as failed.
_PATIENCE = 240.0
# What a bad image can cause: a crash, an unready pod, a container that can't start.
_CAUSED_BY_IMAGE = {"DE302", "DE303", "DE304", "DE309", "DE310", "DE311"}
# Findings about what happens before a container runs: another object may be to blame.
_BEFORE_START = {"DE301", "DE303", "DE307", "DE311"}
# Characters of a message that are kept.
_LONGEST = 300
_LONGEST_EVENT = 200


# Whole workloads


@check
def find_missing_workloads(facts: Facts) -> Iterator[Finding]:
    """DE308: a workload of the profile does not exist."""
    for component in facts.profile.components:
        is_known = facts.knows(component.resource.kind) and facts.of("Deployment")
        is_workload = component.gate == "workload"
        if is_known and is_workload and not objects_of(facts, component):
            yield _missing_workload(facts, component)


def _missing_workload(facts: Facts, component: Component) -> Finding:
    """Return the finding. Its role can't be read from it, so everything is said to follow."""
    about = {keys.component(component.name)}
    later = keys.components(facts.profile.after(component.name))
    models = keys.models(requested_models(facts))
    return Finding(
        code="DE308",
        subject=Subject.component(component.name),
        says=f"{component.resource} does not exist.",
        evidence=(Evidence("API server", f"no such {component.resource.kind}"),),
        fix=recover(facts),
        about=frozenset(about),
        affects=frozenset(about | later | keys.ALL_ROUTES | models),
    )


@check
def find_failing_workloads(facts: Facts) -> Iterator[Finding]:
    """DE301 to DE313: a workload does not have all of its pods, or they are not ready."""
    for workload in (*all_workloads(facts), *loose_pods(facts)):
        if not workload.is_scaled_to_zero:
            yield from _failures_of(workload)
        elif _is_missed(workload):
            yield _finding(
                workload,
                code="DE305",
                message="is scaled to zero",
                evidence=[_scaling_evidence(workload)],
            )


def _failures_of(workload: Workload) -> list[Finding]:
    """Return what is wrong with a workload: each code once, since replicas fail alike."""
    blockage = blockage_of(workload)
    first_of_code: dict[str, Finding] = {}
    for pod in workload.newest_pods:
        for finding in _pod_failures(workload, pod):
            first_of_code.setdefault(finding.code, finding)
    if first_of_code:
        return [_blaming(finding, blockage) for finding in first_of_code.values()]
    if problem := _readiness_problem(workload):
        return list(_unready_workload(workload, problem, blockage))
    return []


def _blaming(finding: Finding, blockage: Blockage | None) -> Finding:
    """Return a finding about a pod with the object that Kubernetes blames for it."""
    if blockage is None or blockage.culprit is None or finding.code not in _BEFORE_START:
        return finding
    return replace(finding, names=frozenset({blockage.culprit.key}))


def _readiness_problem(workload: Workload) -> str:
    """Return what a workload lacks to be ready, "" for nothing."""
    if isinstance(workload, LoosePods):
        return workload.problem
    if workload.kind != "DaemonSet":
        return ready.workload(workload.manifest)
    # With OnDelete, its pods are replaced only when a user deletes them.
    is_updated = workload.update_strategy.get("type") != "OnDelete"
    return ready.daemon(workload.manifest, updated=is_updated)


def _is_missed(workload: Workload) -> bool:
    """Whether a workload that is scaled to zero is needed.

    A model is needed if requests ask for it and no other workload serves it.
    """
    role = role_of(workload)
    if role is not Role.MODEL:
        return role is not Role.NONE or workload.component is not None
    effects = effects_of_failure(workload)
    for name in requested_models(workload.facts):
        if keys.model(name) in effects and not ServedModel(workload.facts, name).has_ready_pod:
            return True
    return False


def _scaling_evidence(workload: Workload) -> Evidence:
    """Return since when a workload is scaled to zero. Kubernetes keeps the event for an hour."""
    scaled_at = 0.0
    for event in workload.facts.of("Event"):
        is_scaling = event.get("reason") == "ScalingReplicaSet"
        to_zero = str(event.get("message")).endswith(" to 0")
        if is_scaling and to_zero and _event_object(event) == workload.name:
            time = parse_time(event.get("lastTimestamp") or event.get("eventTime"))
            scaled_at = max(scaled_at, time)
    return Evidence(workload.source, "replicas: 0", scaled_at)


def _unready_workload(
    workload: Workload, problem: str, blockage: Blockage | None
) -> Iterator[Finding]:
    """Yield DE313 if Kubernetes tells why, otherwise DE304; DE312 while it may still become ready.

    Loose pods have no rollout: they are left alone until their time is over.
    """
    pods = workload.newest_pods
    began = _rollout_start(workload, pods)
    onset = Evidence(workload.source, problem, _onset(workload, pods, began))
    probe_failure = _last_probe_failure(workload.facts, pods)
    pod_failure = _last_pod_failure(workload)
    evidence = [onset, *probe_failure, *pod_failure]
    if blockage and blockage.is_lasting:
        yield _blocked_workload(workload, problem, blockage, evidence)
    elif _may_become_ready(workload, began):
        if not isinstance(workload, LoosePods):
            yield _finding(
                workload,
                code="DE312",
                message=f"is being rolled out: {problem}",
                evidence=[*evidence, *(blockage.evidence if blockage else ())],
                verdict=Verdict.PROGRESS,
            )
    else:
        warnings = last_warnings(workload, began)
        # The warnings may have the probe's failure, under its own reason.
        untold = [e for e in evidence if not any(e.text in warning.text for warning in warnings)]
        yield _finding(
            workload,
            code="DE304",
            message=f"is not ready: {problem}",
            evidence=list(dict.fromkeys([*untold, *warnings])),
        )


def _may_become_ready(workload: Workload, began: float) -> bool:
    progressing = conditions_of_type(workload.manifest, "Progressing")
    is_stuck = any(c["status"] == "False" for c in progressing)
    facts = workload.facts
    has_lost = any(_has_lost_readiness(facts, pod) for pod in workload.newest_pods)
    return not is_stuck and not has_lost and facts.now - began < _deadline_of(workload)


def _has_lost_readiness(facts: Facts, pod: Manifest) -> bool:
    """Whether a pod was ready since its containers run, and has not been for a while.

    Such a pod does not start any more, however new it is.
    """
    lost = [c for c in conditions_of_type(pod, "Ready") if c["status"] == "False"]
    states = [fields_of(s, "state") for s in items_of(status_of(pod), "containerStatuses")]
    starts = [parse_time(fields_of(state, "running").get("startedAt")) for state in states]
    if not lost or not starts or not all(starts):
        return False
    lost_at = changed_at(lost[0])
    return max(starts) < lost_at and has_lasted(facts, lost_at)


def _blocked_workload(
    workload: Workload, problem: str, blockage: Blockage, evidence: list[Evidence]
) -> Finding:
    """Return DE313 with Kubernetes' words on why a workload can't become ready.

    If they blame another object, the finding about that object says so: then this one is DE304.
    """
    if blockage.culprit:
        finding = _finding(
            workload, code="DE304", message=f"is not ready: {problem}", evidence=evidence
        )
        return replace(finding, names=frozenset({blockage.culprit.key}))
    finding = _finding(
        workload,
        code="DE313",
        message=f"waits because {blockage.words}",
        evidence=[*blockage.evidence, *last_warnings(workload, _first_time(blockage))],
        fix=heal(workload, blockage),
    )
    evidence = list(dict.fromkeys(finding.evidence))
    return replace(finding, reason=blockage.reason, evidence=tuple(evidence))


def _first_time(blockage: Blockage) -> float:
    return min((e.time for e in blockage.evidence if e.time), default=0.0)


def _onset(workload: Workload, pods: list[Manifest], began: float) -> float:
    """Return since when a workload is not ready: a pod may have been ready for long before."""
    unready_since = [began]
    for obj in (*pods, workload.manifest):
        conditions = conditions_of_type(obj, "Ready", "Available")
        unready_since += [changed_at(c) for c in conditions if c["status"] == "False"]
    return max(unready_since)


def _rollout_start(workload: Workload, pods: list[Manifest]) -> float:
    """Return when a workload last made progress: a condition was updated, or a pod created."""
    progressing = conditions_of_type(workload.manifest, "Progressing")
    updates = [parse_time(condition.get("lastUpdateTime")) for condition in progressing]
    return max([*updates, *map(created_at, pods)], default=0.0)


def _deadline_of(workload: Workload) -> float:
    """Return the seconds after which a rollout counts as failed."""
    component = workload.component
    if component is None:
        return _PATIENCE
    return component.deadline


def _last_pod_failure(workload: Workload) -> list[Evidence]:
    """Return why the last pod failed. If a node refuses every new pod, nothing else tells it."""
    pod = workload.last_failed_pod
    if pod is None:
        return []
    status = pod["status"]
    text = f"{status.get('reason') or 'Failed'}: {status.get('message') or ''}".strip(": ")
    return [Evidence(f"pod {full_name(pod)}", text[:_LONGEST], created_at(pod))]


def _last_probe_failure(facts: Facts, pods: list[Manifest]) -> list[Evidence]:
    """Return the newest event of a probe that failed."""
    pod_names = set(map(name_of, pods))
    failures = []
    for event in facts.of("Event"):
        if event.get("reason") == "Unhealthy" and _event_object(event) in pod_names:
            text = str(event.get("message")).strip()[:_LONGEST_EVENT]
            time = parse_time(event.get("firstTimestamp") or event.get("eventTime"))
            failures.append(Evidence(f"event {_event_object(event)}", text, time))
    return sorted(failures, key=lambda e: e.time)[-1:]


def _event_object(event: Manifest) -> str:
    return str((event.get("involvedObject") or {}).get("name"))


# Findings and fixes


def _finding(
    workload: Workload,
    code: str,
    message: str,
    evidence: list[Evidence],
    fix: tuple[Fix, ...] = (),
    verdict: Verdict = Verdict.FAILED,
    confidence: Confidence = Confidence.CONFIRMED,
) -> Finding:
    """Return a finding about a workload. `message` goes on after the workload's name."""
    component = workload.component
    about = {keys.workload(workload.kind, workload.full_name)}
    if component:
        about.add(keys.component(component.name))
    unproven_images = _unproven_images(workload) if code in _CAUSED_BY_IMAGE else {}
    if unproven_images:
        about |= keys.unproven_images(unproven_images)
        text = "was loaded and never proven"
        evidence = [*evidence, *(Evidence(f"image {image}", text) for image in unproven_images)]
        fix = (devenv_command(workload.facts, "reload-image", *unproven_images.values(), "--undo"),)
    return Finding(
        code=code,
        subject=_subject(workload),
        says=f"{_name_of(workload)} {message}.",
        evidence=tuple(evidence),
        fix=fix or (_usual_fix(workload),),
        verdict=verdict,
        confidence=confidence,
        about=frozenset(about),
        affects=frozenset(about | effects_of_failure(workload)),
        place=place_of(workload),
    )


def _subject(workload: Workload) -> Subject:
    """Return a workload's subject: its component, if it is one."""
    if component := workload.component:
        return Subject.component(component.name)
    if isinstance(workload, LoosePods):
        return Subject(workload.kind, workload.full_name)
    return Subject("workload", workload.full_name, named_alone=True)


def _name_of(workload: Workload) -> str:
    """Return what a sentence calls a workload."""
    if isinstance(workload, LoosePods):
        return f"{workload.kind} {workload.full_name}"
    return workload.full_name


def _unproven_images(workload: Workload) -> dict[str, str]:
    """Return a workload's images that were loaded, never proven, and can be undone.

    The keys are their names in the nodes, the values what a user calls them.
    """
    containers = containers_in(template_of(workload.manifest)["spec"])
    names_in_use = {normalise(str(c.get("image"))) for c in containers}
    names_in_profile = {normalise(image.ref): image.name for image in workload.facts.profile.images}
    unproven_names = [name for name in workload.facts.returnable if name in names_in_use]
    return {name: names_in_profile.get(name, name) for name in unproven_names}


def _usual_fix(workload: Workload) -> Command:
    """Return the command that repairs a workload. `recover` repairs only what it can restore."""
    if isinstance(workload, LoosePods):
        return _renew_pod(workload)
    restart = workload.kubectl("rollout", "restart", workload.target)
    if workload.kind == "DaemonSet" and workload.component is None:
        return restart
    if workload.is_of_profile or workload.namespace == "kube-system":
        return devenv_command(workload.facts, "recover")
    if workload.is_scaled_to_zero:
        return workload.kubectl("scale", workload.target, "--replicas=1")
    if workload.has_earlier_revision:
        return workload.kubectl("rollout", "undo", workload.target)
    return restart


def _renew_pod(pods: LoosePods) -> Command:
    """Return the command that ends a pod, if its owner creates another one."""
    if pods.is_bare:
        return show(pods)
    return pods.kubectl("delete", pods.target)


# One pod


def _pod_failures(workload: Workload, pod: Manifest) -> Iterator[Finding]:
    """Yield what is wrong with one pod of a workload."""
    yield from _unschedulable(workload, pod)
    for container in init_containers_of(workload.facts, pod):
        yield from _container_failure(workload, container)
        yield from _slow_init(workload, container)
    for container in main_containers_of(workload.facts, pod):
        yield from _container_failure(workload, container)


def _unschedulable(workload: Workload, pod: Manifest) -> Iterator[Finding]:
    """DE307: no node takes a pod."""
    for condition in conditions_of_type(pod, "PodScheduled"):
        reason = str(condition.get("message") or "")
        if condition["status"] != "False" or condition.get("reason") == _GATED:
            continue
        age = workload.facts.now - changed_at(condition)
        if age < SCHEDULING_PATIENCE and _may_soon_fit(workload.facts, pod, reason):
            continue
        text = f"{condition.get('reason')}: {reason}"
        yield _finding(
            workload,
            code="DE307",
            message=f"has a pod that fits no node: {_why_no_node(workload, pod, reason)}",
            evidence=[Evidence(f"pod {full_name(pod)}", text, changed_at(condition))],
            fix=_make_it_fit(workload, pod, reason),
        )


def _may_soon_fit(facts: Facts, pod: Manifest, message: str) -> bool:
    """Whether waiting can help a pod that fits no node.

    Another pod may end, or a node get ready.
    """
    is_kept_out = CORDONED in message and bool(cordoned_nodes(facts))
    return not is_kept_out and not can_never_fit(facts, pod, message)


def _why_no_node(workload: Workload, pod: Manifest, message: str) -> str:
    """Return the scheduler's whole message, after what it comes to."""
    whole = message.strip().rstrip(".")
    absent = absent_resources(workload.facts, message)
    if absent:
        return f"no node has {', '.join(absent)} ({whole})"
    if is_beside_old_pod(workload, pod, message):
        resources = " and ".join(lacking_resources(message))
        return f"no room beside the old pod, which has the {resources} ({whole})"
    return whole


def _make_it_fit(workload: Workload, pod: Manifest, message: str) -> tuple[Fix, ...]:
    """Return commands by which a pod gets a node."""
    if isinstance(workload, LoosePods):
        return (show(workload),)
    fixes: tuple[Fix, ...] = (show(workload),)
    absent = absent_resources(workload.facts, message)
    if absent:
        amounts = ",".join(f"{name}=0" for name in absent)
        words = (f"--limits={amounts}", f"--requests={amounts}")
        fixes = (workload.kubectl("set", "resources", workload.target, *words),)
    elif is_beside_old_pod(workload, pod, message):
        fixes = (_replace_old_pod_first(workload),)
    elif lacking_resources(message):
        fixes = (_request_less(workload),)
    elif pod["spec"].get("nodeSelector") and _SELECTED in message:
        patch = json_word({"spec": {"template": {"spec": {"nodeSelector": None}}}})
        fixes = (workload.kubectl("patch", workload.target, "-p", patch),)
    if workload.is_of_profile:
        return (*fixes, *recover(workload.facts))
    return fixes


def _request_less(workload: Workload) -> Command:
    """Return the command by which a workload requests less CPU and memory."""
    requests = "--requests=cpu=50m,memory=64Mi"
    return workload.kubectl("set", "resources", workload.target, requests)


def _replace_old_pod_first(workload: Workload) -> Command:
    """Return the command by which a Deployment ends its old pods before it creates new ones."""
    strategy = {"type": "Recreate", "rollingUpdate": None}
    patch = json_word({"spec": {"strategy": strategy}})
    return workload.kubectl("patch", workload.target, "-p", patch)


def _slow_init(workload: Workload, container: Container) -> Iterator[Finding]:
    """DE303: an init container does not finish."""
    began = container.running_since
    if not began or workload.facts.now - began <= _INIT_PATIENCE:
        return
    text = f"init container {container.name} has not finished"
    yield _finding(
        workload,
        code="DE303",
        message=f"waits in its init container {container.name}",
        evidence=[Evidence(f"pod {full_name(container.pod)}", text, began)],
        confidence=Confidence.LIKELY,
    )


def _container_failure(workload: Workload, container: Container) -> Iterator[Finding]:
    """Yield the one finding that says why a container does not run."""
    if failure := probe_kill(container):
        yield _killed_by_probe(workload, container, failure)
        return
    if container.is_well or _may_still_be_configured(container):
        return
    if container.waiting_reason in _PULL_REASONS:
        yield _missing_image(workload, container)
    elif _has_wrong_architecture(container):
        yield _wrong_architecture(workload, container)
    elif {container.waiting_reason, container.ending.reason} & _CREATE_REASONS:
        yield _unstartable(workload, container)
    elif container.ending.reason == "OOMKilled":
        yield _out_of_memory(workload, container)
    elif _has_crashed(container):
        yield _crash(workload, container)


def _may_still_be_configured(container: Container) -> bool:
    """Whether a container lacks a Secret or ConfigMap that has come, or may come at a start."""
    if container.waiting_reason != "CreateContainerConfigError":
        return False
    facts, pod = container.facts, container.pod
    culprit = culprit_in(facts, container.waiting_message, namespace_of(pod))
    if culprit and not culprit.is_still_wrong(facts):
        # The kubelet tries again.
        return True
    return not has_lasted(facts, created_at(pod))


# Probes that kill


def _killed_by_probe(workload: Workload, container: Container, event: ClusterEvent) -> Finding:
    """DE313: a container runs, and its probe has the kubelet end it."""
    probe = probe_in(event.message)
    # The profile's own probes are right, and need not use a port that the container lists.
    fix: tuple[Fix, ...] = correct_probe(workload, container.name, probe)
    if workload.is_of_profile:
        fix = recover(workload.facts)
    finding = _finding(
        workload,
        code="DE313",
        message=f"is restarted because {event.words.rstrip('.')}",
        evidence=[event.evidence(), *_described_restarts(container)],
        fix=fix or (show(workload),),
    )
    return replace(finding, reason=event.reason)


def _described_restarts(container: Container) -> Iterator[Evidence]:
    text = f"{container.name} was killed by its probe, {counted(container.restarts, 'restart')}"
    yield Evidence(f"pod {full_name(container.pod)}", text)


# Images


def _missing_image(workload: Workload, container: Container) -> Finding:
    """DE301, DE306: a container's image can't be had."""
    pod, image = container.pod, container.image
    text = f"{container.waiting_reason}: {container.waiting_message}"[:_LONGEST]
    evidence = [Evidence(f"pod {full_name(pod)}", text, created_at(pod))]
    is_in_nodes = _is_in_nodes(workload.facts, image)
    if is_in_nodes and container.spec.get("imagePullPolicy") == "Always":
        return _finding(
            workload,
            code="DE306",
            message=f"always pulls {image}, although it is in the node, and no registry answers",
            evidence=[*evidence, Evidence("node", f"{image} is in the node")],
        )
    if is_in_nodes is False:
        evidence.append(Evidence("node", f"{image} is not in the node"))
    return _finding(
        workload,
        code="DE301",
        message=f"needs the image {image}, which is not in the node",
        evidence=evidence,
        fix=_provide_image(workload, container),
    )


def _provide_image(workload: Workload, container: Container) -> tuple[Fix, ...]:
    """Return how a pod gets an image: the one that it names, or else the most similar one."""
    facts, image = workload.facts, normalise(container.image)
    if workload.namespace == "kube-system":
        # kind made it, with an image that the node has.
        return (workload.kubectl("rollout", "undo", workload.target),)
    if _is_image_of_profile(facts, image):
        return recover(facts)
    if image in map(normalise, facts.engine_images or ()):
        return (devenv_command(facts, "reload-image", container.image),)
    if workload.is_of_profile:
        return recover(facts)
    return _use_similar_image(workload, container)


def _use_similar_image(workload: Workload, container: Container) -> tuple[Fix, ...]:
    """Return how a user's workload gets an image, if neither node nor engine has its own."""
    facts = workload.facts
    similar_image = _find_similar_image(facts, normalise(container.image))
    if not similar_image:
        reload = devenv_command(facts, "reload-image", container.image)
        return (Advice(f"build or pull {container.image} on this machine, then"), reload)
    change = f"{container.name}={similar_image}"
    set_image = workload.kubectl("set", "image", workload.target, change)
    if _is_in_nodes(facts, similar_image):
        return (set_image,)
    return (devenv_command(facts, "reload-image", similar_image), set_image)


def _is_image_of_profile(facts: Facts, image: str) -> bool:
    return any(normalise(i.ref) == image for i in facts.profile.images)


def _find_similar_image(facts: Facts, image: str) -> str:
    """Return the image of the same repository with the most similar name; "" for none.

    Images in the nodes come before those that only the engine has.
    """
    names = set(map(normalise, facts.engine_images or ()))
    for node in facts.nodes:
        names.update(node.images or ())
    candidates = [name for name in sorted(names) if repository(name) == repository(image)]
    in_nodes = [name for name in candidates if _is_in_nodes(facts, name)]
    matches = get_close_matches(image, in_nodes or candidates, n=1, cutoff=0)
    return matches[0] if matches else ""


def _is_in_nodes(facts: Facts, image: str) -> bool | None:
    """Whether every node has an image; None if no node's images could be read."""
    images_of_nodes = [n.images for n in facts.nodes if n.images is not None]
    if not images_of_nodes:
        return None
    return all(normalise(image) in images for images in images_of_nodes)


# Containers that end or can't start


def _has_wrong_architecture(container: Container) -> bool:
    message = container.waiting_message or container.ending.message
    return _WRONG_ARCHITECTURE in message or container.log_mentions(_WRONG_ARCHITECTURE)


def _wrong_architecture(workload: Workload, container: Container) -> Finding:
    """DE309: an image was built for another processor architecture."""
    return _finding(
        workload,
        code="DE309",
        message="has an image for another processor architecture",
        evidence=[_ending_evidence(container, f"{container.name}: {_WRONG_ARCHITECTURE}")],
    )


def _unstartable(workload: Workload, container: Container) -> Finding:
    """DE311: the runtime can't create or start a container."""
    reason = container.waiting_reason or container.ending.reason
    detail = container.waiting_message or container.ending.message
    return _finding(
        workload,
        code="DE311",
        message=f"has a container that can't be started: {container.name}",
        evidence=[_ending_evidence(container, f"{reason}: {detail}"[:_LONGEST])],
    )


def _out_of_memory(workload: Workload, container: Container) -> Finding:
    """DE310: the kernel killed a container that used more than its memory limit."""
    return _finding(
        workload,
        code="DE310",
        message=f"ran out of memory: {container.name}, limit {container.memory_limit}",
        evidence=[_ending_evidence(container, _describe_ending(container))],
    )


def _has_crashed(container: Container) -> bool:
    is_backing_off = container.waiting_reason == "CrashLoopBackOff"
    return container.ending.is_known and (is_backing_off or bool(container.ending.exit_code))


def _crash(workload: Workload, container: Container) -> Finding:
    """DE302: a container ends again and again."""
    ending = _ending_evidence(container, _describe_ending(container))
    return _finding(
        workload,
        code="DE302",
        message=f"crashes: {container.name}, {counted(container.restarts, 'restart')}",
        evidence=[ending, *container.last_words()],
    )


def _describe_ending(container: Container) -> str:
    ending = container.ending
    return (
        f"{container.name} ended: {ending.reason}, exit code {ending.exit_code}, "
        f"{counted(container.restarts, 'restart')}"
    )


def _ending_evidence(container: Container, text: str) -> Evidence:
    return Evidence(f"pod {full_name(container.pod)}", text, container.ending.time)
