import json

import pytest

from devenv.adapters.clock import SystemClock
from devenv.base.errors import (
    DevenvError,
    ElsewhereError,
    ForbiddenError,
    NotReachableError,
    RefusedError,
    UntrustedError,
)
from devenv.facts.collect import LONG_REQUESTS, Collector, related_images, repository
from devenv.facts.looks import Looks
from devenv.facts.model import NodeFacts, WasteFacts
from devenv.ports.containers import Node
from devenv.ports.host import Holder, Space
from devenv.session import Session
from tests.unit.diagnosis.test_diagnose_incidents import read
from tests.unit.facts.test_leases import SCHEDULER, lease
from tests.unit.facts.test_node_programs import CLOSE_LOOK, LOOK


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("docker.io/library/redis:latest", "redis"),
        ("redis", "redis"),
        ("localhost:5000/a/b", "localhost:5000/a/b"),
        ("localhost:5000/a/b:c", "localhost:5000/a/b"),
        ("aibrix/x:nightly@sha256:0123", "aibrix/x"),
    ],
)
def test_a_repository_is_a_name_without_tag_and_digest(image, name):
    assert repository(image) == name


def test_of_the_engines_images_others_are_nobodys_business():
    facts = read("healthy")
    names = [
        "devenv.local/vllm-mock:elsewhere",
        "redis:7.4",
        "secret/project:1",
        "envoyproxy/gateway:v2",
    ]
    assert related_images(names, facts.profile, facts.objects) == [
        "devenv.local/vllm-mock:elsewhere", "envoyproxy/gateway:v2", "redis:7.4",
    ]  # fmt: skip


NODE = Node("n", "id", "running", "c")


def seen(waste, space):
    """What a collector tells of waste, where the node's disk is so full."""
    facts, looks = read("healthy"), Looks(SystemClock(), 5, 5)
    session = Session(
        cluster="c", profile=facts.profile, host=None, clock=None, engine=None,
        containers=None, kube=None, reporter=None,
    )  # fmt: skip
    one = Collector(session, None, None, waste=waste)
    looks.begin("engine's disk", lambda: None)
    looks.begin("node n", lambda: NodeFacts(name="n", status="running", disk=space))
    looks.begin("waste", lambda: one._waste_if_full(looks, [NODE]))
    found = one._own_waste(looks, facts.objects)
    assert looks.unknown == {}
    return found


FULL = Space(0, 20 << 30, 10**6, 10**7)


@pytest.mark.parametrize(
    ("space", "asked"),
    [
        (Space(10 << 30, 20 << 30, 10**6, 10**7), False),
        (FULL, True),
        (Space(10 << 30, 20 << 30, 9, 10**7), True),
        (None, False),
    ],
)
def test_whose_waste_it_is_is_asked_only_where_a_disk_is_full(space, asked):
    calls = []
    seen(lambda: calls.append(1) or (), space)
    assert bool(calls) is asked


def test_what_others_images_were_called_is_left_out():
    names = ["devenv.local/vllm-mock:reference", "secret/project:1", ""]
    found = seen(
        lambda: tuple(WasteFacts(place="engine", former_name=n, count=1, size=1) for n in names),
        FULL,
    )
    assert [w.former_name for w in found] == ["devenv.local/vllm-mock:reference", "", ""]


def test_waste_that_is_not_told_leaves_the_rest_as_it_is():
    def silent():
        raise DevenvError("The Docker engine does not answer.")

    assert seen(silent, FULL) == ()


class Requests:
    """Notes whether the API server could be asked for what proves a request."""

    def __init__(self):
        self.calls = []
        self.long_proofs = []

    def probe(self, requests, timeout, *, api):
        self.calls.append(api)
        return []

    def probe_long(self, requests, delay, timeout):
        self.calls.append((delay, timeout))
        return self.long_proofs


@pytest.fixture
def collector(fakes):
    """A collector of a cluster with one running node, which its context leads to."""
    fakes.kube.pods = {}
    fakes.kube.apply({"kind": "Service", "metadata": {"name": "s", "namespace": "n"}, "spec": {}})
    ports = ((6443, fakes.kube.port),)
    fakes.engine.containers["c-1"] = Node("c-1", "id", "running", "c", 0, ports)
    return Collector(
        session=fakes.session("c", read("healthy").profile),
        envoy=None,
        requests=Requests(),
    )


def test_what_answers_is_among_the_facts(collector):
    facts = collector.collect(5)
    assert facts.unknown == {}
    assert facts.one("Service", "n", "s")
    assert [(node.name, node.disk.total) for node in facts.nodes] == [("c-1", 100)]
    assert facts.api_ports == (facts.context_port,)
    assert collector.requests.calls == [True]


