"""The nodes, as the engine sees them, and the API server in them."""

from collections.abc import Iterator
from dataclasses import replace

from devenv.diagnosis import keys
from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.commands import devenv_command, kubectl_command, recover
from devenv.diagnosis.control_plane import API_SERVER, ETCD, static_pods
from devenv.diagnosis.log_lines import line_message, line_time
from devenv.diagnosis.manifests import changed_at, conditions_of_type, spell_condition
from devenv.diagnosis.model import EVERYTHING, Advice, Command, Evidence, Finding, Subject, Verdict
from devenv.diagnosis.read import has_running_node, is_out_of_bytes, is_out_of_inodes
from devenv.diagnosis.story.scheduling import CORDONED, cordoned_nodes
from devenv.diagnosis.times import parse_time, spell_span
from devenv.diagnosis.waste import describe_full_disk, waste_on
from devenv.facts.collect import API, ENGINE
from devenv.facts.model import Facts, NodeFacts
from devenv.facts.objects import full_name, items_of, name_of, status_of
from devenv.facts.revisions import is_lasting
from devenv.ports.host import Space
from devenv.ports.kube import Manifest
from devenv.profiles.quantities import show

# Seconds that `devenv stop` may take for all nodes.
_STOP_DURATION = 300.0
# Seconds by which a node's clock may differ from the host's.
_CLOCK_LEAD = 60.0
_SET_CLOCK = (
    "set the clocks of this machine and of the engine's by NTP: `timedatectl set-ntp true` on"
    " Linux; restart Docker if the engine runs in a VM"
)
# Seconds by which the clock of an engine on another machine may differ.
_CLOCK_SKEW = 5.0


@check
def find_full_disks(facts: Facts) -> Iterator[Finding]:
    """DE201, DE202: a node's disk has no space or no inodes left.

    No condition of the node tells: kind switches off the kubelet's own checks of the disk
    (docs/facts/gateway.md).
    """
    for node in facts.nodes:
        space = node.disk
        if space and is_out_of_bytes(space):
            usage = f"{show(space.free)} of {show(space.total)} free"
            yield _full_disk(facts, node, "DE201", "The node's disk is full", usage)
        if space and is_out_of_inodes(space):
            usage = f"{space.free_inodes} of {space.total_inodes} inodes free"
            yield _full_disk(facts, node, "DE202", "The node's disk has no inodes left", usage)


def _full_disk(facts: Facts, node: NodeFacts, code: str, problem: str, usage: str) -> Finding:
    waste = waste_on(facts, _places_on_disk(facts, node))
    return Finding(
        code=code,
        subject=Subject("node", node.name),
        says=describe_full_disk(f"{problem}: {usage}.", waste),
        evidence=(Evidence(f"df in {node.name}", usage), *waste, *_first_refusal(facts)),
        fix=recover(facts),
        about=frozenset({keys.node(node.name), keys.DISK}),
        affects=EVERYTHING,
    )


def _places_on_disk(facts: Facts, node: NodeFacts) -> set[str]:
    """Return whose waste is on a node's disk. Usually kind's nodes share the engine's disk."""
    if not _shares_engine_disk(node.disk, facts.engine_disk):
        return {node.name}
    return {node.name, ENGINE, *(n.name for n in facts.nodes)}


def _shares_engine_disk(space: Space | None, engine_space: Space | None) -> bool:
    """Whether a node's disk is the engine's. Disks of equal size count as one."""
    if space is None or engine_space is None:
        return True
    return space.total == engine_space.total


def _first_refusal(facts: Facts) -> list[Evidence]:
    """Return the earliest log line in which a program could not write."""
    refusals = []
    for log, line in facts.lines():
        if "no space left on device" in line:
            refusals.append(Evidence(f"log {log.pod}", line_message(line), line_time(line)))
    return sorted(refusals, key=lambda e: e.time)[:1]


