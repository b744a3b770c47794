"""DE313: what Kubernetes itself tells."""

import copy

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.diagnosis.model import Verdict
from devenv.diagnosis.story.fixes import correct_probe
from devenv.diagnosis.workloads import all_workloads
from tests.unit.diagnosis.covers import codes, covers, findings, is_command, only_finding
from tests.unit.diagnosis.facts_builder import (
    HOUR,
    NODE,
    PLUGINS,
    REDIS,
    SYSTEM,
    TAKEN,
    before,
    condition,
    container_status,
    deployment,
    event,
    healthy_facts,
    healthy_node,
    healthy_objects,
    healthy_profile,
    named,
    pod_named,
    pod_of,
    set_condition,
)
from tests.unit.diagnosis.spelled import fixes, spelled

SECRET = {"kind": "Secret", "name": "key", "by": "volume v"}
NO_MOUNT = 'MountVolume.SetUp failed for volume "v" : secret "key" not found'
QUOTA = 'pods "x-1" is forbidden: exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0'
ABSENT_NODE = "nowhere"
# Words of the network plugin, the kubelet and the engine.
NO_NETWORK = "no network. At all"
NO_CONFIG_MAP = 'configmap "n" not found'
NO_HOST = "no such host"


def starting(objects, name=REDIS, age=60, **spec):
    """The new pod of a Deployment has a node, and none of its containers has run."""
    status = named(objects, "Deployment", name)["status"]
    status.update(availableReplicas=0, readyReplicas=0)
    pod = pod_named(objects, name)
    pod["metadata"]["creationTimestamp"] = before(age)
    pod["spec"].update(spec)
    pod["status"]["phase"] = "Pending"
    set_condition(pod, "Ready", lastTransitionTime=before(age))
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    container_status(objects, name).update(ready=False, state=waiting)
    return pod


def pod_event(pod, reason, message, **more):
    meta = pod["metadata"]
    return event("Pod", meta["namespace"], meta["name"], reason, message, **more)


def without_secret(age=60, **more):
    objects = healthy_objects()
    pod = starting(objects, age=age, references=[SECRET])
    objects["Event"].append(
        pod_event(pod, "FailedMount", NO_MOUNT, firstTimestamp=before(age), **more)
    )
    return objects


def bare_pod(**status):
    """A pod that nobody owns."""
    pod = pod_of(deployment("alone", {"app": "alone"}))
    meta = pod["metadata"]
    del meta["ownerReferences"]
    meta.update(name="alone", creationTimestamp=before(HOUR))
    pod["status"].update(status)
    return pod


def told(facts):
    """The only root cause, which must be one of DE313."""
    (cause,) = diagnose(facts).causes
    return cause


@covers("DE313")
def test_a_missing_secret_is_the_root_under_its_own_name(code):
    cause = told(healthy_facts(without_secret()))
    assert (cause.root.code, str(cause.root.subject)) == (code, f"Secret {SYSTEM}/key")
    assert (cause.root.reason, cause.since) == ("FailedMount", TAKEN - 60)
    assert "DE304" in [f.code for f in cause.consequences]
    command = fixes(cause.root)[0].split()
    assert command[-6:] == ["-n", SYSTEM, "create", "secret", "generic", "key"]
    assert all(map(is_command, fixes(cause.root)))
    assert f"deployment/{SYSTEM}/{REDIS}" in spelled(cause.root.affects)


def test_the_words_of_kubernetes_stay_whole():
    (evidence, *_) = told(healthy_facts(without_secret())).root.evidence
    assert evidence.text == f"FailedMount: {NO_MOUNT}"


def test_two_workloads_that_wait_for_one_object_are_one_root():
    objects = without_secret()
    starting(objects, PLUGINS, references=[{**SECRET, "name": "other"}])
    container_status(objects, PLUGINS).update(state={})
    pod_named(objects, PLUGINS)["status"]["initContainerStatuses"] = []
    roots = [str(c.root.subject) for c in diagnose(healthy_facts(objects)).causes]
    assert sorted(roots) == [f"Secret {SYSTEM}/key", f"Secret {SYSTEM}/other"]
    pod_named(objects, PLUGINS)["spec"]["references"] = [SECRET]
    cause = told(healthy_facts(objects))
    assert {"redis", "gateway-plugins"} <= {str(f.subject) for f in cause.consequences}


