"""The nodes, as the engine sees them, and the API server in them."""

from collections.abc import Iterator

from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.model import ANYTHING, Evidence, Finding
from devenv.diagnosis.read import (
    ago,
    conditions,
    devenv,
    line_time,
    no_bytes,
    no_inodes,
    said,
    seconds,
)
from devenv.diagnosis.waste import waste_on
from devenv.facts.collect import API, ENGINE
from devenv.facts.model import Facts, NodeFacts
from devenv.ports import Space
from devenv.profiles.quantities import show

_ALL = frozenset({ANYTHING})
# Seconds that `devenv stop` may take for all nodes.
_STOP = 300.0
# Seconds by which the clock of the engine, which may be elsewhere, may differ.
_SKEW = 5.0


@check
def disk(facts: Facts) -> Iterator[Finding]:
    """A node's disk has room: bytes and inodes. kind switches its conditions off (docs/facts/gateway.md)."""
    for node in facts.nodes:
        space = node.disk
        if space is None:
            continue
        fix = (devenv(facts, "recover"),)
        about = frozenset({f"node/{node.name}", "disk"})
        if no_bytes(space):
            text = f"{show(space.free)} of {show(space.total)} free"
            waste = _waste(facts, node.name, space)
            evidence = (Evidence(f"df in {node.name}", text), *waste, *_refusals(facts))
            message = " ".join(
                [f"The node's disk is full: {text}.", *(f"{w.text}." for w in waste)]
            )
            yield Finding(
                "DE201", f"node {node.name}", message, evidence, fix, about=about, affects=_ALL
            )
        if no_inodes(space):
            text = f"{space.free_inodes} of {space.total_inodes} inodes free"
            waste = _waste(facts, node.name, space)
            evidence = (Evidence(f"df in {node.name}", text), *waste, *_refusals(facts))
            begin = f"The node's disk has no inodes left: {text}."
            message = " ".join([begin, *(f"{w.text}." for w in waste)])
            yield Finding(
                "DE202", f"node {node.name}", message, evidence, fix, about=about, affects=_ALL
            )


def _waste(facts: Facts, node: str, space: Space) -> list[Evidence]:
    """Return whose waste is on a node's disk. kind's nodes share the engine's disk."""
    shares = facts.engine_disk is None or facts.engine_disk.total == space.total
    places = {node, ENGINE, *(n.name for n in facts.nodes)} if shares else {node}
    return waste_on(facts, places)


def _refusals(facts: Facts) -> tuple[Evidence, ...]:
    """The first line of any log that says so."""
    refusals = [
        (line_time(line), log, line)
        for log, line in facts.lines()
        if "no space left on device" in line
    ]
    if not refusals:
        return ()
    time, log, line = min(refusals, key=lambda t: t[0])
    return (Evidence(f"log {log.pod}", said(line), time),)


@check
def running(facts: Facts) -> Iterator[Finding]:
    """Every node runs."""
    for node in facts.nodes:
        if node.status != "running":
            evidence = (
                Evidence("Docker", f"the container {node.name} is {node.status}", node.ended),
            )
            message = f"The node {node.name} is not running: {_why_not(facts, node)}."
            about = frozenset({f"node/{node.name}"})
            yield Finding(
                "DE203",
                f"node {node.name}",
                message,
                evidence,
                (devenv(facts, "up"),),
                about=about,
                affects=_ALL,
            )


def _why_not(facts: Facts, node: NodeFacts) -> str:
    """Return why a node does not run: by the user's own command, or by Docker's word.

    A node that something else started after `devenv stop`, and that ended again, did not end by it.
    """
    by_command = facts.stopped - _STOP <= node.ended <= facts.stopped + _SKEW
    if node.status == "exited" and facts.stopped and by_command:
        return f"stopped by `devenv stop`, {ago(facts.taken - node.ended)} ago"
    return node.status


@check
def api_server(facts: Facts) -> Iterator[Finding]:
    """The API server answers, where a node runs that it could be in."""
    if API in facts.unknown and (facts.context or any(n.status == "running" for n in facts.nodes)):
        evidence = (Evidence("API server", facts.unknown[API]),)
        fix = (devenv(facts, "up"), f"docker logs {facts.cluster}-control-plane")
        yield Finding(
            "DE204",
            "API server",
            "The API server does not answer.",
            evidence,
            fix,
            about=frozenset({"api"}),
            affects=_ALL,
        )


@check
def ready(facts: Facts) -> Iterator[Finding]:
    """Kubernetes takes every node for ready."""
    for obj in facts.of("Node"):
        name = obj["metadata"]["name"]
        for condition in (
            c for c in conditions(obj) if c["type"] == "Ready" and c["status"] != "True"
        ):
            text = f"Ready={condition['status']} {condition.get('reason', '')}: {condition.get('message', '')}"
            evidence = (
                Evidence(f"node {name}", text, seconds(condition.get("lastTransitionTime"))),
            )
            about = frozenset({f"node/{name}"})
            message = f"Kubernetes takes the node {name} for not ready."
            yield Finding(
                "DE205",
                f"node {name}",
                message,
                evidence,
                (devenv(facts, "up"),),
                about=about,
                affects=_ALL,
            )


@check
def address(facts: Facts) -> Iterator[Finding]:
    """Kubernetes knows each node by the address that it has: after a restart of the engine it may have another (kind#2045)."""
    for node in (n for n in facts.nodes if n.status == "running" and n.address):
        obj = facts.one("Node", "", node.name)
        addresses = [
            a["address"]
            for a in ((obj or {}).get("status") or {}).get("addresses") or ()
            if a["type"] == "InternalIP"
        ]
        if addresses and node.address not in addresses:
            text = f"its container has {node.address}, Kubernetes knows {', '.join(addresses)}"
            about = frozenset({f"node/{node.name}"})
            yield Finding(
                "DE206", f"node {node.name}", f"The node {node.name} is at another address: {text}.",
                (Evidence("Docker and Kubernetes", text),), (devenv(facts, "up"),), about=about, affects=_ALL,
            )  # fmt: skip
