import pytest

from devenv.gates.outlook import Outlook
from tests.unit.facts.test_revisions import deployment, pod, replica_set


class Kube:
    def __init__(self, pods, nodes=(), events=()):
        self.objects = {"Pod": list(pods), "Node": list(nodes), "Event": list(events)}
        self.objects["ReplicaSet"] = [replica_set("old", "1"), replica_set("new", "2")]

    def select(self, api_version, kind, namespace="", selector=""):
        return self.objects[kind]


def waiting(reason, message="", restarts=0, ended=None, **more):
    last = {"terminated": ended} if ended else {}
    state = {"waiting": {"reason": reason, "message": message}}
    return {
        "name": "c",
        "ready": False,
        "restartCount": restarts,
        "state": state,
        "lastState": last,
        **more,
    }


def running(restarts, ended):
    last = {"terminated": ended} if ended else {}
    return {
        "name": "c",
        "ready": False,
        "restartCount": restarts,
        "state": {"running": {}},
        "lastState": last,
    }


def with_containers(*statuses, pod_hash="new", **more):
    made = pod("p", pod_hash, uid="p1")
    made["status"] |= {"phase": "Pending", "containerStatuses": list(statuses), **more}
    return made


def unschedulable(message):
    made = pod("p", "new", uid="p1")
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
    }
    made["status"] = {"phase": "Pending", "conditions": [condition]}
    return made


def node(ready="True", **spec):
    return {
        "metadata": {"name": "n"},
        "spec": spec,
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


@pytest.fixture
def judge(fakes):
    def looks(*sequence, fresh=False, seconds=5.0, workload=None):
        """Let a fresh outlook look at one state after the other, so many seconds apart; return each verdict."""
        outlook = Outlook(sequence[0], fakes.clock, fresh=fresh)
        verdicts = []
        for kube in sequence:
            outlook.kube = kube
            verdicts.append(outlook.verdict("Deployment", workload or deployment()))
            fakes.clock.time += seconds
        return outlook, verdicts

    return looks


PANIC = {"exitCode": 2, "reason": "Error"}
OTHER = {"exitCode": 1, "reason": "Error"}
CRASH_1 = Kube([with_containers(running(0, None))]), Kube([with_containers(running(1, PANIC))])
CRASH_2 = Kube([with_containers(waiting("CrashLoopBackOff", restarts=1, ended=PANIC))])


def test_one_crash_is_no_verdict_and_two_alike_are(judge, check_message):
    _, verdicts = judge(*CRASH_1, CRASH_2)
    assert [bool(v) for v in verdicts] == [False, False, True]
    check_message(verdicts[-1])


def test_two_crashes_that_differ_are_no_verdict(judge):
    differs = Kube([with_containers(waiting("CrashLoopBackOff", restarts=1, ended=OTHER))])
    assert not any(judge(*CRASH_1, differs)[1])


def test_crashes_before_the_first_look_do_not_count(judge):
    before = Kube([with_containers(running(5, PANIC))])
    again = Kube([with_containers(waiting("CrashLoopBackOff", restarts=5, ended=PANIC))])
    twice = Kube([with_containers(waiting("CrashLoopBackOff", restarts=6, ended=PANIC))])
    assert [bool(v) for v in judge(before, again, twice)[1]] == [False, False, True]


def test_all_crashes_of_a_fresh_rollout_count(judge):
    assert judge(*CRASH_1, CRASH_2, fresh=True)[1][-1]


def test_a_crash_of_an_older_revision_does_not_count(judge):
    old = [
        with_containers(waiting("CrashLoopBackOff", restarts=n, ended=PANIC), pod_hash="old")
        for n in (4, 5)
    ]
    assert not any(judge(*(Kube([p]) for p in old), fresh=True)[1])


def test_a_container_status_that_is_unknown_is_no_verdict(judge):
    unknown = {"name": "c", "ready": False, "restartCount": 0, "state": {}}
    assert not any(judge(Kube([with_containers(unknown)]), Kube([with_containers(unknown)]))[1])


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        (
            "RunContainerError",
            'unable to start container process: exec: "/x": stat /x: no such file or directory',
        ),
        ("RunContainerError", "exec /x: exec format error"),
        ("ErrImageNeverPull", "why"),
        ("InvalidImageName", "why"),
    ],
)
def test_what_no_time_heals_is_a_verdict_at_once(judge, reason, message):
    assert reason in judge(Kube([with_containers(waiting(reason, message))]))[1][0]


@pytest.mark.parametrize(
    ("words", "verdicts"),
    [("unable to apply cgroup configuration", [False, False, True]), ("unable to freeze", [False] * 3)],
)  # fmt: skip
def test_a_runtime_that_stumbles_twice_alike_is_a_verdict_unless_it_could_not_freeze(
    judge, words, verdicts
):
    start_error = {"exitCode": 128, "reason": "StartError", "message": f"runc: {words}"}
    first, second = (
        waiting("RunContainerError", words, restarts=n, ended=start_error) for n in (0, 1)
    )
    looks = [Kube([with_containers(status)]) for status in (first, first, second)]
    assert [bool(v) for v in judge(*looks)[1]] == verdicts


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "CreateContainerError"])
def test_a_container_that_is_not_created_has_a_moment_to_come(judge, reason):
    lacking = Kube([with_containers(waiting(reason, "not yet"))])
    assert [bool(v) for v in judge(lacking, lacking, lacking)[1]] == [False, False, True]


