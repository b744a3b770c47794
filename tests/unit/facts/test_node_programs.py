"""What a node prints of its units and of its control plane. Recorded on a kind node, then cut."""

import pytest

from devenv.facts.model import StaticPodFacts, UnitFacts
from devenv.facts.node_programs import (
    STATIC_PODS,
    clock_of,
    rewriting_command,
    static_pods_in,
    units_in,
    was_edited,
    with_containers,
    with_journals,
)

# 2026-11-29 18:40:00 UTC
NOON = 1795977600
STOPPED = "Stopped kubelet.service."
LAST_TIME, LAST_WORDS = "2026-11-29T18:38:01.900000000Z", "Error: unknown flag: --odd"
LOOK = f"""0.50 0.40 0.30 2/800 1234
MemTotal:       1000 kB
MemAvailable:   500 kB

=== time
{NOON}
=== units
Id=kubelet.service
ActiveState=inactive
SubState=dead
Result=success
NRestarts=2
ExecMainStatus=0
ActiveEnterTimestamp=Sun 2026-11-29 18:00:00 UTC
InactiveEnterTimestamp=Sun 2026-11-29 18:39:00 UTC

NRestarts=0
ExecMainStatus=0
Result=success
Id=containerd.service
ActiveState=active
SubState=running
ActiveEnterTimestamp=Sun 2026-11-29 18:00:00 UTC
InactiveEnterTimestamp=
=== files
{NOON - 3000} /kind/kubeadm.conf
{NOON - 2990} /etc/kubernetes/pki/etcd
{NOON - 2980} /etc/kubernetes/admin.conf
{NOON - 2980} /etc/kubernetes/controller-manager.conf
{NOON - 2980} /etc/kubernetes/scheduler.conf
{NOON - 50} /etc/kubernetes/manifests
{NOON - 2980} /etc/kubernetes/manifests/etcd.yaml
{NOON - 60} /etc/kubernetes/manifests/kube-apiserver.yaml
{NOON - 2970} /etc/kubernetes/manifests/kube-controller-manager.yaml
=== end
tail: inotify cannot be used, reverting to polling: Too many open files
"""
CLOSE_LOOK = f"""=== journal kubelet
2026-11-29T18:39:00+0000 n kubelet[244]: I1129 watching
2026-11-29T18:39:01+0000 n systemd[1]: {STOPPED}
=== journal containerd
=== containers
listed
kube-apiserver 4 CONTAINER_EXITED 1 2026-11-29T18:38:00.123456789Z 2026-11-29T18:38:01.987654321Z
kube-apiserver 3 CONTAINER_EXITED 2 2026-11-29T18:37:00Z 2026-11-29T18:37:01Z
etcd 0 CONTAINER_RUNNING 0 2026-11-29T18:00:00.1Z 0001-01-01T00:00:00Z
=== health
kube-apiserver 7
etcd 28
=== log etcd
=== log kube-apiserver
{LAST_TIME} stderr F {LAST_WORDS}
a line of no log
=== log kube-controller-manager
=== log kube-scheduler
=== end
"""


def test_units():
    units = units_in(LOOK)
    assert units == (
        UnitFacts(
            name="kubelet",
            state="inactive",
            detail="dead",
            result="success",
            restarts=2,
            since=NOON - 60,
        ),
        UnitFacts(
            name="containerd",
            state="active",
            detail="running",
            result="success",
            since=NOON - 2400,
        ),
    )


def test_static_pods_with_and_without_manifests():
    pods = {pod.name: pod for pod in static_pods_in(LOOK)}
    assert list(pods) == list(STATIC_PODS)
    assert [name for name, pod in pods.items() if not pod.manifest] == ["kube-scheduler"]
    assert pods["kube-scheduler"].changed == NOON - 50
    assert {pod.configured for pod in pods.values()} == {NOON - 2980}
    assert [name for name, pod in pods.items() if was_edited(pod)] == ["kube-apiserver"]


def test_a_worker_has_no_static_pods():
    worker = f"\n=== files\n{NOON} /kind/kubeadm.conf\n{NOON} /etc/kubernetes/manifests\n=== end\n"
    assert static_pods_in(worker) == ()


@pytest.mark.parametrize("output", ["", "sh: systemctl: not found", "\n=== time\nodd\n=== units\n"])
def test_a_node_that_does_not_tell(output):
    assert (units_in(output), static_pods_in(output), clock_of(output)) == ((), (), None)


def test_the_time():
    assert clock_of(LOOK) == NOON


def test_journals():
    kubelet, containerd = with_journals(units_in(LOOK), CLOSE_LOOK)
    assert [line.partition("]: ")[2] for line in kubelet.lines] == [
        "I1129 watching",
        STOPPED,
    ]
    assert containerd.lines == ()


def test_the_newest_container_of_each_static_pod():
    pods = {pod.name: pod for pod in with_containers(static_pods_in(LOOK), CLOSE_LOOK)}
    server = pods["kube-apiserver"]
    assert (server.state, server.exit_code, server.restarts) == ("exited", 1, 4)
    assert (server.started, server.ended) == (NOON - 120, NOON - 119)
    assert server.lines == (f"{LAST_TIME} {LAST_WORDS}",)
    assert (pods["etcd"].state, pods["etcd"].ended) == ("running", 0)
    assert pods["kube-scheduler"].state == ""


@pytest.mark.parametrize(("curl_code", "answers"), [(28, False), (0, True), (7, None)])
def test_a_program_that_tells_its_health_in_time_answers(curl_code, answers):
    output = CLOSE_LOOK.replace("etcd 28", f"etcd {curl_code}")
    pods = {pod.name: pod.answers for pod in with_containers(static_pods_in(LOOK), output)}
    assert (pods["etcd"], pods["kube-apiserver"]) == (answers, None)
    assert pods["kube-scheduler"] is None


def test_without_containerd_no_container_is_said_to_be_missing():
    silent = (
        CLOSE_LOOK.replace("listed\n", "").replace("kube-apiserver 4", "").replace("etcd 0", "")
    )
    silent = silent.replace("kube-apiserver 3", "")
    states = {pod.state for pod in with_containers(static_pods_in(LOOK), silent)}
    assert states == {None}


def test_each_static_pod_has_a_command_that_writes_its_manifest():
    for name in STATIC_PODS:
        assert rewriting_command(name)[:3] == ("kubeadm", "init", "phase")


def test_older_facts_have_neither():
    assert StaticPodFacts(name="etcd").state is None
