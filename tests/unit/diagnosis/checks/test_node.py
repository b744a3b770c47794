"""DE20x: the nodes and the API server in them."""

import copy

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.diagnosis.model import ANYTHING, Verdict
from devenv.facts.collect import API
from devenv.facts.model import ContainerLog, StaticPodFacts
from devenv.ports.host import Space
from tests.unit.diagnosis.covers import codes, covers, findings, is_command, only_finding
from tests.unit.diagnosis.facts_builder import (
    DISK,
    HOUR,
    NODE,
    NODE_ADDRESS,
    PLUGINS,
    REDIS,
    SERVER,
    TAKEN,
    before,
    healthy_facts,
    healthy_node,
    healthy_objects,
    named,
    pod_named,
    set_condition,
)
from tests.unit.diagnosis.spelled import fixes, spelled

MIB = 1 << 20
CLUSTER = NODE.removesuffix("-control-plane")


def with_node(**changes):
    return healthy_facts(nodes=(healthy_node(**changes),))


def with_free(free=DISK.free, inodes=DISK.free_inodes, total_inodes=DISK.total_inodes, **changes):
    space = Space(free, DISK.total, inodes, total_inodes)
    return healthy_facts(nodes=(healthy_node(disk=space),), **changes)


@covers("DE201")
def test_a_full_disk(code):
    finding = only_finding(with_free(free=128 * MIB - 1))
    assert (finding.code, str(finding.subject)) == (code, f"node {NODE}")
    assert fixes(finding) == ("devenv recover",)
    assert (spelled(finding.about), spelled(finding.affects)) == (
        {f"node/{NODE}", "disk"},
        {str(ANYTHING)},
    )


def test_a_full_disk_began_with_the_first_line_of_a_log_that_says_so():
    lines = [f"{before(age)} x: no space left on device" for age in (60, 600, 300)]
    log = ContainerLog(component="", namespace="", pod="p", container="c", lines=tuple(lines))
    finding = only_finding(with_free(free=0, logs=(log,)))
    assert finding.since == TAKEN - 600


@covers("DE202")
def test_no_inodes(code):
    finding = only_finding(with_free(inodes=999))
    assert (finding.code, str(finding.subject)) == (code, f"node {NODE}")
    assert fixes(finding) == ("devenv recover",)


def test_neither_bytes_nor_inodes_are_two_findings():
    assert codes(with_free(free=0, inodes=0)) == ["DE201", "DE202"]


@pytest.mark.parametrize(
    "space",
    [
        {"free": 128 * MIB, "inodes": 1000},
        # Some file systems count no inodes.
        {"inodes": 0, "total_inodes": 0},
    ],
)
def test_a_disk_with_just_enough(space):
    assert codes(with_free(**space)) == []


def test_a_disk_that_was_not_read_is_not_said_to_be_full():
    assert codes(with_node(disk=None)) == []


def test_a_full_disk_in_a_log_alone_is_no_full_disk():
    line = f"{before(60)} x: no space left on device"
    log = ContainerLog(component="", namespace="", pod="p", container="c", lines=(line,))
    assert codes(healthy_facts(logs=(log,))) == []


@covers("DE203")
@pytest.mark.parametrize("status", ["exited", "paused", "created", "dead"])
def test_a_node_that_does_not_run(code, status):
    finding = only_finding(with_node(status=status, ended=TAKEN - HOUR))
    assert (finding.code, str(finding.subject)) == (code, f"node {NODE}")
    assert (finding.verdict, fixes(finding)) == (Verdict.FAILED, ("devenv up",))
    assert (finding.since, spelled(finding.affects)) == (TAKEN - HOUR, {str(ANYTHING)})


@pytest.mark.parametrize(
    ("status", "ended", "stopped", "is_by_command"),
    [
        ("exited", TAKEN - 300, TAKEN - 299, True),
        ("exited", TAKEN - 300, 0.0, False),
        # It was started again otherwise, and ended again.
        ("exited", TAKEN - 300, TAKEN - 9000, False),
        ("paused", TAKEN - 300, TAKEN - 299, False),
    ],
)
def test_the_users_own_stop_is_named(status, ended, stopped, is_by_command):
    nodes = (healthy_node(status=status, ended=ended),)
    says = only_finding(healthy_facts(nodes=nodes, stopped=stopped)).says
    assert ("`devenv stop`" in says) is is_by_command


@covers("DE204")
def test_an_api_server_that_does_not_answer(code):
    finding = only_finding(healthy_facts(unknown={API: "no answer"}))
    assert (finding.code, str(finding.subject)) == (code, "API server")
    assert (spelled(finding.about), spelled(finding.affects)) == ({"api"}, {str(ANYTHING)})
    assert all(map(is_command, fixes(finding)))


ANSWER = "500 etcdserver: request timed out"
LAST_WORDS = "context deadline exceeded"


def test_an_api_server_that_answers_with_an_error_is_not_said_to_be_silent():
    finding = only_finding(healthy_facts(unknown={API: "refused"}, api_answer=ANSWER))
    assert finding.code == "DE204"
    assert ANSWER in finding.says
    assert finding.evidence[0].text == ANSWER
    assert fixes(finding) == (f"kubectl --context kind-{CLUSTER} get --raw /readyz?verbose",)


