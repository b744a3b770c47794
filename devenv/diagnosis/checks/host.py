"""The host and its engine: what must work before a node can run."""

from collections.abc import Iterator, Sequence

from devenv.base.counting import ports_in_words
from devenv.diagnosis import keys
from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.commands import devenv_command, recover
from devenv.diagnosis.model import (
    EVERYTHING,
    Advice,
    Command,
    Evidence,
    Finding,
    Fix,
    Subject,
    Verdict,
)
from devenv.diagnosis.read import has_running_node, is_out_of_bytes, is_out_of_inodes
from devenv.diagnosis.waste import describe_full_disk, waste_on
from devenv.facts.collect import ENGINE, NODES
from devenv.facts.model import Facts, NodeFacts
from devenv.ports.containers import KIND_NETWORK
from devenv.ports.host import Space
from devenv.profiles.quantities import show

_RAISE_INOTIFY = Command(
    (
        "sudo",
        "sysctl",
        "fs.inotify.max_user_instances=512",
        "fs.inotify.max_user_watches=524288",
    )
)
# The Linux kernel's own defaults for fs.inotify.
_LEAST_INSTANCES = 128
_LEAST_WATCHES = 8192
# Why the engine does not answer → the sentence, and the fix.
_ENGINE_TROUBLE: dict[str, tuple[str, tuple[Fix, ...]]] = {
    "": ("The Docker engine does not answer.", (Command(("devenv", "setup")),)),
    "forbidden": (
        "You do not have permission to use the Docker engine.",
        (Command(("sudo", "usermod", "-aG", "docker", "$USER")), Advice("then log in again")),
    ),
    "elsewhere": (
        "The Docker engine that DOCKER_HOST or a Docker context names does not answer.",
        (
            Advice("start that engine, or use the local one:"),
            Command(("unset", "DOCKER_HOST", "DOCKER_CONTEXT")),
            Command(("docker", "context", "use", "default")),
        ),
    ),
}


@check
def find_silent_engine(facts: Facts) -> Iterator[Finding]:
    """DE101: the engine does not answer."""
    reason = facts.unknown.get(ENGINE) or facts.unknown.get(NODES)
    if not reason:
        return
    message, fixes = _ENGINE_TROUBLE[facts.engine_trouble]
    yield Finding(
        code="DE101",
        subject=Subject("Docker engine"),
        says=message,
        evidence=(Evidence("Docker", reason),),
        fix=fixes,
        affects=EVERYTHING,
    )


@check
def find_missing_cluster(facts: Facts) -> Iterator[Finding]:
    """DE106: the cluster does not exist."""
    if facts.nodes or not facts.engine or not facts.knows(NODES):
        return
    text = f"no container belongs to the kind cluster {facts.cluster}"
    yield Finding(
        code="DE106",
        subject=Subject("cluster", facts.cluster),
        says=f"The cluster {facts.cluster} does not exist.",
        evidence=(Evidence("Docker", text),),
        fix=(devenv_command(facts, "up"),),
        about=frozenset({keys.CLUSTER}),
        affects=EVERYTHING,
    )


@check
def find_full_engine_disk(facts: Facts) -> Iterator[Finding]:
    """DE102: the engine's disk is full. If a node shares it, only the node's finding says so."""
    space = facts.engine_disk
    if space is None or _is_shared_with_node(facts, space):
        return
    if not (is_out_of_bytes(space) or is_out_of_inodes(space)):
        return
    usage = f"{show(space.free)} of {show(space.total)} free, {space.free_inodes} inodes free"
    waste = waste_on(facts, {ENGINE})
    yield Finding(
        code="DE102",
        subject=Subject("engine's disk"),
        says=describe_full_disk(f"The engine's disk is full: {usage}.", waste),
        evidence=(Evidence("the engine's data root", usage), *waste),
        fix=(devenv_command(facts, "prune"),),
        affects=EVERYTHING,
    )


def _is_shared_with_node(facts: Facts, engine_space: Space) -> bool:
    """Whether a node's disk is the engine's. Disks of equal size count as one."""
    return any(n.disk and n.disk.total == engine_space.total for n in facts.nodes)


@check
def find_missing_networks(facts: Facts) -> Iterator[Finding]:
    """DE109: a network that a stopped node belongs to does not exist any more."""
    names = {name for node in facts.nodes for name in node.missing_networks}
    for name in sorted(names):
        nodes = [node for node in facts.nodes if name in node.missing_networks]
        source = f"network {name}"
        yield Finding(
            code="DE109",
            subject=Subject("network", name),
            says=f"The engine's network {name} is gone, so the node can't start.",
            evidence=tuple(Evidence(source, f"{n.name} belongs to it") for n in nodes),
            fix=_network_fix(facts, name, nodes),
            about=frozenset({keys.network(name), *(keys.node(n.name) for n in nodes)}),
            affects=EVERYTHING,
        )