@pytest.mark.parametrize("age", [0, 19])
def test_at_a_start_a_volume_may_not_be_there_yet(age):
    finding = only_finding(healthy_facts(without_secret(age)))
    assert (finding.code, finding.verdict) == ("DE312", Verdict.PROGRESS)


@pytest.mark.parametrize(("age", "expected"), [(89, ["DE312"]), (91, ["DE304", "DE313"])])
def test_a_command_may_be_about_to_create_it(age, expected):
    facts = healthy_facts(without_secret(age), changing="devenv up")
    assert [code for code in codes(facts) if code != "DE107"] == expected


def test_a_secret_that_came_since_is_no_fault_any_more():
    objects = without_secret()
    objects["Secret"].append({"metadata": {"name": "key", "namespace": SYSTEM}})
    assert codes(healthy_facts(objects)) == ["DE312"]


def test_who_may_not_list_secrets_learns_of_it_from_the_event():
    objects = without_secret()
    del objects["Secret"]
    assert str(told(healthy_facts(objects)).root.subject) == f"Secret {SYSTEM}/key"


def test_without_events_the_missing_object_tells():
    objects = without_secret()
    objects["Event"] = []
    root = told(healthy_facts(objects, unknown={"Event": "forbidden"})).root
    assert (str(root.subject), root.reason) == (f"Secret {SYSTEM}/key", "Missing")


def test_without_events_and_secrets_nothing_is_a_fault_and_the_events_are_unknown():
    objects = without_secret()
    objects["Event"] = []
    del objects["Secret"]
    diagnosis = diagnose(healthy_facts(objects, unknown={"Event": "forbidden"}))
    assert diagnosis.causes == ()
    assert ("Event", "forbidden") in diagnosis.unknown


def test_what_a_pod_may_do_without_is_not_missed():
    objects = healthy_objects()
    starting(objects, references=[{**SECRET, "optional": True}])
    assert codes(healthy_facts(objects)) == ["DE312"]


def test_an_event_of_a_pods_namesake_says_nothing():
    objects = without_secret()
    objects["Secret"].append({"metadata": {"name": "key", "namespace": SYSTEM}})
    pod_named(objects, REDIS)["metadata"]["uid"] = "new"
    objects["Event"][0].update(reason="FailedAttachVolume", message="no disk")
    objects["Event"][0]["involvedObject"]["uid"] = "old"
    assert codes(healthy_facts(objects)) == ["DE312"]


def test_an_event_of_before_the_pod_says_nothing():
    objects = without_secret(lastTimestamp=before(61))
    objects["Secret"].append({"metadata": {"name": "key", "namespace": SYSTEM}})
    objects["Event"][0].update(reason="FailedAttachVolume", message="no disk")
    assert codes(healthy_facts(objects)) == ["DE312"]


@covers("DE313")
def test_words_that_name_no_object_are_told_of_the_workload(code):
    objects = healthy_objects()
    pod = starting(objects)
    objects["Event"].append(pod_event(pod, "FailedCreatePodSandBox", f"{NO_NETWORK}."))
    finding = only_finding(healthy_facts(objects))
    assert (finding.code, str(finding.subject)) == (code, "redis")
    assert (finding.reason, finding.since) == ("FailedCreatePodSandBox", TAKEN - 60)
    assert f"FailedCreatePodSandBox: {NO_NETWORK}" in finding.says
    # Manifests that are put back change nothing of what its node fails at.
    assert [fix.split()[5] for fix in fixes(finding)] == ["describe"]


def test_warnings_of_one_reason_are_one_though_their_words_differ():
    objects = healthy_objects()
    pod = starting(objects)
    for age in (55, 30, 5):
        times = {"firstTimestamp": before(age), "lastTimestamp": before(age)}
        objects["Event"].append(pod_event(pod, "FailedCreatePodSandBox", f"sandbox {age}", **times))
    finding = only_finding(healthy_facts(objects))
    assert (finding.code, finding.since) == ("DE313", TAKEN - 55)
    assert "sandbox 5" in finding.says