@pytest.mark.parametrize(("attempts", "verdict"), [(1, False), (2, True)])
def test_an_image_that_can_not_be_had_is_a_verdict_after_two_attempts(judge, attempts, verdict):
    event = {
        "involvedObject": {"uid": "p1"},
        "reason": "Failed",
        "message": "Failed to pull image x",
        "count": attempts,
    }
    assert (
        bool(judge(Kube([with_containers(waiting("ImagePullBackOff"))], events=[event]))[1][0])
        is verdict
    )


def test_no_node_fits_is_a_verdict_with_the_schedulers_words(judge, check_message):
    kube = Kube(
        [unschedulable("0/1 nodes are available: 1 Insufficient cpu. preemption: none.")], [node()]
    )
    outlook, verdicts = judge(kube, kube)
    assert not verdicts[0], "the scheduler may be about to try again"
    check_message(verdicts[1])
    assert outlook.no_room


def test_a_cordoned_node_is_a_verdict_and_replacing_the_old_pod_would_not_help(judge):
    kube = Kube(
        [unschedulable("0/1 nodes are available: 1 node(s) were unschedulable.")],
        [node(unschedulable=True)],
    )
    outlook, verdicts = judge(kube, kube)
    assert verdicts[1]
    assert not outlook.no_room


@pytest.mark.parametrize(
    "becoming", [node("False"), node(taints=[{"key": "node.kubernetes.io/not-ready"}])]
)
def test_a_node_that_becomes_ready_is_waited_for(judge, becoming):
    kube = Kube([unschedulable("no")], [becoming])
    assert not any(judge(kube, kube, kube)[1])


def test_a_pod_that_ends_may_make_room(judge):
    ending = pod("q", "old", deletionTimestamp="2026-01-01T00:00:00Z")
    kube = Kube([unschedulable("no"), ending], [node()])
    assert not any(judge(kube, kube, kube)[1])


def test_a_claim_may_still_be_bound(judge):
    kube = Kube([unschedulable("pod has unbound immediate PersistentVolumeClaims")], [node()])
    assert not any(judge(kube, kube)[1])


@pytest.mark.parametrize(
    ("message", "verdict"),
    [
        ('pods "p" is forbidden: exceeded quota: q', True),
        ('admission webhook "w" denied the request: no', True),
        ('failed calling webhook "w": connection refused', False),
        ("error looking up service account n/s", False),
    ],
)
def test_a_refused_pod_is_a_verdict_unless_it_is_refused_for_now(judge, message, verdict):
    workload = deployment()
    condition = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": message,
    }
    workload["status"]["conditions"] = [condition]
    assert bool(judge(Kube([]), Kube([]), workload=workload)[1][-1]) is verdict


def at(time, ended):
    """An ending at a time of the fake clock, which begins at 1000."""
    return {**ended, "finishedAt": f"1970-01-01T00:{int(time) // 60:02}:{int(time) % 60:02}Z"}


@pytest.mark.parametrize(("fresh", "is_vain"), [(False, False), (True, True)])
def test_what_ended_before_the_first_look_ended_with_the_node(judge, fresh, is_vain):
    """The kubelet of a node that was started tells of it late: after the first look."""
    before = Kube([with_containers(running(1, None))])
    started = Kube([with_containers(running(2, at(990, PANIC)))])
    crashed = Kube(
        [with_containers(waiting("CrashLoopBackOff", restarts=2, ended=at(1006, PANIC)))]
    )
    _, verdicts = judge(before, started, crashed, fresh=fresh)
    assert bool(verdicts[-1]) is is_vain


def test_two_crashes_after_the_first_look_count(judge):
    before = Kube([with_containers(running(1, None))])
    first = Kube([with_containers(waiting("CrashLoopBackOff", restarts=1, ended=at(1003, PANIC)))])
    second = Kube([with_containers(waiting("CrashLoopBackOff", restarts=2, ended=at(1008, PANIC)))])
    _, verdicts = judge(before, first, second)
    assert [bool(verdict) for verdict in verdicts] == [False, False, True]


def test_an_init_container_that_ends_well_is_no_crash(judge):
    def look(restarts, time):
        ended = at(time, {"exitCode": 0, "reason": "Completed"})
        status = {
            "name": "i",
            "restartCount": restarts,
            "state": {"terminated": ended},
            "lastState": {"terminated": ended},
        }
        return Kube([with_containers(initContainerStatuses=[status])])

    _, verdicts = judge(look(0, 1001), look(1, 1004), look(2, 1009), fresh=True)
    assert verdicts == ["", "", ""]


def test_an_init_container_that_fails_crashes(judge, check_message):
    def look(restarts, time):
        ended = at(time, OTHER)
        status = {
            "name": "i",
            "restartCount": restarts,
            "state": {"waiting": {"reason": "x"}},
            "lastState": {"terminated": ended},
        }
        return Kube([with_containers(initContainerStatuses=[status])])

    _, verdicts = judge(look(0, 1001), look(1, 1004), fresh=True)
    check_message(verdicts[-1])
