"""DE30x and DE31x: Deployments and their pods."""

import copy

import pytest

from devenv.diagnosis.model import Confidence, Place, Verdict
from devenv.facts.model import ContainerLog
from devenv.facts.revisions import REVISION
from tests.unit.diagnosis.covers import codes, covers, findings, is_command, only_finding
from tests.unit.diagnosis.facts_builder import (
    CONTROLLER,
    HOUR,
    IMAGE,
    MODELS,
    NODE,
    PLUGINS,
    REDIS,
    SERVER,
    SYSTEM,
    TAKEN,
    before,
    condition,
    container_status,
    deployment,
    healthy_facts,
    healthy_node,
    healthy_objects,
    healthy_profile,
    named,
    pod_named,
    pod_of,
    remove,
    set_condition,
)
from tests.unit.diagnosis.spelled import fixes, spelled

ABSENT_IMAGE = "devenv.local/program:2"
PANIC = "panic: no Redis"
RUNNING = {"running": {"startedAt": before(60)}}


def with_container(objects=None, **changes):
    """gateway-plugins' container is not ready, and its status is this."""
    objects = objects or healthy_objects()
    container_status(objects, PLUGINS).update({"ready": False, **changes})
    return objects


def waiting(reason, **more):
    return {"waiting": {"reason": reason, **more}}


def ended(exit_code=1, age=60, reason="Error", **more):
    return {
        "terminated": {
            "reason": reason,
            "exitCode": exit_code,
            "finishedAt": before(age),
            **more,
        }
    }


def crashing(**changes):
    values = {"restartCount": 5, "state": waiting("CrashLoopBackOff"), "lastState": ended()}
    return with_container(**{**values, **changes})


def lacking_pods(age, name=PLUGINS):
    """The pod of a Deployment is not available, and is `age` seconds old."""
    objects = healthy_objects()
    named(objects, "Deployment", name)["status"].update(availableReplicas=0, readyReplicas=0)
    pod_named(objects, name)["metadata"]["creationTimestamp"] = before(age)
    return objects


def with_anothers(**spec):
    """A Deployment that no profile has, beside the others."""
    objects = healthy_objects()
    workload = deployment("theirs", {"app": "theirs"})
    workload["spec"].update(spec)
    objects["Deployment"].append(workload)
    objects["Pod"].append(pod_of(workload))
    return objects


def pulling(policy="IfNotPresent", image=ABSENT_IMAGE):
    objects = with_container(state=waiting("ImagePullBackOff"))
    (container,) = pod_named(objects, PLUGINS)["spec"]["containers"]
    container.update(imagePullPolicy=policy, image=image)
    return objects


def is_of_plugins(finding):
    """A finding about gateway-plugins is drawn there, and explains what goes through it."""
    about = {f"deployment/{SYSTEM}/{PLUGINS}", "component/gateway-plugins"}
    affected = {"route/extension", "route/plain"}
    return (
        (str(finding.subject), finding.place) == ("gateway-plugins", Place.PLUGINS)
        and about <= spelled(finding.about)
        and affected <= spelled(finding.affects)
        and "route/direct" not in spelled(finding.affects)
    )


@covers("DE301")
@pytest.mark.parametrize(
    "reason",
    [
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ErrImageInspect",
    ],
)
def test_an_image_that_is_nowhere(code, reason):
    finding = only_finding(healthy_facts(with_container(pulling(), state=waiting(reason))))
    assert finding.code == code
    assert is_of_plugins(finding)
    assert (finding.since, finding.verdict) == (TAKEN - HOUR, Verdict.FAILED)


def test_an_image_of_the_profile_is_brought_by_recover():
    assert fixes(only_finding(healthy_facts(pulling(image=IMAGE)))) == ("devenv recover",)


def test_a_wrong_tag_of_the_profiles_own_workload_is_put_back():
    facts = healthy_facts(pulling(), engine_images=(IMAGE,))
    assert fixes(only_finding(facts)) == ("devenv recover",)


