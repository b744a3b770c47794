"""Containers that run, and whose liveness or startup probe has the kubelet end them."""

import re

from devenv.diagnosis.containers import Container
from devenv.diagnosis.story.events import ClusterEvent, events_about

# The probes that kill. A message about another one may have such a word in its URL.
_PROBE = re.compile(r"\b(liveness|startup) probe\b")
# Seconds after which a container that its probe killed counts as one that runs.
_KILLS_FORGOTTEN = 600.0
# Kills that are no slow start.
_KILLS = 2
# Seconds that a probe may take to kill beside its own figures: a busy node, the grace period.
_LATE = 30.0
# Seconds after a node's start in which everything starts at once, and probes kill what is slow.
# Only for probes: all else that Kubernetes tells is about missing objects, or about containers that
# have never run, and a node's start excuses neither.
_NODE_START = 300.0
# Kubernetes' defaults of a probe, in seconds and failures.
_PERIOD, _THRESHOLD = 10, 3


def probe_kill(container: Container) -> ClusterEvent | None:
    """Return the last failure of the probe that kills a container again and again, or None.

    A container without a readiness probe is ready between two kills. A slow start may cost it one.
    One that has run for longer than its probe needs to kill it has survived. While a node has just
    been started, kills say nothing.
    """
    if not container.restarts or _is_node_starting(container):
        return None
    events = events_about(container.facts, "Pod", container.pod)
    probe = _killing_probe(container, events)
    failures = [e for e in events if e.reason == "Unhealthy" and probe_in(e.message) == probe]
    if not probe or not failures:
        return None
    fails_again = 0 < container.running_since < failures[-1].latest
    if not fails_again and _has_survived(container, probe):
        return None
    if container.restarts >= _KILLS or fails_again:
        return failures[-1]
    return None


def _is_node_starting(container: Container) -> bool:
    """Whether the container's node was started a short time ago."""
    facts, node = container.facts, container.pod["spec"].get("nodeName")
    starts = [n.started for n in facts.nodes if n.name == node]
    return any(facts.now - start < _NODE_START for start in starts)


def _has_survived(container: Container, probe: str) -> bool:
    """Whether a container runs for longer than the probe needs to kill it."""
    settings = container.spec.get(f"{probe}Probe") or {}
    period = settings.get("periodSeconds") or _PERIOD
    failures = settings.get("failureThreshold") or _THRESHOLD
    patience = (settings.get("initialDelaySeconds") or 0) + period * failures + _LATE
    return bool(0 < container.running_since < container.facts.now - patience)


def _killing_probe(container: Container, events: list[ClusterEvent]) -> str:
    """Return the probe that killed a container lately, "" if none did."""
    for event in reversed(events):
        is_recent = container.facts.now - event.latest < _KILLS_FORGOTTEN
        is_own = f"ontainer {container.name} failed" in event.message
        if event.reason == "Killing" and is_own and is_recent:
            return probe_in(event.message)
    return ""


def probe_in(message: str) -> str:
    """Return the kind of the killing probe that a message is about, "" for none."""
    match = _PROBE.search(message.lower())
    return match[1] if match else ""