def _network_fix(facts: Facts, network: str, nodes: Sequence[NodeFacts]) -> tuple[Fix, ...]:
    """Return how the network comes back: devenv knows only kind's usual one."""
    up = devenv_command(facts, "up")
    if network == KIND_NETWORK:
        return (up, *recover(facts))
    create = Command(("docker", "network", "create", network))
    reconnect: list[Fix] = []
    for node in nodes:
        leave = ("docker", "network", "disconnect", "--force", network, node.name)
        reconnect += [Command(leave), Command(("docker", "network", "connect", network, node.name))]
    return (create, *reconnect, up)


@check
def find_taken_port(facts: Facts) -> Iterator[Finding]:
    """DE103: another process listens on the gateway's port.

    As long as a node runs or is paused, the engine itself holds the port for that node.
    """
    all_ended = all(n.status in {"exited", "dead"} for n in facts.nodes)
    if not (facts.nodes and all_ended and facts.port_owner):
        return
    port, owner = facts.profile.gateway.host_port, facts.port_owner
    yield Finding(
        code="DE103",
        subject=Subject("port", str(port)),
        says=f"Port {port} is taken by {owner}, so the node can't start.",
        evidence=(Evidence(f"port {port}", f"{owner} listens on it"),),
        fix=(Advice(f"stop {_whom_to_stop(owner)}, then"), devenv_command(facts, "up")),
        about=frozenset({keys.PORT}),
        affects=EVERYTHING,
    )


def _whom_to_stop(port_owner: str) -> str:
    if "docker" in port_owner:
        return "the container that publishes it (`docker ps` lists it)"
    return port_owner


@check
def find_low_inotify_limits(facts: Facts) -> Iterator[Finding]:
    """DE104: the kernel's inotify limits are too low for a node."""
    if facts.inotify is None:
        return
    instances, watches = facts.inotify
    if instances >= _LEAST_INSTANCES and watches >= _LEAST_WATCHES:
        return
    limits = f"fs.inotify allows {instances} instances and {watches} watches"
    yield Finding(
        code="DE104",
        subject=Subject("kernel"),
        says=f"{limits}: too few for a node.",
        evidence=(Evidence("sysctl", limits),),
        fix=(_RAISE_INOTIFY,),
        affects=EVERYTHING,
    )


@check
def find_used_up_inotify(facts: Facts) -> Iterator[Finding]:
    """DE108: the programs in a node get no inotify instance any more."""
    full_nodes = [n for n in facts.nodes if n.inotify_used_up]
    if not full_nodes:
        return
    message = "Root has used up its inotify instances"
    if facts.inotify:
        instances, _ = facts.inotify
        message += f", of which the kernel allows {instances} to each user"
    text = "a program in the node got no inotify instance"
    yield Finding(
        code="DE108",
        subject=Subject("kernel"),
        says=f"{message}. What starts in a node may fail with `too many open files`.",
        evidence=tuple(Evidence(f"node {n.name}", text) for n in full_nodes),
        fix=(_RAISE_INOTIFY,),
        affects=EVERYTHING,
    )


@check
def find_wrong_context(facts: Facts) -> Iterator[Finding]:
    """DE105: the kubeconfig does not lead to this cluster."""
    if facts.context or not has_running_node(facts) or not facts.knows("context"):
        return
    if facts.context_port in facts.api_ports:
        return
    name = f"kind-{facts.cluster}"
    message = f"The kubeconfig has no context {name}."
    if facts.context_port:
        message = (
            f"The context {name} leads to port {facts.context_port}, "
            f"but the cluster's API server listens on {ports_in_words(facts.api_ports)}."
        )
    yield Finding(
        code="DE105",
        subject=Subject("context", name),
        says=message,
        evidence=(Evidence("kubeconfig", message),),
        # Not `kind export kubeconfig`: kind need not be on PATH.
        fix=recover(facts),
        about=frozenset({keys.CONTEXT}),
        affects=frozenset({keys.API}),
    )


@check
def find_running_command(facts: Facts) -> Iterator[Finding]:
    """DE107: another command is changing the cluster."""
    if not facts.changing:
        return
    yield Finding(
        code="DE107",
        subject=Subject("cluster"),
        says=f"The cluster is being changed by {facts.changing}: wait until that is done.",
        evidence=(Evidence("lock", facts.changing),),
        verdict=Verdict.PROGRESS,
        affects=EVERYTHING,
    )


@check
def find_frozen_command(facts: Facts) -> Iterator[Finding]:
    """DE107, harmless: the lock's holder does nothing, so the cluster is judged as if unlocked."""
    if not facts.frozen:
        return
    yield Finding(
        code="DE107",
        subject=Subject("cluster"),
        says=f"A process that does nothing holds the cluster's lock: {facts.frozen}.",
        evidence=(Evidence("lock", facts.frozen),),
        verdict=Verdict.HARMLESS,
    )