@pytest.mark.parametrize("reason", ["BackOff", "Unhealthy", "DNSConfigForming", "FailedScheduling"])
def test_events_of_a_healthy_start_say_nothing(reason):
    objects = healthy_objects()
    pod = starting(objects)
    objects["Event"].append(pod_event(pod, reason, "any"))
    assert codes(healthy_facts(objects)) == ["DE312"]


def test_a_told_reason_can_be_ignored_alone():
    facts = healthy_facts(without_secret())
    diagnosis = diagnose(facts, ["DE313:FailedMount"])
    assert "DE313" not in [f.code for c in diagnosis.causes for f in c.findings]
    assert diagnosis.ignored == {"DE313:FailedMount"}
    assert diagnose(facts, ["DE313:FailedCreate"]).causes[0].root.code == "DE313"


# What refuses a pod


def refused(message, condition_of="Deployment"):
    objects = healthy_objects()
    workload = named(objects, "Deployment", REDIS)
    workload["status"].update(updatedReplicas=0)
    failure = condition("ReplicaFailure", reason="FailedCreate", message=message)
    failure["lastTransitionTime"] = before(30)
    workload["status"]["conditions"] = [failure]
    objects["ResourceQuota"] = [quota("none", pods="0"), quota("q", **{"limits.cpu": "1"})]
    return objects


def quota(name, **hard):
    return {"metadata": {"name": name, "namespace": SYSTEM}, "spec": {"hard": hard}}


DENIED = 'admission webhook "deny.example.org" denied the request: no'
# What the API server answers, and the subject that it names.
REFUSALS = (
    (QUOTA, f"ResourceQuota {SYSTEM}/none"),
    (
        'pods "x" is forbidden: failed quota: q: must specify limits.cpu for: c',
        f"ResourceQuota {SYSTEM}/q",
    ),
    (
        'error looking up service account default/me: serviceaccount "me" not found',
        f"ServiceAccount {SYSTEM}/me",
    ),
    ('pods "x" is forbidden: no PriorityClass with name high was found', "PriorityClass high"),
    (
        'pods "x" is forbidden: violates PodSecurity "restricted:latest": seccompProfile',
        f"Namespace {SYSTEM}",
    ),
    (DENIED, "webhook deny.example.org"),
    (
        "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
        "ValidatingAdmissionPolicy p",
    ),
    ("something that no pattern has", "redis"),
)


@covers("DE313")
@pytest.mark.parametrize(("message", "subject"), REFUSALS)
def test_who_refuses_a_pod_is_the_root(code, message, subject):
    cause = told(healthy_facts(refused(message)))
    assert (cause.root.code, str(cause.root.subject)) == (code, subject)
    assert cause.root.reason == "FailedCreate"
    assert cause.since == TAKEN - 30
    assert any(message in e.text for e in cause.root.evidence)
    assert all(map(is_command, fixes(cause.root)))


def test_a_quota_is_lifted_by_the_command():
    first, *_ = fixes(told(healthy_facts(refused(QUOTA))).root)
    assert first.endswith(
        """patch resourcequota/none --type merge -p '{"spec":{"hard":{"pods":null}}}'"""
    )


@pytest.mark.parametrize(("message", "lifted"), [
    ("exceeded quota: none, requested: limits.cpu=2, used: limits.cpu=0, limited: limits.cpu=1", '"limits.cpu":null'),
    ("failed quota: none: must specify limits.cpu for: c; requests.memory for: c",
     '"limits.cpu":null,"requests.memory":null'),
])  # fmt: skip
def test_only_what_a_quota_names_is_lifted(message, lifted):
    objects = refused(f'pods "x" is forbidden: {message}')
    hard = {"cpu": "1", "limits.cpu": "1", "memory": "1Gi", "requests.memory": "1Gi"}
    objects["ResourceQuota"] = [quota("none", **hard)]
    first, *_ = fixes(told(healthy_facts(objects)).root)
    assert first.endswith(f"""'{{"spec":{{"hard":{{{lifted}}}}}}}'""")