def test_an_image_that_docker_has_is_loaded():
    facts = healthy_facts(pulling(), engine_images=(ABSENT_IMAGE,))
    assert fixes(only_finding(facts)) == (f"devenv reload-image {ABSENT_IMAGE}",)


@pytest.mark.parametrize("state", [waiting("ContainerCreating"), waiting("PodInitializing"), {}])
def test_a_container_that_is_being_made_needs_no_image(state):
    assert codes(healthy_facts(with_container(state=state))) == []


@covers("DE302")
def test_a_crash(code):
    finding = only_finding(healthy_facts(crashing()))
    assert finding.code == code
    assert is_of_plugins(finding)
    assert (finding.since, fixes(finding)) == (TAKEN - 60, ("devenv recover",))


@pytest.mark.parametrize("state", [RUNNING, ended()], ids=["running again", "just ended"])
def test_a_crash_is_one_between_two_starts_too(state):
    assert codes(healthy_facts(crashing(state=state))) == ["DE302"]


def test_a_program_that_ends_without_an_error_and_is_started_again_crashes():
    assert codes(healthy_facts(crashing(lastState=ended(exit_code=0)))) == ["DE302"]


def test_a_crash_shows_the_line_that_tells_why():
    lines = (f"{before(61)} {PANIC}", f"{before(61)} goroutine 1 [running]:")
    pod = pod_named(healthy_objects(), PLUGINS)["metadata"]["name"]
    log = ContainerLog(
        component="gateway-plugins",
        namespace=SYSTEM,
        pod=pod,
        container="program",
        previous=True,
        lines=lines,
    )
    finding = only_finding(healthy_facts(crashing(state=RUNNING), logs=(log,)))
    assert PANIC in [e.text for e in finding.evidence]


def test_a_crash_with_an_image_that_was_never_proven_is_undone():
    finding = only_finding(healthy_facts(crashing(), returnable=(IMAGE,)))
    assert fixes(finding) == ("devenv reload-image program --undo",)
    assert f"unproven image/{IMAGE}" in spelled(finding.about)


def test_an_image_of_others_that_was_never_proven_has_nothing_to_do_with_a_crash():
    finding = only_finding(healthy_facts(crashing(), returnable=("devenv.local/other:1",)))
    assert fixes(finding) == ("devenv recover",)


@pytest.mark.parametrize(
    "changes",
    [
        {"restartCount": 1, "state": RUNNING},
        {"state": RUNNING, "lastState": ended(age=3 * HOUR)},
        {"state": RUNNING, "lastState": ended(reason="ContainerStatusUnknown", exit_code=137)},
        {"state": ended(exit_code=0, reason="Completed")},
        {"ready": True, "state": RUNNING},
    ],
    ids=["once", "with its node", "nobody knows how", "finished", "ready again"],
)
def test_an_end_that_is_no_crash(changes):
    assert codes(healthy_facts(crashing(**changes))) == []


def test_replicas_that_crash_alike_are_one_finding():
    objects = crashing()
    twin = pod_named(objects, PLUGINS)
    meta = {**twin["metadata"], "name": f"{PLUGINS}-1-y"}
    objects["Pod"].append({**twin, "metadata": meta})
    assert codes(healthy_facts(objects)) == ["DE302"]


@covers("DE303")
def test_an_init_container_that_waits(code):
    objects = healthy_objects()
    (status,) = pod_named(objects, PLUGINS)["status"]["initContainerStatuses"]
    status.update(ready=False, state={"running": {"startedAt": before(31)}})
    finding = only_finding(healthy_facts(objects))
    assert (finding.code, finding.confidence) == (code, Confidence.LIKELY)
    assert is_of_plugins(finding)
    assert finding.since == TAKEN - 31


