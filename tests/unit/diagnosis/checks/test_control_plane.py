"""DE207 to DE209: the control plane's parts, the kubelet and containerd."""

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.diagnosis.model import ANYTHING, Confidence, Verdict
from devenv.facts.collect import API
from devenv.facts.leases import LEADERS
from devenv.facts.model import StaticPodFacts, UnitFacts
from devenv.facts.node_programs import STATIC_PODS
from tests.unit.diagnosis.covers import codes, covers, findings, is_command, only_finding
from tests.unit.diagnosis.facts_builder import (
    HOUR,
    MANAGER,
    NODE,
    SERVER,
    TAKEN,
    before,
    healthy_facts,
    healthy_node,
    healthy_objects,
    lease,
    named,
    pod_named,
    remove,
)
from tests.unit.diagnosis.spelled import fixes, spelled

CONTROLLERS, SCHEDULER, ETCD, SERVER_PART = (
    "kube-controller-manager", "kube-scheduler", "etcd", "kube-apiserver",
)  # fmt: skip
UNITS = ("kubelet", "containerd")
# What programs and systemd log.
LAST_WORDS = "Error: unknown flag: --odd"
NO_CONFIG, UNIT_FAILED = "Error: no config", "kubelet: Failed"


def static_pods(changed=None, **states):
    """All four, an hour old; `states` by name with underscores are fields that differ."""
    pods = []
    for name in STATIC_PODS:
        fields = {"changed": TAKEN - HOUR, "configured": TAKEN - HOUR, "started": TAKEN - HOUR}
        pods.append(
            StaticPodFacts(name=name, **{**fields, **states.get(name.replace("-", "_"), {})})
        )
    return tuple(pods)


def units(**fields):
    """Return both units, active; `fields` by name differ."""
    active = {"state": "active", "since": TAKEN - HOUR}
    return tuple(UnitFacts(name=name, **{**active, **fields.get(name, {})}) for name in UNITS)


def with_node(objects=None, unknown=None, **changes):
    return healthy_facts(objects, nodes=(healthy_node(**changes),), unknown=unknown or {})


def with_leases(age, *leaders):
    """Healthy objects whose leaders have renewed their leases `age` seconds ago."""
    objects = healthy_objects()
    for name in leaders:
        entry = lease(name, "kube-system", "x")
        entry["spec"] |= {"renewTime": before(age), "leaseDurationSeconds": 15}
        objects["Lease"].append(entry)
    return objects


def test_what_runs_is_no_finding():
    running = {name.replace("-", "_"): {"state": "running"} for name in STATIC_PODS}
    facts = with_node(with_leases(2, *LEADERS), static_pods=static_pods(**running), units=units())
    assert codes(facts) == []


MOVED = {"manifest": False, "changed": TAKEN - 300}


@covers("DE207")
@pytest.mark.parametrize("name", LEADERS)
def test_a_manifest_was_moved_away(code, name):
    pods = static_pods(**{name.replace("-", "_"): MOVED})
    finding = only_finding(with_node(with_leases(290, name), static_pods=pods))
    assert (finding.code, str(finding.subject), finding.since) == (code, name, TAKEN - 300)
    assert finding.verdict is Verdict.FAILED
    assert fixes(finding)[0] == "devenv recover"
    command = fixes(finding)[1].split()
    assert command[:6] == ["docker", "exec", NODE, "kubeadm", "init", "phase"]
    assert f"static pod/{NODE}/{name}" in spelled(finding.about)


def test_the_manifest_counts_before_the_lease_has_run_out():
    pods = static_pods(kube_scheduler=MOVED)
    assert codes(with_node(with_leases(3, SCHEDULER), static_pods=pods)) == ["DE207"]


