"""This machine and its engine."""

from collections.abc import Iterator

from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.model import ANYTHING, Evidence, Finding, Verdict
from devenv.diagnosis.read import devenv, no_bytes, no_inodes
from devenv.diagnosis.waste import waste_on
from devenv.facts.collect import ENGINE, NODES
from devenv.facts.model import Facts
from devenv.profiles.quantities import show

_ALL = frozenset({ANYTHING})
_RAISE = ("sudo sysctl fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288",)
# fs.inotify: a Linux kernel's own defaults.
_INSTANCES, _WATCHES = 128, 8192
# Why the engine does not answer → what that is, and the fix.
_ENGINE_TROUBLE = {
    "": ("The Docker engine does not answer.", "devenv setup"),
    "forbidden": (
        "You are not allowed to use the Docker engine.",
        "sudo usermod -aG docker $USER, then log in again",
    ),
    "elsewhere": (
        "The Docker engine that DOCKER_HOST or a Docker context names does not answer.",
        "start that engine, or: unset DOCKER_HOST DOCKER_CONTEXT; docker context use default",
    ),
}


@check
def engine(facts: Facts) -> Iterator[Finding]:
    """The engine answers."""
    for what in (ENGINE, NODES):
        if reason := facts.unknown.get(what):
            evidence = (Evidence("Docker", reason),)
            message, fix = _ENGINE_TROUBLE[facts.engine_trouble]
            yield Finding("DE101", "Docker engine", message, evidence, (fix,), affects=_ALL)
            return


@check
def cluster(facts: Facts) -> Iterator[Finding]:
    """There is a cluster."""
    if facts.engine and facts.knows(NODES) and not facts.nodes:
        message = f"There is no cluster {facts.cluster}."
        evidence = (Evidence("Docker", f"no container of the kind cluster {facts.cluster}"),)
        about = frozenset({"cluster"})
        yield Finding(
            "DE106",
            f"cluster {facts.cluster}",
            message,
            evidence,
            (devenv(facts, "up"),),
            about=about,
            affects=_ALL,
        )


@check
def engine_disk(facts: Facts) -> Iterator[Finding]:
    """The engine's disk has room, where no node shares it: then the node's finding says so."""
    space = facts.engine_disk
    shared = any(n.disk and space and n.disk.total == space.total for n in facts.nodes)
    if space and not shared and (no_bytes(space) or no_inodes(space)):
        text = f"{show(space.free)} of {show(space.total)} free, {space.free_inodes} inodes free"
        waste = waste_on(facts, {ENGINE})
        evidence = (Evidence("the engine's data root", text), *waste)
        message = " ".join([f"The engine's disk is full: {text}.", *(f"{w.text}." for w in waste)])
        fix = (devenv(facts, "prune"),)
        yield Finding("DE102", "engine's disk", message, evidence, fix, affects=_ALL)


@check
def port(facts: Facts) -> Iterator[Finding]:
    """The gateway's port is the node's. While a node runs or is paused, the engine holds it for it."""
    is_held = any(n.status not in {"exited", "dead"} for n in facts.nodes)
    if facts.nodes and not is_held and facts.port_owner:
        number = facts.profile.gateway.host_port
        evidence = (Evidence(f"port {number}", f"{facts.port_owner} listens on it"),)
        who = (
            "the container that publishes it (docker ps)"
            if "docker" in facts.port_owner
            else facts.port_owner
        )
        fix = (f"stop {who}, then {devenv(facts, 'up')}",)
        message = f"Port {number} is taken by {facts.port_owner}, so the node can't start."
        yield Finding(
            "DE103",
            f"port {number}",
            message,
            evidence,
            fix,
            about=frozenset({"port"}),
            affects=_ALL,
        )


@check
def inotify(facts: Facts) -> Iterator[Finding]:
    """The kernel's limits let a node work."""
    if facts.inotify and (facts.inotify[0] < _INSTANCES or facts.inotify[1] < _WATCHES):
        instances, watches = facts.inotify
        text = f"fs.inotify allows {instances} instances and {watches} watches"
        yield Finding(
            "DE104",
            "kernel",
            f"{text}: too few for a node.",
            (Evidence("sysctl", text),),
            _RAISE,
            affects=_ALL,
        )


@check
def inotify_used_up(facts: Facts) -> Iterator[Finding]:
    """A node's programs still get inotify instances."""
    if full := [n.name for n in facts.nodes if n.inotify_used_up]:
        text = (
            f"The kernel allows a user {facts.inotify[0]} inotify instances, and "
            if facts.inotify
            else ""
        )
        message = f"{text}root has used them all: what starts in a node may fail with `too many open files`."
        evidence = tuple(
            Evidence(f"node {name}", "a program in it got no inotify instance") for name in full
        )
        yield Finding(
            "DE108", "kernel", message[0].upper() + message[1:], evidence, _RAISE, affects=_ALL
        )


@check
def context(facts: Facts) -> Iterator[Finding]:
    """The kubeconfig leads to this cluster."""
    running = any(n.status == "running" for n in facts.nodes)
    if (
        facts.context
        or not running
        or facts.context_port in facts.api_ports
        or not facts.knows("context")
    ):
        return
    name = f"kind-{facts.cluster}"
    if facts.context_port:
        message = (
            f"The context {name} leads to port {facts.context_port}; "
            f"the cluster's API server is at {list(facts.api_ports)}."
        )
    else:
        message = f"The kubeconfig has no context {name}."
    # Kind itself need not be on PATH.
    fix = (devenv(facts, "recover"),)
    affects = frozenset({"api"})
    yield Finding(
        "DE105",
        f"context {name}",
        message,
        (Evidence("kubeconfig", message),),
        fix,
        about=frozenset({"context"}),
        affects=affects,
    )


@check
def changing(facts: Facts) -> Iterator[Finding]:
    """Nobody is changing the cluster just now."""
    if facts.changing:
        message = f"The cluster is being changed by {facts.changing}: waiting until that is done."
        evidence = (Evidence("lock", facts.changing),)
        yield Finding("DE107", "cluster", message, evidence, (), Verdict.PROGRESS, affects=_ALL)


@check
def frozen(facts: Facts) -> Iterator[Finding]:
    """The lock's holder is at work. If it is not, the cluster is judged as if there were no lock."""
    if facts.frozen:
        message = f"A process that does nothing holds the cluster's lock: {facts.frozen}."
        evidence = (Evidence("lock", facts.frozen),)
        yield Finding("DE107", "cluster", message, evidence, (), Verdict.HARMLESS)
