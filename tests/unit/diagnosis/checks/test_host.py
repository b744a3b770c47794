"""DE10x: this machine and its engine."""

import pytest

from devenv import DEFAULT_CLUSTER
from devenv.diagnosis.diagnose import diagnose
from devenv.diagnosis.model import ANYTHING, Verdict
from devenv.facts.collect import ENGINE, NODES
from devenv.ports.host import Space
from tests.unit.diagnosis.covers import codes, covers, findings, is_command, only_finding
from tests.unit.diagnosis.facts_builder import DISK, healthy_facts, healthy_node
from tests.unit.diagnosis.spelled import fixes, spelled

MIB = 1 << 20
OTHER_DISK = 999 << 30
NETWORK = "kind"


@covers("DE101")
@pytest.mark.parametrize("unread", [ENGINE, NODES])
def test_an_engine_that_does_not_answer(code, unread):
    finding = only_finding(healthy_facts(unknown={unread: "no answer"}))
    assert (finding.code, finding.verdict) == (code, Verdict.FAILED)
    assert spelled(finding.affects) == {str(ANYTHING)}


@pytest.mark.parametrize(
    ("trouble", "part_of_fix"),
    [("", "devenv setup"), ("forbidden", "usermod -aG docker"), ("elsewhere", "unset DOCKER_HOST")],
)
def test_why_the_engine_does_not_answer_decides_the_fix(trouble, part_of_fix):
    facts = healthy_facts(unknown={ENGINE: "no answer"}, engine_trouble=trouble)
    assert part_of_fix in "\n".join(fixes(only_finding(facts)))


def test_something_else_that_could_not_be_read_is_not_the_engine():
    facts = healthy_facts(unknown={"inotify": "no answer"})
    assert codes(facts) == []


@covers("DE102")
@pytest.mark.parametrize(
    "space",
    [
        Space(128 * MIB - 1, OTHER_DISK, 10**6, 10**7),
        Space(50 << 30, OTHER_DISK, 999, 10**7),
    ],
    ids=["bytes", "inodes"],
)
def test_a_full_engine_disk(code, space):
    finding = only_finding(healthy_facts(engine_disk=space))
    assert (finding.code, spelled(finding.affects)) == (code, {str(ANYTHING)})
    assert fixes(finding) == ("devenv prune",)


@pytest.mark.parametrize(
    "space",
    [
        Space(128 * MIB, OTHER_DISK, 1000, 10**7),
        # A file system that counts no inodes has enough.
        Space(50 << 30, OTHER_DISK, 0, 0),
        # The nodes are on this disk: their own finding says that it is full.
        Space(0, DISK.total, 10**6, 10**7),
        None,
    ],
    ids=["just enough", "no inodes counted", "shared with the nodes", "not read"],
)
def test_an_engine_disk_that_is_not_full_or_not_the_engines_alone(space):
    assert codes(healthy_facts(engine_disk=space)) == []


@covers("DE103")
@pytest.mark.parametrize("status", ["exited", "dead"])
def test_a_taken_port(code, status):
    nodes = (healthy_node(status=status),)
    taken_port, stopped_node = findings(healthy_facts(nodes=nodes, port_owner="nginx"))
    assert (taken_port.code, str(taken_port.subject)) == (code, "port 8888")
    assert "nginx" in fixes(taken_port)[0]
    assert (spelled(taken_port.about), spelled(taken_port.affects)) == ({"port"}, {str(ANYTHING)})
    assert stopped_node.code == "DE203"


def test_the_way_out_of_a_taken_port_is_the_root_of_the_stopped_node():
    facts = healthy_facts(nodes=(healthy_node(status="exited"),), port_owner="nginx")
    (cause,) = diagnose(facts).causes
    assert (cause.root.code, [f.code for f in cause.consequences]) == ("DE103", ["DE203"])


@pytest.mark.parametrize("status", ["running", "paused"])
def test_while_a_node_has_its_port_the_owner_is_the_engine_itself(status):
    facts = healthy_facts(nodes=(healthy_node(status=status),), port_owner="docker-proxy")
    assert "DE103" not in codes(facts)


def test_without_a_cluster_a_port_may_be_anybodys():
    assert codes(healthy_facts(nodes=(), port_owner="nginx")) == ["DE106"]