@pytest.mark.parametrize(("message", "overcome"), [
    (QUOTA, {"ResourceQuota": []}),
    (QUOTA, {"ResourceQuota": [quota("none")]}),
    (QUOTA, {"ResourceQuota": [quota("none", pods="10")]}),
    ('pods "x" is forbidden: failed quota: q: must specify limits.cpu for: c', {"ResourceQuota": [quota("q", pods="9")]}),
    ('pods "x" is forbidden: no PriorityClass with name high was found', {"PriorityClass": [{"metadata": {"name": "high"}}]}),
    ('error looking up service account default/me: serviceaccount "me" not found',
     {"ServiceAccount": [{"metadata": {"namespace": SYSTEM, "name": "me"}}]}),
], ids=["gone", "without limits", "raised", "of another resource", "class made", "account made"])  # fmt: skip
def test_after_a_refusal_that_is_over_the_workload_need_not_wait_for_the_next_try(
    message, overcome
):
    root = told(healthy_facts(refused(message) | overcome)).root
    assert str(root.subject) == "redis"
    (command,) = fixes(root)
    assert command.split()[-3:] == ["rollout", "restart", f"deployment/{REDIS}"]


def test_a_webhook_without_a_known_configuration_is_looked_for():
    first, *_ = fixes(told(healthy_facts(refused(DENIED))).root)
    kinds = first.split()[-1].split(",")
    assert kinds == ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"]


def test_a_refusal_that_was_overcome_says_nothing():
    objects = healthy_objects()
    workload = named(objects, "Deployment", REDIS)
    objects["Event"].append(event("Deployment", SYSTEM, REDIS, "FailedCreate", QUOTA))
    assert workload["status"]
    assert codes(healthy_facts(objects)) == []


# What a pod takes variables from


def unconfigured(message, age=60):
    objects = healthy_objects()
    reference = {"kind": "ConfigMap", "name": "m", "by": "variable A", "key": "kez"}
    pod = starting(objects, age=age, references=[reference])
    state = {"waiting": {"reason": "CreateContainerConfigError", "message": message}}
    container_status(objects, REDIS).update(state=state)
    named(objects, "Deployment", REDIS)["spec"]["template"]["spec"].update(
        references=[reference],
        containers=[{**pod["spec"]["containers"][0], "env": [{"name": "A"}]}],
    )
    settings = {"metadata": {"name": "m", "namespace": SYSTEM}, "keys": ["key"]}
    objects["ConfigMap"].append(settings)
    return objects


@covers("DE313")
def test_a_misspelt_key_is_told_of_its_config_map(code):
    message = f"couldn't find key kez in ConfigMap {SYSTEM}/m"
    cause = told(healthy_facts(unconfigured(message)))
    assert (cause.root.code, str(cause.root.subject)) == (code, f"ConfigMap {SYSTEM}/m")
    assert [f.code for f in cause.consequences][:1] == ["DE311"]
    assert '"configMapKeyRef":{"name":"m","key":"key"}' in fixes(cause.root)[0]


def test_a_key_that_came_since_is_no_fault_any_more():
    objects = unconfigured(f"couldn't find key key in ConfigMap {SYSTEM}/m")
    assert codes(healthy_facts(objects)) == ["DE312"]


def test_a_config_map_may_come_late_at_a_start():
    assert codes(healthy_facts(unconfigured(NO_CONFIG_MAP, age=5))) == ["DE312"]


def test_a_key_of_a_volume_is_found_by_the_volumes_name():
    objects = healthy_objects()
    reference = {"kind": "ConfigMap", "name": "m", "by": "volume v", "key": "kez"}
    pod = starting(objects, references=[reference])
    objects["ConfigMap"].append({"metadata": {"name": "m", "namespace": SYSTEM}, "keys": ["key"]})
    message = 'MountVolume.SetUp failed for volume "v" : references non-existent config key: kez'
    objects["Event"].append(pod_event(pod, "FailedMount", message))
    assert str(told(healthy_facts(objects)).root.subject) == f"ConfigMap {SYSTEM}/m"


# Images


def without_pull_secret(message, **node):
    objects = healthy_objects()
    reference = {"kind": "Secret", "name": "login", "by": "imagePullSecrets"}
    pod = starting(objects, references=[reference])
    state = {"waiting": {"reason": "ImagePullBackOff", "message": message}}
    container_status(objects, REDIS).update(state=state)
    text = "Unable to retrieve some image pull secrets (login); may not succeed."
    objects["Event"].append(pod_event(pod, "FailedToRetrieveImagePullSecret", text))
    return healthy_facts(objects, nodes=(healthy_node(**node),))


