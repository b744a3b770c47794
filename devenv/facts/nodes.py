"""Reads nodes: through the engine, or through their kubelets where only the API server is at hand.

Kubernetes tells neither of a full disk nor of anything once a node is down.
"""

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from devenv.base.errors import DevenvError
from devenv.facts import node_programs
from devenv.facts.df import node_space
from devenv.facts.model import NodeFacts, UnitFacts
from devenv.facts.objects import Fields, fields_of
from devenv.ports.clock import Clock
from devenv.ports.containers import Containers, ContainerState, Node
from devenv.ports.host import Space
from devenv.ports.kube import Kube

# Seconds. By itself, ctr waits for 10 s for a containerd that hangs.
_IMAGES_LIMIT = "3"
_IMAGES = (
    "timeout", _IMAGES_LIMIT, "ctr", "--namespace", "k8s.io", "images", "list", "--quiet",
)  # fmt: skip
# An image's name without a digest.
_NAME = re.compile(r"(?!sha256:)[a-z0-9][\w./-]*:[\w.-]+")
# `tail` says so if it gets no inotify instance, and polls instead. On an overlay it would not even
# ask for an instance; /etc/hostname lies on none.
_INSIDE = (
    f"cat /proc/loadavg /proc/meminfo; {node_programs.LOOK};"
    " timeout 0.05 tail --lines=0 --follow /etc/hostname 2>&1 || true"
)
_LOAD = re.compile(r"\d+\.\d+")
_MEMORY = re.compile(r"^(MemTotal|MemAvailable):\s+(\d+) kB", re.MULTILINE)
_NO_INSTANCE = "inotify cannot be used"
# A unit that systemd restarted so often counts as failing within so many seconds of its last start.
_UNIT_RESTARTS, _UNIT_PATIENCE = 3, 15.0
# Kubelets that are asked at the same time.
_AT_ONCE = 16


@dataclass(frozen=True)
class NodeReader:
    """Reads nodes through the engine, beside the host's clock."""

    containers: Containers
    clock: Clock

    def read(self, node: Node) -> NodeFacts:
        """Return a node's facts. Raises DevenvError if the engine or the node does not answer."""
        state = self.containers.state(node.name)
        facts = NodeFacts(
            name=node.name,
            status=node.status,
            address=state.address,
            started=state.started,
            ended=state.ended,
        )
        if node.status != "running":
            return facts.model_copy(update={"missing_networks": self._missing(state)})
        inside = self._inside(node.name)
        details = {
            "disk": node_space(self.containers, node.name),
            "images": self._images(node.name) if _has_containerd(inside) else None,
            **inside,
        }
        return facts.model_copy(update=details)

    def missing_networks(self, node: str) -> tuple[str, ...]:
        """Return the names of a stopped node's networks that the engine does not have any more."""
        return self._missing(self.containers.state(node))

    def programs(self, node: str) -> NodeFacts:
        """Return the facts of a running node without its disk and images.

        Raises DevenvError if the engine or the node does not answer.
        """
        return NodeFacts(name=node, status="running", **self._inside(node))

    def _missing(self, state: ContainerState) -> tuple[str, ...]:
        if not state.networks:
            return ()
        existing = self.containers.networks()
        return tuple(name for name, key in state.networks if not _exists(name, key, existing))

    def look_closely(self, node: NodeFacts) -> NodeFacts:
        """Return the facts with the journals, containers and logs of what the node runs.

        Raises DevenvError if the engine or the node does not answer.
        """
        output = self.containers.exec(node.name, ["sh", "-c", node_programs.CLOSE_LOOK]).output
        details = {
            "units": node_programs.with_journals(node.units, output),
            "static_pods": node_programs.with_containers(node.static_pods, output),
        }
        return node.model_copy(update=details)

    def _images(self, node: str) -> tuple[str, ...] | None:
        """Return the names of the node's images, None if containerd does not tell."""
        listing = self.containers.exec(node, _IMAGES)
        if listing.code != 0:
            return None
        return tuple(sorted(filter(_NAME.fullmatch, listing.output.split())))

    def _inside(self, node: str) -> dict[str, Any]:
        """Return load, memory, clock, and what runs in the node, as far as it tells."""
        asked = self.clock.now()
        output = self.containers.exec(node, ["sh", "-c", _INSIDE]).output
        answered = self.clock.now()
        details: dict[str, Any] = {
            "units": node_programs.units_in(output),
            "static_pods": node_programs.static_pods_in(output),
            **_load_in(output),
        }
        if time := node_programs.clock_of(output):
            # The node tells whole seconds, of any moment between question and answer.
            details["clock_lead"] = _lead(time, asked, answered)
        return details