@check
def find_stopped_nodes(facts: Facts) -> Iterator[Finding]:
    """DE203: a node is not running."""
    for node in facts.nodes:
        if node.status == "running":
            continue
        text = f"the container {node.name} is {node.status}"
        yield Finding(
            code="DE203",
            subject=Subject("node", node.name),
            says=f"The node {node.name} is not running: {_why_stopped(facts, node)}.",
            evidence=(Evidence("Docker", text, node.ended),),
            fix=(devenv_command(facts, "up"),),
            about=frozenset({keys.node(node.name)}),
            affects=EVERYTHING,
        )


def _why_stopped(facts: Facts, node: NodeFacts) -> str:
    """Return why a node does not run: `devenv stop`, or Docker's word for its status.

    The end must fall into the time of that command: another program may have started the node again
    since, and it ended a second time.
    """
    by_command = facts.stopped - _STOP_DURATION <= node.ended <= facts.stopped + _CLOCK_SKEW
    if node.status == "exited" and facts.stopped and by_command:
        return f"stopped by `devenv stop`, {spell_span(facts.now - node.ended)} ago"
    return node.status


@check
def find_silent_api_server(facts: Facts) -> Iterator[Finding]:
    """DE204: the API server does not answer although a node runs, or answers with an error."""
    may_answer = bool(facts.context) or has_running_node(facts)
    if API not in facts.unknown or not may_answer:
        return
    if facts.api_answer:
        yield _refusing_api_server(facts)
        return
    yield Finding(
        code="DE204",
        subject=Subject("API server"),
        says="The API server does not answer.",
        evidence=(Evidence("API server", facts.unknown[API]), *_programs_behind_api(facts)),
        fix=(
            devenv_command(facts, "up"),
            Command(("docker", "logs", f"{facts.cluster}-control-plane")),
        ),
        about=frozenset({keys.API}),
        affects=EVERYTHING,
    )


def _refusing_api_server(facts: Facts) -> Finding:
    """Return what an API server answered instead of an object: its own words come first."""
    context = facts.context or f"kind-{facts.cluster}"
    ready = Command(("kubectl", "--context", context, "get", "--raw", "/readyz?verbose"))
    about = {keys.API}
    if facts.api_distrust:
        about.add(keys.kubeconfig(context))
    return Finding(
        code="DE204",
        subject=Subject("API server"),
        says=f"The API server answers with an error: {facts.api_answer.rstrip('.')}.",
        evidence=(Evidence("API server", facts.api_answer), *_programs_behind_api(facts)),
        fix=(*recover(facts), devenv_command(facts, "up")) if facts.api_distrust else (ready,),
        about=frozenset(about),
        affects=EVERYTHING,
    )


def _programs_behind_api(facts: Facts) -> Iterator[Evidence]:
    """Yield what the nodes show of the API server and of etcd, if both run nevertheless.

    Their last words say nothing of when the fault began.
    """
    if facts.api_distrust:
        return
    pods = [pod for pod in static_pods(facts) if pod.name in {API_SERVER, ETCD}]
    if not any(pod.why_down for pod in pods):
        for pod in pods:
            yield from (replace(evidence, time=0.0) for evidence in pod.evidence())


@check
def find_wrong_clocks(facts: Facts) -> Iterator[Finding]:
    """DE210: a node's clock differs from the host's.

    kind's nodes have the clock of the engine's machine, which may be a VM that has slept.
    """
    for node in facts.nodes:
        lead = node.clock_lead or 0.0
        if abs(lead) <= _CLOCK_LEAD:
            continue
        direction = "ahead of" if lead > 0 else "behind"
        text = f"{spell_span(abs(lead))} {direction} this machine's clock"
        yield Finding(
            code="DE210",
            subject=Subject("node", node.name),
            says=f"The clock of the node {node.name} is {text}.",
            evidence=(Evidence(f"date in {node.name}", text),),
            fix=(Advice(_SET_CLOCK),),
            about=frozenset({keys.node(node.name)}),
            affects=EVERYTHING,
        )