def test_long_requests_are_sent_only_if_they_are_asked_for(collector):
    proof = read("healthy").proofs[0]
    collector.requests.long_proofs = [proof]
    assert collector.collect(5).long_proofs == ()
    assert collector.requests.calls == [True]
    facts = collector.collect(40, long=True)
    assert (facts.long_proofs, facts.unknown) == ((proof,), {})
    ((delay, timeout),) = [call for call in collector.requests.calls if call is not True]
    assert 15 < delay < timeout


def test_where_no_mock_is_long_requests_are_unknown(collector):
    facts = collector.collect(40, long=True)
    assert facts.long_proofs == ()
    assert "mock" in facts.unknown[LONG_REQUESTS]


def test_what_envoy_logged_of_requests_is_among_the_facts(collector, fakes, monkeypatch):
    gateway = collector.session.profile.gateway
    labels = {
        "gateway.envoyproxy.io/owning-gateway-name": gateway.name,
        "gateway.envoyproxy.io/owning-gateway-namespace": gateway.namespace,
    }
    (component,) = [c for c in collector.session.profile.components if c.name == "proxy"]
    proxy = {"metadata": {"name": "proxy", "namespace": "envoy-gateway-system", "labels": labels}}
    pod = {**proxy, "status": {"phase": "Running"}}
    pairs = [(component, pod)]
    monkeypatch.setattr("devenv.facts.collect.component_pods", lambda *_: pairs)
    fakes.kube.access_log.append({"response_code": 504, "route_name": "original_route"})
    line = "2026-01-01T00:00:00Z " + json.dumps(fakes.kube.access_log[0])
    monkeypatch.setattr(fakes.kube, "logs", lambda *_, **__: line)
    (traffic,) = collector.collect(5).traffic
    assert (traffic.pod, traffic.requests, len(traffic.failed)) == ("proxy", 1, 1)


def test_a_context_that_leads_to_another_cluster_is_not_asked(collector, fakes):
    fakes.kube.port += 1
    facts = collector.collect(5)
    assert str(fakes.kube.port) in facts.unknown["API server"]
    assert facts.objects == {}
    assert collector.requests.calls == [False]


@pytest.mark.parametrize("status", ["exited", "paused", ""])
def test_a_cluster_without_a_running_node_is_not_asked(collector, fakes, status):
    """An empty status stands for a cluster without nodes."""
    fakes.engine.containers.clear()
    if status:
        fakes.engine.containers["c-1"] = Node("c-1", "id", status, "c")
    facts = collector.collect(5)
    assert facts.unknown.keys() == {"API server"}
    assert facts.objects == {}
    assert collector.requests.calls == []


@pytest.mark.parametrize(
    ("error", "trouble"),
    [(ForbiddenError, "forbidden"), (ElsewhereError, "elsewhere"), (NotReachableError, "")],
)
def test_an_engine_that_does_not_answer_is_unknown_with_its_trouble(
    collector, fakes, error, trouble
):
    fakes.engine.trouble = error("No engine.")
    facts = collector.collect(5)
    assert "engine" in facts.unknown
    assert (facts.engine, facts.engine_trouble) == (None, trouble)
    assert facts.one("Service", "n", "s"), "the API server may answer all the same"


@pytest.mark.parametrize("frozen", [False, True])
def test_who_holds_the_lock_changes_the_cluster_or_is_frozen(collector, fakes, frozen):
    fakes.host.holder = Holder("devenv up", 90.0, frozen)
    facts = collector.collect(5)
    assert ("devenv up" in facts.frozen) is frozen
    assert (facts.changing == "devenv up") is not frozen


def test_of_a_foreign_cluster_the_api_server_alone_is_asked(collector, fakes):
    fakes.kube.apply({"kind": "Node", "metadata": {"name": "w"}, "spec": {}})
    facts = collector.collect_api(5, "theirs")
    assert (facts.context, [node.name for node in facts.nodes]) == ("theirs", ["w"])
    assert facts.unknown.keys() == {"disk of w"}, "its kubelet does not answer"
    assert collector.requests.calls == []


def test_who_may_not_list_secrets_learns_less_and_nothing_is_unknown(collector, fakes, monkeypatch):
    secret = {"kind": "Secret", "metadata": {"name": "s", "namespace": "n"}, "data": {"a": "hush"}}
    fakes.kube.apply(secret)
    facts = collector.collect(5)
    assert facts.of("Secret")
    assert "hush" not in str(facts.of("Secret"))
    readable = fakes.kube.metadata

    def refused(api_version, kind):
        if kind == "Secret":
            raise DevenvError("secrets is forbidden")
        return readable(api_version, kind)

    monkeypatch.setattr(fakes.kube, "metadata", refused)
    facts = collector.collect(5)
    assert "Secret" not in facts.objects
    assert facts.unknown == {}
    assert "ServiceAccount" in facts.objects