def _exists(name: str, network_id: str, existing: Mapping[str, str]) -> bool:
    """Whether the engine has a network. Without an ID, the container gets it by its name."""
    if network_id:
        return network_id in existing
    return name in existing.values()


def _lead(time: float, asked: float, answered: float) -> float:
    """Return by how much the node's clock is certainly ahead of the host's, in seconds."""
    if time > answered:
        return time - answered
    return min(0.0, time + 1 - asked)


def _has_containerd(inside: Mapping[str, Any]) -> bool:
    """Whether containerd may answer: a list of images would wait for it in vain."""
    units: tuple[UnitFacts, ...] = inside["units"]
    return all(unit.state == "active" for unit in units if unit.name == "containerd")


def is_in_trouble(node: NodeFacts, now: float) -> bool:
    """Whether a unit of the node does not run, or a part of its control plane has no manifest.

    `now`: by the node's clock, in seconds since 1970.
    """
    lacks_manifest = not all(pod.manifest for pod in node.static_pods)
    return lacks_manifest or any(is_failing(unit, now) for unit in node.units)


def is_failing(unit: UnitFacts, now: float) -> bool:
    """Whether a unit does not run, or only for a moment between two failures."""
    was_just_started = now - unit.since < _UNIT_PATIENCE
    return unit.state != "active" or (unit.restarts >= _UNIT_RESTARTS and was_just_started)


def _load_in(output: str) -> dict[str, float]:
    """Return load, memory, and whether inotify is used up; nothing if the node does not tell.

    The kernel beneath the node answers, so the figures are those of the engine's machine.
    """
    load = _LOAD.match(output)
    kib = dict(_MEMORY.findall(output))
    if not load or kib.keys() != {"MemTotal", "MemAvailable"}:
        return {}
    return {
        "load": float(load[0]),
        "memory": int(kib["MemTotal"]) << 10,
        "memory_available": int(kib["MemAvailable"]) << 10,
        "inotify_used_up": _NO_INSTANCE in output,
    }


@dataclass(frozen=True)
class KubeletReader:
    """Reads nodes through the API server and their kubelets.

    `unknown` gets the reason for each disk that could not be read.
    """

    kube: Kube
    unknown: dict[str, str] = field(default_factory=dict)

    def read_all(self, names: Sequence[str]) -> list[NodeFacts]:
        """Return the nodes' facts; a few kubelets are asked at a time."""
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            return list(pool.map(self._read, names))

    def _read(self, name: str) -> NodeFacts:
        try:
            stats = fields_of(self.kube.node_stats(name), "node")
            disk = _disk(fields_of(stats, "fs"))
        except DevenvError as error:
            return self._without_disk(name, error.in_one_line)
        except (LookupError, TypeError, ValueError):
            return self._without_disk(name, "its kubelet does not say")
        available = fields_of(stats, "memory").get("availableBytes")
        return NodeFacts(name=name, status="running", disk=disk, memory_available=available)

    def _without_disk(self, name: str, reason: str) -> NodeFacts:
        self.unknown[f"disk of {name}"] = reason
        return NodeFacts(name=name, status="running")


def _disk(stats: Fields) -> Space:
    """Read the `fs` part of a kubelet's summary. Raises LookupError, TypeError or ValueError."""
    return Space(
        free=int(stats["availableBytes"]),
        total=int(stats["capacityBytes"]),
        free_inodes=int(stats["inodesFree"]),
        total_inodes=int(stats["inodes"]),
    )
