"""Repairs beneath Kubernetes, on fakes: which commands run in a node, and what is waited for."""

import pytest

from devenv.base.errors import DevenvError
from devenv.cluster.node_repair import NodeRepair
from devenv.facts.node_programs import CLOSE_LOOK, LOOK
from devenv.ports.containers import Node
from devenv.ports.processes import Completed
from tests.unit.facts import test_node_programs
from tests.unit.facts.test_leases import MANAGER, SCHEDULER, lease

NODE = Node("c-control-plane", "id", "running", "c")
HEALTHY = test_node_programs.LOOK.replace("ActiveState=inactive", "ActiveState=active")
HEALTHY = HEALTHY.replace("=== end", "1 /etc/kubernetes/manifests/kube-scheduler.yaml\n=== end")
STOPPED = HEALTHY.replace("ActiveState=active", "ActiveState=inactive", 1)
MOVED = HEALTHY.replace("1 /etc/kubernetes/manifests/kube-scheduler.yaml\n", "")

# What kubeadm prints.
REFUSAL = "no such file"


class Inside:
    """A node whose unit runs once it is started, and whose scheduler leads once it has a manifest."""

    def __init__(self, fakes, look):
        self.fakes, self.look, self.commands = fakes, look, []
        self.starts, self.refuses, self.close_look = True, False, ""
        fakes.engine.exec = self.exec
        fakes.engine.state = lambda _: type("State", (), {"started": 0.0})
        fakes.kube.up = True
        self.renew(1)

    def renew(self, second):
        leases = (lease(MANAGER, second), lease(SCHEDULER, second))
        self.fakes.kube.select = lambda _, kind, *__: list(leases) if kind == "Lease" else []

    def exec(self, container, argv, stdin=None):
        words = " ".join(argv)
        if CLOSE_LOOK in words:
            return Completed(0, self.close_look)
        if LOOK in words:
            return Completed(0, self.look)
        self.commands.append(words)
        if "is-active" in words:
            return Completed(0, "active\n" if self.starts else "failed\n")
        if words.startswith("kubeadm"):
            self.look = HEALTHY
            self.renew(50)
            return Completed(1 if self.refuses else 0, REFUSAL)
        if "systemctl start" in words:
            self.renew(50)
        return Completed(0, "")


def repair(fakes):
    return NodeRepair(fakes.session("c"))


def test_a_healthy_node_is_left_alone(fakes):
    inside = Inside(fakes, HEALTHY)
    assert repair(fakes).run([NODE]) is False
    assert inside.commands == []


def test_a_stopped_unit_is_started(fakes):
    inside = Inside(fakes, STOPPED)
    assert repair(fakes).run([NODE]) is True
    assert inside.commands[0].endswith("systemctl start kubelet")


def test_a_unit_of_a_node_that_has_just_started_is_left_to_systemd(fakes):
    inside = Inside(fakes, STOPPED)
    fakes.engine.state = lambda _: type("State", (), {"started": fakes.clock.now() - 5})
    assert repair(fakes).run([NODE]) is False
    assert inside.commands == []


def test_a_unit_that_ends_again_is_told_with_its_journal(fakes):
    inside = Inside(fakes, STOPPED)
    inside.starts = False
    with pytest.raises(DevenvError) as caught:
        repair(fakes).run([NODE])
    assert "journalctl --unit=kubelet" in caught.value.next_step


def test_a_missing_manifest_is_written_and_its_leader_awaited(fakes):
    inside = Inside(fakes, MOVED)
    assert repair(fakes).run([NODE]) is True
    command = inside.commands[-2].split()
    assert command[:5] == ["kubeadm", "init", "phase", "control-plane", "scheduler"]


def test_a_leader_that_does_not_lead_afterwards_is_told(fakes):
    inside = Inside(fakes, MOVED)
    inside.renew = lambda _: None
    with pytest.raises(DevenvError) as caught:
        repair(fakes).run([NODE])
    assert SCHEDULER in caught.value.why


def test_an_edited_manifest_is_replaced_only_if_its_container_ended(fakes):
    inside = Inside(fakes, HEALTHY)
    assert repair(fakes).run([NODE]) is False
    inside.close_look = test_node_programs.CLOSE_LOOK
    fakes.kube.select = lambda *_: (_ for _ in ()).throw(DevenvError("no answer"))
    assert repair(fakes).run([NODE]) is True
    kubeadm = [words for words in inside.commands if words.startswith("kubeadm")]
    assert [words.split()[4] for words in kubeadm] == ["apiserver"]
    former = "/etc/kubernetes/kube-apiserver.yaml.before-devenv"
    assert any(words.startswith("cp") and words.endswith(former) for words in inside.commands)


def test_an_edit_that_takes_effect_within_a_minute_stays(fakes):
    inside = Inside(fakes, HEALTHY)
    inside.close_look = test_node_programs.CLOSE_LOOK
    fakes.clock.now = lambda: test_node_programs.NOON - 50.0
    answers = iter(["it starts", "it starts", ""])
    fakes.kube.why_unready = lambda: next(answers, "")
    assert repair(fakes).run([NODE]) is False
    assert inside.commands == []


def test_what_kubeadm_refuses_is_told(fakes):
    inside = Inside(fakes, MOVED)
    inside.refuses = True
    with pytest.raises(DevenvError) as caught:
        repair(fakes).run([NODE])
    assert caught.value.why == REFUSAL


@pytest.mark.parametrize(("address", "subnet"), [
    (b"    node-ip: 172.18.0.2\n", "172.18.0.0/16"), (b'node-ip: "192.168.17.2"', "192.168.16.0/20"),
    (b"node-ip: 10.0.0.2", ""), (b"odd", ""), (None, ""),
])  # fmt: skip
def test_a_lost_network_is_made_again_where_it_was(fakes, address, subnet):
    fakes.engine.node_networks["n"] = (("kind", "former-id"),)
    if address is not None:
        fakes.engine.files["/kind/kubeadm.conf"] = address
    repair(fakes).restore_network([Node("n", "id", "exited", "c")])
    assert f"create network {subnet}" in fakes.log
    assert "reconnect n to kind" in fakes.log


@pytest.mark.parametrize(("status", "networks"), [
    ("exited", (("kind", "kind-id"),)),
    ("exited", (("mine", "gone"),)),
    ("running", (("kind", "gone"),)),
])  # fmt: skip
def test_no_other_network_is_made(fakes, status, networks):
    fakes.engine.node_networks["n"] = networks
    repair(fakes).restore_network([Node("n", "id", status, "c")])
    assert fakes.log == []