@check
def find_unready_nodes(facts: Facts) -> Iterator[Finding]:
    """DE205: Kubernetes reports a node as not ready."""
    for node in facts.of("Node"):
        name = name_of(node)
        for condition in conditions_of_type(node, "Ready"):
            if condition["status"] == "True":
                continue
            text = spell_condition(condition)
            yield Finding(
                code="DE205",
                subject=Subject("node", name),
                says=f"Kubernetes reports the node {name} as not ready.",
                evidence=(Evidence(f"node {name}", text, changed_at(condition)),),
                fix=(devenv_command(facts, "up"),),
                about=frozenset({keys.node(name)}),
                affects=EVERYTHING,
            )


@check
def find_moved_nodes(facts: Facts) -> Iterator[Finding]:
    """DE206: a node has another address than Kubernetes knows.

    A restart of the engine may give a container a new address (kind#2045).
    """
    for node in facts.nodes:
        known_addresses = _addresses_in_kubernetes(facts, node.name)
        if node.status != "running" or not node.address or not known_addresses:
            continue
        if node.address in known_addresses:
            continue
        text = f"its container has {node.address}, Kubernetes knows {', '.join(known_addresses)}"
        yield Finding(
            code="DE206",
            subject=Subject("node", node.name),
            says=f"The node {node.name} is at another address: {text}.",
            evidence=(Evidence("Docker and Kubernetes", text),),
            fix=(devenv_command(facts, "up"),),
            about=frozenset({keys.node(node.name)}),
            affects=EVERYTHING,
        )


def _addresses_in_kubernetes(facts: Facts, node: str) -> list[str]:
    obj = facts.one("Node", "", node)
    if obj is None:
        return []
    addresses = status_of(obj).get("addresses") or ()
    return [a["address"] for a in addresses if a["type"] == "InternalIP"]


@check
def find_cordoned_nodes(facts: Facts) -> Iterator[Finding]:
    """DE211: a node takes no new pods because someone cordoned it.

    It is harmless as long as another node takes them.
    """
    cordoned = cordoned_nodes(facts)
    waiting = list(_pods_kept_out(facts))
    is_fault = bool(waiting) or len(cordoned) == len(facts.of("Node"))
    for node in cordoned:
        name = name_of(node)
        about = frozenset({keys.node(name)})
        yield Finding(
            code="DE211",
            subject=Subject("node", name),
            says=f"The node {name} is cordoned: it takes no new pods{_and_who_waits(waiting)}.",
            evidence=(_cordon_evidence(node), *waiting),
            fix=(kubectl_command(facts, "", "uncordon", name),),
            verdict=Verdict.FAILED if is_fault else Verdict.HARMLESS,
            about=about,
            affects=about,
        )


def _pods_kept_out(facts: Facts) -> Iterator[Evidence]:
    """Yield what the scheduler says of each pod that a cordoned node would not take."""
    for pod in filter(is_lasting, facts.of("Pod")):
        for condition in conditions_of_type(pod, "PodScheduled"):
            message = str(condition.get("message") or "")
            if condition["status"] == "False" and CORDONED in message:
                text = f"{condition.get('reason')}: {message}"
                yield Evidence(f"pod {full_name(pod)}", text, changed_at(condition))


def _and_who_waits(waiting: list[Evidence]) -> str:
    if not waiting:
        return ""
    pods = "1 pod waits" if len(waiting) == 1 else f"{len(waiting)} pods wait"
    return f", and {pods}"


def _cordon_evidence(node: Manifest) -> Evidence:
    """Return since when a node is cordoned: Kubernetes taints it at once."""
    for taint in items_of(node.get("spec"), "taints"):
        if taint.get("key") == "node.kubernetes.io/unschedulable":
            added = parse_time(taint.get("timeAdded"))
            return Evidence(f"node {name_of(node)}", "spec.unschedulable: true", added)
    return Evidence(f"node {name_of(node)}", "spec.unschedulable: true")