@covers("DE313")
def test_a_missing_pull_secret_is_the_root_where_the_pull_fails(code):
    cause = told(without_pull_secret("401 Unauthorized"))
    assert (cause.root.code, str(cause.root.subject)) == (code, f"Secret {SYSTEM}/login")
    assert "DE301" in [f.code for f in cause.consequences]
    command = fixes(cause.root)[0].split()
    assert command[5:9] == ["create", "secret", "docker-registry", "login"]


def test_a_missing_pull_secret_changes_nothing_where_the_image_is_there_and_no_registry_answers():
    assert "DE313" not in codes(without_pull_secret(NO_HOST))
    assert "DE313" in codes(without_pull_secret(NO_HOST, images=()))


def test_a_pod_that_runs_without_its_pull_secret_is_well():
    objects = healthy_objects()
    pod = pod_named(objects, REDIS)
    objects["Event"].append(pod_event(pod, "FailedToRetrieveImagePullSecret", "(login)"))
    assert codes(healthy_facts(objects)) == []


# Where a pod may run


def unscheduled(message, reason="Unschedulable", objects=None, **spec):
    objects = objects or healthy_objects()
    pod = starting(objects, **spec)
    pod["spec"]["nodeName"] = ""
    pod["status"]["containerStatuses"] = []
    since = before(30)
    set_condition(pod, "PodScheduled", reason=reason, message=message, lastTransitionTime=since)
    return objects


def claim(**event_fields):
    message = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    reference = {"kind": "PersistentVolumeClaim", "name": "c", "by": "volume v"}
    objects = unscheduled(message, references=[reference])
    spec = {"storageClassName": "nope"}
    meta = {"name": "c", "namespace": SYSTEM}
    objects["PersistentVolumeClaim"].append(
        {"metadata": meta, "spec": spec, "status": {"phase": "Pending"}}
    )
    objects["StorageClass"].append({"metadata": {"name": "standard"}})
    why = 'storageclass.storage.k8s.io "nope" not found'
    objects["Event"].append(event("PersistentVolumeClaim", SYSTEM, "c", "ProvisioningFailed", why))
    return objects


@covers("DE313")
def test_a_claim_that_is_not_bound_is_the_root_with_its_own_event(code):
    cause = told(healthy_facts(claim()))
    assert (cause.root.code, str(cause.root.subject)) == (code, f"PersistentVolumeClaim {SYSTEM}/c")
    assert cause.root.reason == "ProvisioningFailed"
    assert "DE307" in [f.code for f in cause.consequences]
    assert "replace --force" in fixes(cause.root)[0]
    assert '"storageClassName": "standard"' in fixes(cause.root)[0]


def preempted(message):
    """The objects of a pod that was preempted once, and now waits with this message."""
    objects = unscheduled(message)
    hungry = pod_of(deployment("hungry", {"app": "hungry"}))
    hungry["metadata"]["uid"] = "3f1"
    hungry["spec"]["priorityClassName"] = "first"
    objects["Pod"].append(hungry)
    victim = event("Pod", SYSTEM, f"{REDIS}-old", "Preempted", "Preempted by pod 3f1 on node n")
    objects["Event"].append({**victim, "type": "Normal"})
    return objects


@covers("DE313")
def test_a_preempting_priority_class_is_the_root(code):
    cause = told(healthy_facts(preempted("0/1 nodes are available: 1 Insufficient cpu.")))
    assert (cause.root.code, str(cause.root.subject)) == (code, "PriorityClass first")
    assert "DE307" in [f.code for f in cause.consequences]
    assert fixes(cause.root)[0].startswith("kubectl")


def test_a_preemption_of_before_is_not_why_a_node_is_not_selected():
    message = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
    assert codes(healthy_facts(preempted(message))) == ["DE307"]


def test_a_gated_pod_waits_and_does_not_lack_a_node():
    objects = unscheduled("waits for its gate", reason="SchedulingGated")
    finding = only_finding(healthy_facts(objects))
    assert (finding.code, finding.reason) == ("DE313", "SchedulingGated")


def test_a_node_name_that_no_node_has():
    objects = healthy_objects()
    pod = starting(objects, nodeName=ABSENT_NODE)
    pod["status"]["containerStatuses"] = []
    root = told(healthy_facts(objects)).root
    assert (root.code, root.reason) == ("DE313", "NodeName")
    assert str(root.subject) == f"node {ABSENT_NODE}"