def test_an_init_container_may_take_half_a_minute():
    objects = healthy_objects()
    (status,) = pod_named(objects, PLUGINS)["status"]["initContainerStatuses"]
    status.update(ready=False, state={"running": {"startedAt": before(30)}})
    assert codes(healthy_facts(objects)) == []


def test_an_init_container_may_crash_too():
    objects = healthy_objects()
    (status,) = pod_named(objects, PLUGINS)["status"]["initContainerStatuses"]
    status.update(ready=False, restartCount=3, state=waiting("CrashLoopBackOff"), lastState=ended())
    assert codes(healthy_facts(objects)) == ["DE302"]


@covers("DE304")
def test_a_workload_that_is_not_ready_in_time(code):
    finding = only_finding(healthy_facts(lacking_pods(age=240)))
    assert (finding.code, finding.verdict) == (code, Verdict.FAILED)
    assert is_of_plugins(finding)
    assert fixes(finding) == ("devenv recover",)


@covers("DE304")
def test_a_rollout_that_kubernetes_gave_up_needs_no_deadline(code):
    objects = lacking_pods(age=10)
    stuck = condition("Progressing", "False", reason="ProgressDeadlineExceeded")
    named(objects, "Deployment", PLUGINS)["status"]["conditions"] = [stuck]
    assert only_finding(healthy_facts(objects)).code == code


@covers("DE312")
def test_a_rollout_within_its_deadline(code):
    finding = only_finding(healthy_facts(lacking_pods(age=239)))
    assert (finding.code, finding.verdict) == (code, Verdict.PROGRESS)
    assert is_of_plugins(finding)
    assert finding.since == TAKEN - 239


@pytest.mark.parametrize(
    ("started", "lost", "expected"),
    [
        # It was ready, and has not been for 30 s.
        (90, 30, "DE304"),
        # A moment without an answer may pass.
        (90, 10, "DE312"),
        # It has not been ready since its container runs: the node was restarted.
        (30, 90, "DE312"),
    ],
)
def test_a_new_pod_that_lost_its_readiness_is_not_being_rolled_out(started, lost, expected):
    objects = lacking_pods(age=100)
    container_status(objects, PLUGINS)["state"] = {"running": {"startedAt": before(started)}}
    set_condition(pod_named(objects, PLUGINS), "Ready", lastTransitionTime=before(lost))
    assert codes(healthy_facts(objects)) == [expected]


@pytest.mark.parametrize(("name", "expected"), [(PLUGINS, "DE304"), ("theirs", "DE312")])
def test_the_deadline_is_the_profiles_own(name, expected):
    """A workload that no profile has gets 240 s."""
    profile = healthy_facts().profile
    entries = [c.model_copy(update={"deadline": 100}) for c in profile.components]
    objects = with_anothers()
    named(objects, "Deployment", name)["status"]["availableReplicas"] = 0
    pod_named(objects, name)["metadata"]["creationTimestamp"] = before(150)
    facts = healthy_facts(objects, profile=profile.model_copy(update={"components": entries}))
    assert codes(facts) == [expected]


def test_a_rollout_begins_when_kubernetes_says_so():
    objects = lacking_pods(age=HOUR)
    began = condition("Progressing", lastUpdateTime=before(30))
    named(objects, "Deployment", PLUGINS)["status"]["conditions"] = [began]
    assert codes(healthy_facts(objects)) == ["DE312"]


def with_daemon_set(**status):
    objects = healthy_objects()
    daemon = deployment("kube-proxy", {"k8s-app": "kube-proxy"})
    daemon["metadata"]["namespace"] = "kube-system"
    counts = {"desiredNumberScheduled": 1, "numberAvailable": 1, "updatedNumberScheduled": 1}
    daemon["status"] = {"observedGeneration": 1, **counts, **status}
    objects["DaemonSet"].append(daemon)
    return objects