def test_an_api_server_that_does_not_know_the_user_gets_other_credentials():
    facts = healthy_facts(
        unknown={API: "refused"}, api_answer="401 Unauthorized", api_distrust=True
    )
    finding = only_finding(facts)
    assert fixes(finding) == ("devenv recover", "devenv up")
    assert f"kubeconfig/kind-{CLUSTER}" in spelled(finding.about)


def test_a_silent_api_server_that_runs_is_shown_with_its_last_words():
    lines = (f"{before(5)} {LAST_WORDS}",)
    pod = StaticPodFacts(name="kube-apiserver", state="running", started=TAKEN - HOUR, lines=lines)
    nodes = (healthy_node(static_pods=(pod,)),)
    finding = only_finding(healthy_facts(nodes=nodes, unknown={API: "no answer"}))
    assert LAST_WORDS in [e.text for e in finding.evidence]
    assert finding.since == 0


@covers("DE210")
@pytest.mark.parametrize("lead", [7200.0, -7200.0])
def test_a_clock_that_is_off(code, lead):
    finding = only_finding(with_node(clock_lead=lead))
    assert (finding.code, str(finding.subject)) == (code, f"node {NODE}")


@pytest.mark.parametrize("lead", [60.0, -60.0, None])
def test_a_clock_that_is_right(lead):
    assert codes(with_node(clock_lead=lead)) == []


def test_somebody_elses_api_server_needs_no_node_to_be_missed():
    facts = healthy_facts(unknown={API: "no answer"}, context="theirs", nodes=(), engine=None)
    assert codes(facts) == ["DE204"]


def test_no_api_server_is_missed_while_no_node_runs():
    nodes = (healthy_node(status="exited"),)
    facts = healthy_facts(unknown={API: "no node is running"}, nodes=nodes)
    assert codes(facts) == ["DE203"]


@covers("DE205")
@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_a_node_that_is_not_ready(code, status):
    objects = healthy_objects()
    since = before(600)
    set_condition(named(objects, "Node", NODE), "Ready", status, lastTransitionTime=since)
    finding = only_finding(healthy_facts(objects))
    assert (finding.code, str(finding.subject)) == (code, f"node {NODE}")
    assert (finding.since, fixes(finding)) == (TAKEN - 600, ("devenv up",))


def test_a_node_that_reports_no_pressure_is_well():
    objects = healthy_objects()
    set_condition(named(objects, "Node", NODE), "DiskPressure", "False")
    assert codes(healthy_facts(objects)) == []


@covers("DE211")
def test_a_cordoned_node_is_one_root_with_all_that_wait(code):
    objects = healthy_objects()
    named(objects, "Node", NODE)["spec"] = {"unschedulable": True}
    message = "0/1 nodes are available: 1 node(s) were unschedulable. preemption: 0/1 nodes."
    for name in (PLUGINS, SERVER, REDIS):
        since = {"reason": "Unschedulable", "lastTransitionTime": before(60)}
        pod = pod_named(objects, name)
        set_condition(pod, "PodScheduled", message=message, **since)
        set_condition(pod, "Ready")
        pod["status"]["containerStatuses"] = []
    (cause,) = diagnose(healthy_facts(objects)).causes
    assert (cause.root.code, str(cause.root.subject)) == (code, f"node {NODE}")
    assert [f.code for f in cause.consequences].count("DE307") == 3
    assert fixes(cause.root) == (f"kubectl --context kind-devenv uncordon {NODE}",)
    assert cause.since == TAKEN - 60


@covers("DE211")
def test_a_cordoned_node_is_harmless_beside_another(code):
    objects = healthy_objects()
    objects["Node"].append(copy.deepcopy(named(objects, "Node", NODE)))
    objects["Node"][1]["metadata"]["name"] = "other"
    objects["Node"][1]["spec"] = {"unschedulable": True}
    (finding,) = findings(healthy_facts(objects))
    assert (finding.code, finding.verdict) == (code, Verdict.HARMLESS)
    del objects["Node"][0]
    (finding,) = findings(healthy_facts(objects))
    assert finding.verdict is Verdict.FAILED


@covers("DE206")
def test_a_node_at_another_address(code):
    finding = only_finding(with_node(address="172.18.0.3"))
    assert (finding.code, str(finding.subject)) == (code, f"node {NODE}")
    assert (spelled(finding.about), spelled(finding.affects)) == ({f"node/{NODE}"}, {str(ANYTHING)})
    assert fixes(finding) == ("devenv up",)


def test_an_address_that_was_not_read_is_not_another():
    assert codes(with_node(address="")) == []


def test_a_nodes_second_address_is_its_own():
    objects = healthy_objects()
    second = {"type": "InternalIP", "address": "fc00::2"}
    named(objects, "Node", NODE)["status"]["addresses"].append(second)
    nodes = (healthy_node(address="fc00::2"),)
    assert codes(healthy_facts(objects, nodes=nodes)) == []


def test_only_an_internal_address_counts():
    objects = healthy_objects()
    addresses = named(objects, "Node", NODE)["status"]["addresses"]
    addresses[:] = [{"type": "Hostname", "address": NODE_ADDRESS}]
    assert codes(healthy_facts(objects, nodes=(healthy_node(address="172.18.0.3"),))) == []