@covers("DE313")
def test_a_node_under_pressure_is_the_root(code):
    objects = unscheduled("1 node(s) had untolerated taint {node.kubernetes.io/memory-pressure: }.")
    node = named(objects, "Node", NODE)
    node["spec"] = {"taints": [{"key": "node.kubernetes.io/memory-pressure"}]}
    pressure = condition("MemoryPressure", message="kubelet has insufficient memory available.")
    node["status"]["conditions"].append(pressure)
    cause = told(healthy_facts(objects))
    assert (cause.root.code, str(cause.root.subject)) == (code, f"node {NODE}")
    assert "DE307" in [f.code for f in cause.consequences]


@pytest.mark.parametrize(("message", "roots"), [
    ("0/2 nodes are available: 2 Insufficient nvidia.com/gpu.", {"DE307", "DE313"}),
    # As Kubernetes 1.34 spells it.
    ("0/2 nodes are available: 2 node(s) had untolerated taint(s).", {"DE313"}),
])  # fmt: skip
def test_a_node_under_pressure_is_blamed_only_by_the_scheduler(message, roots):
    objects = unscheduled(message)
    node = named(objects, "Node", NODE)
    node["spec"] = {"taints": [{"key": "node.kubernetes.io/pid-pressure"}]}
    node["status"]["conditions"].append(condition("PIDPressure", message="no process IDs"))
    assert {cause.root.code for cause in diagnose(healthy_facts(objects)).causes} == roots


# Probes


def killed(*, restarts=2, kill_age=30, ready=True, started=20):
    objects = healthy_objects()
    running = {"running": {"startedAt": before(started)}}
    last = {"terminated": {"reason": "Error", "exitCode": 137, "finishedAt": before(started + 1)}}
    container_status(objects, REDIS).update(
        ready=ready, restartCount=restarts, state=running, lastState=last
    )
    pod = pod_named(objects, REDIS)
    killing = "Container program failed liveness probe, will be restarted"
    failing = "Liveness probe failed: Get http://10.244.0.5:9/health: connection refused"
    recent = {"lastTimestamp": before(kill_age)}
    objects["Event"] += [
        pod_event(pod, "Unhealthy", failing, firstTimestamp=before(90), **recent),
        pod_event(pod, "Killing", killing, type="Normal", **recent),
    ]
    return objects


@covers("DE313")
@pytest.mark.parametrize("ready", [True, False])
def test_a_probe_that_kills_again_and_again_is_no_crash(code, ready):
    finding = only_finding(healthy_facts(killed(ready=ready)))
    assert (finding.code, str(finding.subject), finding.reason) == (code, "redis", "Unhealthy")
    assert finding.since == TAKEN - 90


def test_a_probe_whose_address_names_another_is_told_apart():
    objects = killed()
    for entry in objects["Event"]:
        message = entry["message"].replace("iveness probe", "tartup probe").replace("L", "S")
        entry["message"] = message.replace("/health", "/liveness").replace("failed l", "failed s")
    assert codes(healthy_facts(objects)) == ["DE313"]


def test_a_probe_on_a_wrong_port_is_corrected():
    objects = killed()
    template = named(objects, "Deployment", REDIS)["spec"]["template"]["spec"]
    template["containers"][0]["livenessProbe"] = {"httpGet": {"port": 9}}
    facts = healthy_facts(objects)
    (workload,) = (each for each in all_workloads(facts) if each.name == REDIS)
    (command,) = correct_probe(workload, template["containers"][0]["name"], "liveness")
    assert '"livenessProbe":{"httpGet":{"port":8000}}' in str(command)


def test_a_probe_of_the_profiles_own_is_put_back():
    """Envoy Gateway's uses a port that its container does not list."""
    objects = killed()
    template = named(objects, "Deployment", REDIS)["spec"]["template"]["spec"]
    template["containers"][0]["livenessProbe"] = {"httpGet": {"port": 9}}
    assert fixes(only_finding(healthy_facts(objects))) == ("devenv recover",)