@pytest.mark.parametrize(
    ("event", "count"),
    [
        ({"type": "Warning", "reason": "Any"}, 1),
        ({"type": "Normal", "reason": "Pulled"}, 0),
        ({"type": "Normal", "reason": "Preempted"}, 1),
        ({"type": "Normal", "reason": "Killing", "message": "Stopping container c"}, 0),
        ({"type": "Normal", "reason": "Killing", "message": "c failed liveness probe"}, 1),
    ],
)
def test_of_events_those_are_read_that_tell_of_trouble(collector, fakes, event, count):
    involved = {"involvedObject": {"kind": "Pod", "name": "p"}}
    fakes.kube.apply(
        {"kind": "Event", "metadata": {"name": "e", "namespace": "n"}, **involved, **event}
    )
    assert len(collector.collect(5).of("Event")) == count


def refused(status):
    error = RefusedError("The API server refused.", "its own words")
    error.status = status
    return error


def failing(error):
    def get(*_):
        raise error

    return get


@pytest.mark.parametrize(("error", "answer", "distrust"), [
    (refused(503), "503 its own words", False),
    (refused(403), "403 its own words", False),
    (refused(401), "401 its own words", True),
    (UntrustedError("It is another one.", "unknown authority"), "unknown authority", True),
    (NotReachableError("It does not answer.", "refused"), "", False),
])  # fmt: skip
def test_what_an_api_server_answers_is_told_from_silence(collector, fakes, error, answer, distrust):
    fakes.kube.get = failing(error)
    facts = collector.collect(5)
    assert facts.unknown["API server"] == error.in_one_line
    assert (facts.api_answer, facts.api_distrust) == (answer, distrust)


@pytest.mark.parametrize(("status", "is_asked"), [(403, True), (500, False)])
def test_few_rights_in_another_users_cluster_leave_the_rest_to_be_read(
    collector, fakes, status, is_asked
):
    fakes.kube.get = failing(refused(status))
    facts = collector.collect_api(5, "theirs")
    assert ("API server" not in facts.unknown) is is_asked
    assert bool(facts.objects) is is_asked


RUNNING = LOOK.replace("ActiveState=inactive", "ActiveState=active").replace(
    "=== end", "1 /etc/kubernetes/manifests/kube-scheduler.yaml\n=== end"
)


@pytest.fixture
def close_looks(fakes):
    """The commands of close looks so far."""
    looks, before = [], fakes.engine.exec

    def run(container, argv, stdin=None):
        if "crictl ps" in argv[-1]:
            looks.append(container)
        return before(container, argv, stdin)

    fakes.engine.exec = run
    fakes.engine.programs, fakes.engine.close_look = RUNNING, CLOSE_LOOK
    return looks


def test_a_healthy_node_is_not_looked_at_closely(collector, close_looks):
    facts = collector.collect(5)
    assert [unit.state for unit in facts.nodes[0].units] == ["active", "active"]
    assert close_looks == []


def test_a_stopped_unit_is_read_with_its_journal(collector, fakes, close_looks):
    fakes.engine.programs = RUNNING.replace("ActiveState=active", "ActiveState=failed", 1)
    assert collector.collect(5).nodes[0].units[0].lines
    assert len(close_looks) == 1


def test_a_silent_api_server_is_asked_about_in_its_node(collector, fakes, close_looks):
    fakes.kube.get = failing(NotReachableError("It does not answer."))
    assert collector.collect(5).nodes[0].static_pods[1].state == "exited"


def test_an_expired_lease_calls_for_a_close_look(collector, fakes, close_looks):
    leases = [lease(SCHEDULER, 1), lease("n", 90)]
    before = fakes.kube.select
    fakes.kube.select = lambda a, kind, *b: leases if kind == "Lease" else before(a, kind, *b)
    collector.collect(5)
    assert len(close_looks) == 1


def test_a_close_look_that_fails_hides_nothing(collector, fakes, close_looks):
    fakes.engine.programs = RUNNING.replace("ActiveState=active", "ActiveState=failed", 1)
    before = fakes.engine.exec

    def run(container, argv, stdin=None):
        if "crictl ps" in argv[-1]:
            raise DevenvError("The node is gone.")
        return before(container, argv, stdin)

    fakes.engine.exec = run
    facts = collector.collect(5)
    assert facts.nodes[0].units[0].state == "failed"
    assert not [name for name in facts.unknown if "programs" in name]