def test_a_container_that_ended_tells_its_last_words():
    exited = {
        "state": "exited",
        "exit_code": 1,
        "restarts": 5,
        "ended": TAKEN - 10,
        "changed": TAKEN - 200,
        "lines": (f"{before(11)} starting", f"{before(10)} {LAST_WORDS}"),
    }
    facts = with_node(unknown={API: "no answer"}, static_pods=static_pods(kube_apiserver=exited))
    root, silent = findings(facts)[1], findings(facts)[0]
    assert [silent.code, root.code, str(root.subject)] == ["DE204", "DE207", SERVER_PART]
    assert LAST_WORDS in [e.text for e in root.evidence]
    assert root.since == TAKEN - 200
    (cause,) = diagnose(facts).causes
    assert (cause.root.code, [f.code for f in cause.consequences]) == ("DE207", ["DE204"])
    assert fixes(root)[0] == "devenv recover"


def test_a_part_that_ends_with_its_own_manifest_is_not_said_to_be_repaired_by_devenv():
    exited = {"state": "exited", "exit_code": 1}
    finding = only_finding(with_node(static_pods=static_pods(kube_scheduler=exited)))
    assert all(map(is_command, fixes(finding)))
    assert not any("devenv" in fix for fix in fixes(finding) if not fix.startswith("docker"))


def test_etcd_is_the_root_of_what_needs_it():
    exited = {"state": "exited", "exit_code": 1}
    names = (SERVER_PART, *LEADERS)
    states = {name.replace("-", "_"): exited for name in names}
    pods = static_pods(etcd={"manifest": False, "changed": TAKEN - 90}, **states)
    (cause,) = diagnose(with_node(unknown={API: "no answer"}, static_pods=pods)).causes
    assert (cause.root.code, str(cause.root.subject)) == ("DE207", ETCD)


HANGING = {"state": "running", "answers": False, "lines": (f"{before(900)} health OK",)}
NO_ANSWER = {API: "no answer"}


@pytest.mark.parametrize(("name", "hanging"), [
    (ETCD, {"etcd": HANGING, "kube_apiserver": HANGING}),
    (SERVER_PART, {"kube_apiserver": HANGING, "etcd": {**HANGING, "answers": True}}),
])  # fmt: skip
def test_what_runs_and_does_not_answer_is_the_root(name, hanging):
    facts = with_node(unknown=NO_ANSWER, static_pods=static_pods(**hanging))
    (cause,) = diagnose(facts).causes
    assert (cause.root.code, str(cause.root.subject)) == ("DE207", name)
    assert fixes(cause.root) == (f"docker exec {NODE} pkill --signal=KILL --full ^{name}",)
    assert cause.root.since == 0


def test_what_hangs_while_the_api_server_answers_is_only_slow():
    assert codes(with_node(static_pods=static_pods(etcd=HANGING))) == []


def test_two_parts_without_manifests_are_two_roots():
    pods = static_pods(kube_scheduler=MOVED, kube_controller_manager=MOVED)
    roots = [str(c.root.subject) for c in diagnose(with_node(static_pods=pods)).causes]
    assert roots == list(LEADERS)


@pytest.mark.parametrize(("age", "verdict"), [(30, Verdict.PROGRESS), (90, Verdict.FAILED)])
def test_what_has_just_started_is_in_progress(age, verdict):
    pods = static_pods(kube_scheduler={"state": ""})
    node = {"static_pods": pods, "started": TAKEN - age}
    assert only_finding(with_node(**node)).verdict is verdict


@pytest.mark.parametrize("name", LEADERS)
def test_a_leader_that_runs_and_does_not_lead(name):
    state = {"state": "running", "lines": (f"{before(900)} leads",)}
    pods = static_pods(**{name.replace("-", "_"): state})
    finding = only_finding(with_node(with_leases(120, name), static_pods=pods))
    assert (finding.code, str(finding.subject), finding.since) == ("DE207", name, TAKEN - 120)
    assert fixes(finding) == (f"docker exec {NODE} pkill --signal=KILL --full ^{name}",)


def test_without_a_look_at_the_node_the_lease_tells():
    finding = only_finding(healthy_facts(with_leases(120, SCHEDULER), context="theirs"))
    assert (finding.code, str(finding.subject)) == ("DE207", SCHEDULER)