@pytest.mark.parametrize(
    "changes",
    [{"restarts": 1, "kill_age": 30}, {"kill_age": 700}, {"kill_age": 91, "started": 90}],
    ids=["once", "long ago", "survived"],
)
def test_a_probe_that_killed_once_or_long_ago_says_nothing(changes):
    assert codes(healthy_facts(killed(**changes))) == []


def test_a_probe_that_kills_while_a_node_starts_says_nothing():
    facts = healthy_facts(killed())
    (node,) = facts.nodes
    started = node.model_copy(update={"started": facts.taken - 200})
    assert codes(facts.model_copy(update={"nodes": (started,)})) == []


def test_a_probe_that_fails_again_after_its_kill_needs_no_second_one():
    assert codes(healthy_facts(killed(restarts=1, kill_age=10))) == ["DE313"]


# Pods that no workload made


def with_pod(pod):
    objects = healthy_objects()
    objects["Pod"].append(pod)
    return objects


def test_a_bare_pod_that_is_ready_or_has_just_come_is_well():
    assert codes(healthy_facts(with_pod(bare_pod()))) == []
    pod = bare_pod(phase="Pending", conditions=[], containerStatuses=[])
    pod["metadata"]["creationTimestamp"] = before(30)
    assert codes(healthy_facts(with_pod(pod))) == []


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_bare_pod_that_has_ended_is_not_judged(phase):
    pod = bare_pod(phase=phase, conditions=[condition("Ready", "False")])
    assert codes(healthy_facts(with_pod(pod))) == []


def test_a_bare_pod_without_its_image_is_judged_by_itself():
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no"}}
    status = {"name": "program", "ready": False, "restartCount": 0, "state": waiting}
    pod = bare_pod(phase="Pending", conditions=[], containerStatuses=[status])
    finding = only_finding(healthy_facts(with_pod(pod)))
    assert (finding.code, str(finding.subject)) == ("DE301", f"Pod {SYSTEM}/alone")


def test_a_bare_pod_without_its_secret_hangs_below_the_secret():
    pod = bare_pod(phase="Pending", conditions=[], containerStatuses=[])
    pod["spec"]["references"] = [SECRET]
    cause = told(healthy_facts(with_pod(pod)))
    assert str(cause.root.subject) == f"Secret {SYSTEM}/key"
    assert [str(f.subject) for f in cause.consequences] == [f"Pod {SYSTEM}/alone"]


def test_the_kubelets_own_pods_are_judged_elsewhere():
    pod = bare_pod(phase="Pending", conditions=[], containerStatuses=[])
    pod["metadata"]["ownerReferences"] = [{"kind": "Node", "name": NODE}]
    assert codes(healthy_facts(with_pod(pod))) == []


@pytest.mark.parametrize(
    ("labels", "owner", "subject"),
    [
        (
            {"storm-service-name": "s"},
            {"kind": "RoleSet", "name": "s-1"},
            f"StormService {SYSTEM}/s",
        ),
        ({}, {"kind": "RayCluster", "name": "r"}, f"RayCluster {SYSTEM}/r"),
    ],
)
def test_pods_of_other_owners_are_judged_with_their_owner(labels, owner, subject):
    pod = bare_pod(phase="Pending", conditions=[], containerStatuses=[])
    pod["metadata"].update(labels=labels, ownerReferences=[owner])
    twin = copy.deepcopy(pod)
    twin["metadata"]["name"] = "twin"
    objects = with_pod(pod)
    objects["Pod"].append(twin)
    finding = only_finding(healthy_facts(objects))
    assert (finding.code, str(finding.subject)) == ("DE304", subject)


def test_a_replica_set_that_no_deployment_has_is_an_owner():
    pod = bare_pod(phase="Pending", conditions=[], containerStatuses=[])
    pod["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "r"}]
    objects = with_pod(pod)
    assert codes(healthy_facts(objects)) == [], "a look of an older devenv has no ReplicaSets"
    objects["ReplicaSet"].append({"metadata": {"name": "r", "namespace": SYSTEM}})
    assert str(only_finding(healthy_facts(objects)).subject) == f"ReplicaSet {SYSTEM}/r"


def test_a_model_that_only_a_bare_pod_serves_needs_no_profile():
    pod = bare_pod()
    facts = healthy_facts(with_pod(pod), profile=healthy_profile())
    assert findings(facts) == []