def test_a_daemon_set_needs_a_pod_on_each_node():
    finding = only_finding(healthy_facts(with_daemon_set(numberAvailable=0)))
    assert (finding.code, str(finding.subject)) == ("DE304", "kube-system/kube-proxy")
    assert fixes(finding)[0].split()[-3:] == ["rollout", "restart", "daemonset/kube-proxy"]
    assert {"route/direct", "route/extension", "route/plain"} <= spelled(finding.affects)


def test_a_daemon_sets_old_pods_may_stay_where_somebody_replaces_them_by_hand():
    objects = with_daemon_set(updatedNumberScheduled=0)
    assert codes(healthy_facts(objects)) == ["DE304"]
    named(objects, "DaemonSet", "kube-proxy")["spec"]["updateStrategy"] = {"type": "OnDelete"}
    assert codes(healthy_facts(objects)) == []


@covers("DE305")
@pytest.mark.parametrize(
    ("name", "subject"),
    [
        (PLUGINS, "gateway-plugins"),
        (REDIS, "redis"),
        (CONTROLLER, "envoy-gateway"),
        (SERVER, "model"),
    ],
)
def test_a_workload_at_zero(code, name, subject):
    """Its pods are gone with it."""
    objects = healthy_objects()
    named(objects, "Deployment", name)["spec"]["replicas"] = 0
    remove(objects, "Pod", f"{name}-1-x")
    first = next(f for f in findings(healthy_facts(objects)) if f.code == code)
    assert (str(first.subject), first.verdict) == (subject, Verdict.FAILED)
    assert fixes(first) == ("devenv recover",)


def test_a_workload_at_zero_is_the_only_finding():
    objects = healthy_objects()
    named(objects, "Deployment", PLUGINS)["spec"]["replicas"] = 0
    remove(objects, "Pod", f"{PLUGINS}-1-x")
    finding = only_finding(healthy_facts(objects))
    assert is_of_plugins(finding)


def test_a_workload_was_scaled_down_when_the_event_says_so():
    objects = healthy_objects()
    named(objects, "Deployment", PLUGINS)["spec"]["replicas"] = 0
    event = {
        "metadata": {"name": "e", "namespace": SYSTEM},
        "reason": "ScalingReplicaSet",
        "message": f"Scaled down replica set {PLUGINS}-1 from 1 to 0",
        "lastTimestamp": before(100),
        "involvedObject": {"kind": "Deployment", "name": PLUGINS},
    }
    objects["Event"].append(event)
    assert only_finding(healthy_facts(objects)).since == TAKEN - 100


def test_what_no_profile_has_may_be_at_zero():
    assert codes(healthy_facts(with_anothers(replicas=0))) == []


def test_a_model_may_be_at_zero_while_another_workload_serves_it():
    objects = healthy_objects()
    spare = deployment("spare", dict(named(objects, "Deployment", SERVER)["metadata"]["labels"]))
    spare["metadata"]["namespace"] = MODELS
    spare["spec"]["replicas"] = 0
    objects["Deployment"].append(spare)
    assert codes(healthy_facts(objects)) == []


def test_a_model_that_no_request_asks_for_may_be_at_zero():
    objects = healthy_objects()
    spare = deployment("spare", {"model.aibrix.ai/name": "other"})
    spare["spec"]["replicas"] = 0
    objects["Deployment"].append(spare)
    assert codes(healthy_facts(objects)) == []


@covers("DE306")
def test_an_image_that_is_there_and_always_pulled(code):
    finding = only_finding(healthy_facts(pulling("Always", IMAGE)))
    assert finding.code == code
    assert is_of_plugins(finding)
    assert fixes(finding) == ("devenv recover",)


@pytest.mark.parametrize(("policy", "image"), [("Always", ABSENT_IMAGE), ("IfNotPresent", IMAGE)])
def test_an_image_that_is_not_there_or_not_always_pulled(policy, image):
    assert codes(healthy_facts(pulling(policy, image))) == ["DE301"]


def test_an_image_that_one_of_two_nodes_lacks_is_not_there():
    nodes = (healthy_node(), healthy_node(images=()))
    assert codes(healthy_facts(pulling("Always", IMAGE), nodes=nodes)) == ["DE301"]