def test_a_rollout_that_no_controller_sees_follows():
    objects = with_leases(120, CONTROLLERS)
    named(objects, "Deployment", SERVER)["metadata"]["generation"] = 2
    (cause,) = diagnose(with_node(objects)).causes
    assert cause.root.code == "DE207"
    assert {f.code for f in cause.consequences} & {"DE304", "DE312"}


def test_a_fault_that_needs_no_controller_is_a_root_beside_it():
    objects = with_leases(120, CONTROLLERS)
    remove(objects, "ReferenceGrant", "aibrix-grant")
    roots = [cause.root.code for cause in diagnose(with_node(objects)).causes]
    assert len(roots) == 2


def test_pods_that_no_scheduler_sees_follow():
    objects = with_leases(120, SCHEDULER)
    pod = pod_named(objects, SERVER)
    pod["spec"]["nodeName"] = ""
    pod["status"] = {"phase": "Pending"}
    named(objects, "Deployment", SERVER)["status"]["availableReplicas"] = 0
    (cause,) = diagnose(with_node(objects)).causes
    assert cause.root.code == "DE207"
    assert {f.code for f in cause.consequences} & {"DE304", "DE312"}


@pytest.mark.parametrize(("age", "expected"), [(10, []), (40, ["DE207"])])
def test_without_a_lease_new_objects_tell(age, expected):
    objects = healthy_objects()
    pod = pod_named(objects, MANAGER)
    pod["metadata"]["creationTimestamp"] = before(age)
    pod["spec"]["nodeName"] = ""
    del pod["status"]["conditions"]
    found = [f for f in findings(healthy_facts(objects)) if f.code == "DE207"]
    assert [f.code for f in found] == expected
    assert all(f.confidence is Confidence.LIKELY for f in found)


STOPPED = {"state": "inactive", "detail": "dead", "result": "success", "since": TAKEN - 100}


def unit_and_node(finding):
    return str(finding.subject).partition(" in ")[::2]


@covers("DE208")
def test_a_kubelet_that_was_stopped(code):
    lines = tuple(f"{before(100)} n systemd[1]: line {number}" for number in range(5))
    node = {"units": units(kubelet={**STOPPED, "lines": lines})}
    finding = only_finding(with_node(**node))
    assert (finding.code, unit_and_node(finding)) == (code, ("kubelet", NODE))
    assert (finding.since, spelled(finding.affects)) == (TAKEN - 100, {str(ANYTHING)})
    assert fixes(finding) == (
        "devenv recover",
        "devenv up",
        f"docker exec {NODE} systemctl start kubelet",
    )
    assert [e.text for e in finding.evidence][1:] == ["line 2", "line 3", "line 4"]


def test_a_kubelet_that_fails_again_and_again_says_why():
    lines = (f"t n kubelet[9]: {NO_CONFIG}", f"t n systemd[1]: {UNIT_FAILED}", "t n systemd[1]: a", "t n systemd[1]: b", "t n systemd[1]: c")  # fmt: skip
    failing = {"state": "activating", "result": "exit-code", "exit_code": 1, "lines": lines}
    finding = only_finding(with_node(units=units(kubelet=failing)))
    assert finding.evidence[1].text in {NO_CONFIG, UNIT_FAILED}


@covers("DE209")
def test_a_containerd_that_was_stopped(code):
    finding = only_finding(with_node(units=units(containerd=STOPPED), images=None))
    assert (finding.code, unit_and_node(finding)) == (code, ("containerd", NODE))


def test_a_node_that_has_just_started_still_starts_its_units():
    node = {"units": units(kubelet={"state": "inactive"}), "started": TAKEN - 5}
    assert only_finding(with_node(**node)).verdict is Verdict.PROGRESS


def test_what_a_stopped_unit_brings_down_follows():
    exited = {"state": "exited", "exit_code": 255}
    node = {
        "units": units(kubelet=STOPPED, containerd=STOPPED),
        "static_pods": static_pods(etcd=exited),
    }
    (cause,) = diagnose(with_node(unknown={API: "no answer"}, **node)).causes
    assert (cause.root.code, [f.code for f in cause.consequences]) == (
        "DE209",
        ["DE204", "DE207", "DE208"],
    )
