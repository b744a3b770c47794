"""DE20x: the nodes and the API server in them."""

import pytest

from devenv.diagnosis.model import ANYTHING, Verdict
from devenv.facts.collect import API
from devenv.facts.model import ContainerLog
from devenv.ports import Space
from tests.unit.diagnosis.covers import codes, covers, is_command, only_finding
from tests.unit.diagnosis.facts_builder import (
    DISK,
    HOUR,
    NODE,
    NODE_ADDRESS,
    TAKEN,
    before,
    healthy_facts,
    healthy_node,
    healthy_objects,
    named,
    set_condition,
)

MIB = 1 << 20


def with_node(**changes):
    return healthy_facts(nodes=(healthy_node(**changes),))


def with_free(free=DISK.free, inodes=DISK.free_inodes, total_inodes=DISK.total_inodes, **changes):
    space = Space(free, DISK.total, inodes, total_inodes)
    return healthy_facts(nodes=(healthy_node(disk=space),), **changes)


@covers("DE201")
def test_a_full_disk(code):
    finding = only_finding(with_free(free=128 * MIB - 1))
    assert (finding.code, finding.subject) == (code, f"node {NODE}")
    assert finding.fix == ("devenv recover",)
    assert (finding.about, finding.affects) == ({f"node/{NODE}", "disk"}, {ANYTHING})


def test_a_full_disk_began_with_the_first_line_of_a_log_that_says_so():
    lines = [f"{before(age)} x: no space left on device" for age in (60, 600, 300)]
    log = ContainerLog(component="", namespace="", pod="p", container="c", lines=tuple(lines))
    finding = only_finding(with_free(free=0, logs=(log,)))
    assert finding.since == TAKEN - 600


@covers("DE202")
def test_no_inodes(code):
    finding = only_finding(with_free(inodes=999))
    assert (finding.code, finding.subject) == (code, f"node {NODE}")
    assert finding.fix == ("devenv recover",)


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
    assert (finding.code, finding.subject) == (code, f"node {NODE}")
    assert (finding.verdict, finding.fix) == (Verdict.FAILED, ("devenv up",))
    assert (finding.since, finding.affects) == (TAKEN - HOUR, {ANYTHING})


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
    assert (finding.code, finding.subject) == (code, "API server")
    assert (finding.about, finding.affects) == ({"api"}, {ANYTHING})
    assert all(map(is_command, finding.fix))


def test_somebody_elses_api_server_needs_no_node_to_be_missed():
    facts = healthy_facts(unknown={API: "no answer"}, context="theirs", nodes=(), engine=None)
    assert codes(facts) == ["DE204"]


def test_no_api_server_is_missed_while_no_node_runs():
    nodes = (healthy_node(status="exited"),)
    assert codes(healthy_facts(unknown={API: "no node is running"}, nodes=nodes)) == ["DE203"]


@covers("DE205")
@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_a_node_that_is_not_ready(code, status):
    objects = healthy_objects()
    since = before(600)
    set_condition(named(objects, "Node", NODE), "Ready", status, lastTransitionTime=since)
    finding = only_finding(healthy_facts(objects))
    assert (finding.code, finding.subject) == (code, f"node {NODE}")
    assert (finding.since, finding.fix) == (TAKEN - 600, ("devenv up",))


@pytest.mark.parametrize("status", ["False", "True"])
def test_other_conditions_of_a_node_say_nothing(status):
    """kind switches off what would make its DiskPressure mean something."""
    objects = healthy_objects()
    set_condition(named(objects, "Node", NODE), "DiskPressure", status)
    assert codes(healthy_facts(objects)) == []


@covers("DE206")
def test_a_node_at_another_address(code):
    finding = only_finding(with_node(address="172.18.0.3"))
    assert (finding.code, finding.subject) == (code, f"node {NODE}")
    assert (finding.about, finding.affects) == ({f"node/{NODE}"}, {ANYTHING})
    assert finding.fix == ("devenv up",)


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