def test_images_that_were_not_read_are_not_said_to_be_there():
    nodes = (healthy_node(images=None),)
    assert codes(healthy_facts(pulling("Always", IMAGE), nodes=nodes)) == ["DE301"]


@covers("DE307")
def test_a_pod_that_fits_no_node(code):
    objects = healthy_objects()
    pod = pod_named(objects, PLUGINS)
    since = before(90)
    set_condition(pod, "PodScheduled", reason="Unschedulable", lastTransitionTime=since)
    finding = only_finding(healthy_facts(objects))
    assert finding.code == code
    assert is_of_plugins(finding)
    assert finding.since == TAKEN - 90
    assert all(map(is_command, fixes(finding)))
    assert fixes(finding)[-1] == "devenv recover"


def unscheduled(message, age=90, **resources):
    """The new pod of gateway-plugins has no node, and the old one still runs."""
    objects = healthy_objects()
    node = named(objects, "Node", NODE)
    node["status"]["allocatable"] = {"cpu": "2", "memory": "4Gi"}
    old = pod_named(objects, PLUGINS)
    old["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1500m"}}
    pod = copy.deepcopy(old)
    pod["metadata"].update(name=f"{PLUGINS}-2-x", creationTimestamp=before(age))
    pod["metadata"]["labels"]["pod-template-hash"] = "2"
    pod["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": f"{PLUGINS}-2"}]
    pod["spec"]["containers"][0]["resources"] = {"requests": resources or {"cpu": "1"}}
    pod["spec"]["nodeName"] = ""
    pod["status"] = {"phase": "Pending", "conditions": [condition("PodScheduled")]}
    why = {"reason": "Unschedulable", "message": message, "lastTransitionTime": before(age)}
    set_condition(pod, "PodScheduled", **why)
    workload = named(objects, "Deployment", PLUGINS)
    workload["metadata"]["annotations"] = {REVISION: "2"}
    owner = {"kind": "Deployment", "name": PLUGINS}
    labels = {"pod-template-hash": "2"}
    meta = {"name": f"{PLUGINS}-2", "namespace": SYSTEM, "ownerReferences": [owner]}
    replica_set = {"metadata": {**meta, "labels": labels, "annotations": {REVISION: "2"}}}
    objects["ReplicaSet"].append(replica_set)
    objects["Pod"].append(pod)
    workload["status"]["updatedReplicas"] = 0
    return objects


NO_CPU = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available."
NO_GPU = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: none."


@covers("DE307")
@pytest.mark.parametrize("age", [0, 90])
def test_a_resource_that_no_node_has_is_named_whole(code, age, check_message):
    objects = unscheduled(NO_GPU, age, **{"nvidia.com/gpu": "1"})
    finding = only_finding(healthy_facts(objects))
    assert finding.code == code
    assert NO_GPU.rstrip(".") in finding.says
    check_message(finding.says)
    assert "--limits=nvidia.com/gpu=0" in fixes(finding)[0]


@covers("DE307")
def test_a_pod_that_would_fit_without_the_old_one(code, check_message):
    finding = only_finding(healthy_facts(unscheduled(NO_CPU)))
    assert finding.code == code
    check_message(finding.says)
    assert '"type":"Recreate"' in fixes(finding)[0]


def test_a_pod_that_fits_no_empty_node_has_nothing_to_do_with_the_old_one():
    finding = only_finding(healthy_facts(unscheduled(NO_CPU, cpu="3")))
    assert "beside" not in finding.says
    assert fixes(finding)[0].split()[5:7] == ["set", "resources"]


@pytest.mark.parametrize(("age", "cpu", "expected"), [(9, "1", "DE312"), (9, "3", "DE307")])
def test_a_pod_may_wait_a_moment_for_the_old_one_to_end(age, cpu, expected):
    assert codes(healthy_facts(unscheduled(NO_CPU, age, cpu=cpu))) == [expected]