@covers("DE104")
@pytest.mark.parametrize("limits", [(127, 524288), (512, 8191)])
def test_too_few_inotify_instances_or_watches(code, limits):
    finding = only_finding(healthy_facts(inotify=limits))
    assert (finding.code, str(finding.subject)) == (code, "kernel")
    assert is_command(fixes(finding)[0])


@pytest.mark.parametrize("limits", [(128, 8192), None])
def test_the_kernels_own_inotify_limits_do(limits):
    assert codes(healthy_facts(inotify=limits)) == []


@covers("DE105")
@pytest.mark.parametrize("port", [0, 40002], ids=["no context", "another cluster"])
def test_a_context_that_does_not_lead_to_the_cluster(code, port):
    finding = only_finding(healthy_facts(context_port=port))
    assert (finding.code, str(finding.subject)) == (code, "context kind-devenv")
    assert fixes(finding) == ("devenv recover",)
    assert (spelled(finding.about), spelled(finding.affects)) == ({"context"}, {"api"})


@pytest.mark.parametrize(
    "changes",
    [
        {"context_port": 40002, "api_ports": (40001, 40002)},
        {"context_port": 0, "unknown": {"context": "no kubeconfig could be read"}},
        {"context_port": 0, "context": "somebody-elses"},
    ],
    ids=["another of its nodes", "not read", "of somebody else"],
)
def test_a_context_that_leads_elsewhere_for_a_reason(changes):
    assert codes(healthy_facts(**changes)) == []


def test_no_context_is_missed_while_no_node_runs():
    facts = healthy_facts(nodes=(healthy_node(status="exited"),), context_port=0)
    assert codes(facts) == ["DE203"]


@covers("DE106")
def test_no_cluster(code):
    finding = only_finding(healthy_facts(nodes=()))
    assert (finding.code, str(finding.subject)) == (code, f"cluster {DEFAULT_CLUSTER}")
    assert (fixes(finding), spelled(finding.affects)) == (("devenv up",), {str(ANYTHING)})


@pytest.mark.parametrize("changes", [{"engine": None}, {"unknown": {NODES: "no answer"}}])
def test_nodes_that_were_not_looked_for_are_no_missing_cluster(changes):
    assert "DE106" not in codes(healthy_facts(nodes=(), **changes))


@covers("DE107")
def test_another_command_at_work(code):
    finding = only_finding(healthy_facts(changing="process 7"))
    assert (finding.code, str(finding.subject), fixes(finding)) == (code, "cluster", ())
    assert (finding.verdict, spelled(finding.affects)) == (Verdict.PROGRESS, {str(ANYTHING)})


@covers("DE107")
def test_a_frozen_holder_of_the_lock_is_harmless_and_explains_nothing(code):
    finding = only_finding(healthy_facts(frozen="process 7, for 3 h"))
    assert (finding.code, finding.verdict) == (code, Verdict.HARMLESS)
    assert spelled(finding.affects) == frozenset()


@covers("DE108")
def test_inotify_instances_used_up(code):
    finding = only_finding(healthy_facts(nodes=(healthy_node(inotify_used_up=True),)))
    assert (finding.code, str(finding.subject)) == (code, "kernel")
    assert is_command(fixes(finding)[0])


def test_two_nodes_without_inotify_instances_are_one_finding():
    nodes = [healthy_node(inotify_used_up=True), healthy_node(inotify_used_up=True)]
    assert codes(healthy_facts(nodes=nodes, inotify=None)) == ["DE108"]


@covers("DE109")
def test_a_network_that_is_gone(code):
    node = healthy_node(status="exited", missing_networks=(NETWORK,))
    (cause,) = diagnose(healthy_facts(nodes=(node,))).causes
    assert (cause.root.code, str(cause.root.subject)) == (code, f"network {NETWORK}")
    assert [effect.code for effect in cause.consequences] == ["DE203"]
    assert fixes(cause.root) == ("devenv up", "devenv recover")


def test_a_network_of_another_name_is_left_to_its_owner():
    node = healthy_node(status="exited", missing_networks=("mine",))
    (cause,) = diagnose(healthy_facts(nodes=(node,))).causes
    assert fixes(cause.root)[0] == "docker network create mine"
    assert all(map(is_command, fixes(cause.root)))