def test_a_pod_that_was_ready_for_long_is_unready_since_its_condition_changed():
    objects = lacking_pods(age=HOUR)
    set_condition(pod_named(objects, PLUGINS), "Ready", lastTransitionTime=before(10))
    finding = only_finding(healthy_facts(objects))
    assert (finding.code, finding.since) == ("DE304", TAKEN - 10)


def test_another_condition_of_a_pod_says_nothing_of_where_it_fits():
    objects = healthy_objects()
    set_condition(pod_named(objects, PLUGINS), "Ready")
    assert codes(healthy_facts(objects)) == []


@covers("DE308")
@pytest.mark.parametrize(("name", "subject"), [(REDIS, "redis"), (PLUGINS, "gateway-plugins")])
def test_a_workload_that_is_gone(code, name, subject):
    objects = healthy_objects()
    remove(objects, "Deployment", name)
    finding = only_finding(healthy_facts(objects))
    assert (finding.code, str(finding.subject)) == (code, subject)
    assert fixes(finding) == ("devenv recover",)
    assert spelled(finding.about) == {f"component/{subject}"}
    assert "component/gateway-plugins" in spelled(finding.affects)


@pytest.mark.parametrize("unknown", [{}, {"Deployment": "no answer"}])
def test_no_workload_is_missed_where_none_could_be_read(unknown):
    objects = healthy_objects()
    objects["Deployment"].clear()
    assert "DE308" not in codes(healthy_facts(objects, unknown=unknown))


def test_what_is_no_workload_is_not_missed_as_one():
    objects = healthy_objects()
    remove(objects, "EnvoyPatchPolicy", "aibrix-epp")
    assert "DE308" not in codes(healthy_facts(objects))


@covers("DE309")
def test_an_image_for_another_processor_in_the_containers_status(code):
    message = "exec /program: exec format error"
    objects = with_container(state=waiting("CrashLoopBackOff", message=message))
    finding = only_finding(healthy_facts(objects))
    assert finding.code == code
    assert is_of_plugins(finding)


@covers("DE309")
@pytest.mark.parametrize("previous", [True, False])
def test_an_image_for_another_processor_in_the_containers_log(code, previous):
    log = ContainerLog(
        component="gateway-plugins",
        namespace=SYSTEM,
        pod=f"{PLUGINS}-1-x",
        container="program",
        previous=previous,
        lines=(f"{before(60)} exec /program: exec format error",),
    )
    assert only_finding(healthy_facts(crashing(), logs=(log,))).code == code


@pytest.mark.parametrize("other", [{"pod": f"{REDIS}-1-x"}, {"container": "init"}])
def test_another_containers_log_says_nothing_of_this_one(other):
    values = {"component": "", "namespace": SYSTEM, "pod": f"{PLUGINS}-1-x", "container": "program"}
    log = ContainerLog(**{**values, **other}, lines=(f"{before(60)} exec format error",))
    assert codes(healthy_facts(crashing(), logs=(log,))) == ["DE302"]


def test_a_container_that_finished_did_not_fail_whatever_its_log_says():
    log = ContainerLog(
        component="",
        namespace=SYSTEM,
        pod=f"{PLUGINS}-1-x",
        container="program",
        lines=(f"{before(60)} exec format error",),
    )
    objects = with_container(state=ended(exit_code=0, reason="Completed"))
    assert codes(healthy_facts(objects, logs=(log,))) == []


@covers("DE310")
@pytest.mark.parametrize("restarts", [1, 5])
def test_a_container_killed_for_want_of_memory(code, restarts):
    """Once is enough: unlike a crash, it comes again."""
    last = ended(exit_code=137, reason="OOMKilled")
    objects = with_container(restartCount=restarts, state=RUNNING, lastState=last)
    finding = only_finding(healthy_facts(objects))
    assert finding.code == code
    assert is_of_plugins(finding)
    assert finding.since == TAKEN - 60


def test_a_container_killed_otherwise_crashes():
    last = ended(exit_code=137, reason="Error")
    objects = with_container(restartCount=5, state=RUNNING, lastState=last)
    assert codes(healthy_facts(objects)) == ["DE302"]


@covers("DE311")
@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "CreateContainerError"])
def test_a_container_that_can_not_be_made(code, reason):
    finding = only_finding(healthy_facts(with_container(state=waiting(reason))))
    assert finding.code == code
    assert is_of_plugins(finding)


@covers("DE311")
@pytest.mark.parametrize("reason", ["RunContainerError", "StartError"])
def test_a_container_that_can_not_be_started(code, reason):
    last = ended(exit_code=128, reason=reason)
    objects = crashing(lastState=last)
    assert only_finding(healthy_facts(objects)).code == code


# Who repairs it


def own_fix(workload_changes, **changes):
    """The fix of a Deployment that neither the profile nor its manifests have."""
    return fixes(only_finding(healthy_facts(workload_changes, **changes)))


def anothers_crash():
    objects = with_anothers()
    status = container_status(objects, "theirs")
    status.update(ready=False, restartCount=5, state=RUNNING, lastState=ended())
    return objects


def test_others_workloads_are_not_sent_to_recover():
    (command,) = own_fix(anothers_crash())
    assert command.split()[-3:] == ["rollout", "restart", "deployment/theirs"]


def test_others_workloads_return_to_a_revision_that_there_is():
    objects = anothers_crash()
    for number in (1, 2):
        owner = {"kind": "Deployment", "name": "theirs"}
        meta = {"name": f"theirs-{number}", "namespace": SYSTEM, "ownerReferences": [owner]}
        objects["ReplicaSet"].append({"metadata": meta})
    (command,) = own_fix(objects)
    assert command.split()[-3:] == ["rollout", "undo", "deployment/theirs"]


def test_without_manifests_any_workload_may_be_the_profiles():
    assert own_fix(anothers_crash(), declared=None) == ("devenv recover",)


def others_pull(**changes):
    """The fix where somebody else's workload needs an image that no node has."""
    objects = with_anothers()
    container_status(objects, "theirs").update(ready=False, state=waiting("ImagePullBackOff"))
    (container,) = pod_named(objects, "theirs")["spec"]["containers"]
    container["image"] = ABSENT_IMAGE
    return own_fix(objects, **changes)


def test_an_image_of_others_with_a_sibling_in_the_nodes_is_set_to_that():
    (command,) = others_pull(engine_images=())
    assert command.split()[-4:] == ["set", "image", "deployment/theirs", f"program={IMAGE}"]


def test_a_sibling_that_only_docker_has_is_loaded_first():
    nodes = (healthy_node(images=()),)
    load, change = others_pull(engine_images=(IMAGE,), nodes=nodes)
    assert load == f"devenv reload-image {IMAGE}"
    assert change.split()[-4:] == ["set", "image", "deployment/theirs", f"program={IMAGE}"]


def test_nothing_is_printed_that_can_not_work():
    nodes = (healthy_node(images=("example.org/other:1",)),)
    advice, command = others_pull(engine_images=(), nodes=nodes)
    assert not is_command(advice)
    assert is_command(command)


def test_others_models_at_zero_are_scaled_up():
    components = healthy_facts().profile.components
    rest = [c.model_dump(by_alias=True) for c in components if c.name != "model"]
    objects = healthy_objects()
    named(objects, "Deployment", SERVER)["spec"]["replicas"] = 0
    remove(objects, "Pod", f"{SERVER}-1-x")
    facts = healthy_facts(objects, profile=healthy_profile(components=rest))
    scaled = next(f for f in findings(facts) if f.code == "DE305")
    (command,) = fixes(scaled)
    assert f"scale deployment/{SERVER} --replicas=1" in command
