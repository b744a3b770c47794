"""`status`, `stop` and `restart`: the state of the cluster and its components."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from devenv.base.json_types import JsonObject
from devenv.cluster.status import ComponentState, Status
from devenv.facts.live import Proof
from devenv.ports.containers import Node
from devenv.ports.host import Space
from devenv.profiles.quantities import show
from devenv.ui.marks import CHECK, CROSS, dim, up_command
from devenv.ui.proofs import print_proofs, proof_shapes
from devenv.ui.render import Report, shapes

_UNKNOWN = "[dim]?[/dim]"


def status(state: Status) -> Report:
    """Report the cluster's components and disks."""

    def text(out: Console) -> None:
        for line in status_lines(state):
            out.print(line)

    return Report("status", lambda: status_shape(state), text)


def status_lines(state: Status) -> list[str]:
    """Return the lines that show the cluster, in rich's markup."""
    lines = []
    if state.changing:
        lines.append(f"[yellow]being changed by {escape(state.changing)}[/yellow]")
    if not state.nodes:
        cluster, command = escape(state.cluster), up_command(state.cluster)
        lines.append(f"The cluster {cluster} does not exist. Create it with `{command}`.")
        return lines
    lines += _head_lines(state)
    lines += _component_lines(state)
    lines += [_disk_line(name, space) for name, space in state.disks.items()]
    return lines


def _head_lines(state: Status) -> list[str]:
    """Return the cluster, its profile, and how to reach it or start it again."""
    nodes = ", ".join(f"{node.name} {node.status}" for node in state.nodes)
    note = dim(f"({nodes})")
    lines = [
        f"cluster  {escape(state.cluster)}  {note}",
        f"profile  {escape(state.profile)}",
    ]
    if state.components:
        lines.append(f"gateway  {state.url}")
    else:
        lines.append(f"It is not running. Start it again with `{up_command(state.cluster)}`.")
    return lines


def _component_lines(state: Status) -> list[str]:
    """Return the state of each component, or why no state is known."""
    names = [component.name for component in state.components]
    if state.silence:
        unknown_names = ", ".join(names)
        return [
            f"{_UNKNOWN} {escape(state.silence)}",
            f"  State unknown: {escape(unknown_names)}.",
        ]
    width = max(map(len, names), default=0)
    return [_component_line(component, width) for component in state.components]


def _component_line(component: ComponentState, width: int) -> str:
    name = escape(component.name.ljust(width))
    if component.unknown:
        return f"{_UNKNOWN} {name}  {escape(component.unknown)}"
    if component.missing:
        return f"{CROSS} {name}  {escape(component.missing)}"
    return f"{CHECK} {name}  ready"


def _disk_line(name: str, space: Space) -> str:
    free, total = show(space.free), show(space.total)
    inodes = dim(f"{space.free_inodes} inodes free")
    return f"disk     {escape(name)}: {free} of {total} free  {inodes}"


def status_shape(state: Status) -> JsonObject:
    """Shape of `status`."""
    return {
        "cluster": state.cluster,
        "profile": state.profile,
        "url": state.url,
        "ready": state.ready,
        "changing": state.changing,
        "silence": state.silence,
        "nodes": shapes(_node_shape, state.nodes),
        "components": shapes(_component_shape, state.components),
        "disks": {name: _space_shape(space) for name, space in state.disks.items()},
    }


def _node_shape(node: Node) -> JsonObject:
    return {"name": node.name, "status": node.status}


def _component_shape(component: ComponentState) -> JsonObject:
    return {
        "name": component.name,
        "resource": component.resource,
        "ready": not (component.missing or component.unknown),
        "missing": component.missing,
        "unknown": component.unknown,
    }


def _space_shape(space: Space) -> JsonObject:
    return {
        "free": space.free,
        "total": space.total,
        "free_inodes": space.free_inodes,
        "total_inodes": space.total_inodes,
    }


def stopped(cluster: str, nodes: Sequence[Node]) -> Report:
    """Report which nodes were stopped, and how to start them again."""
    names = [node.name for node in nodes]

    def text(out: Console) -> None:
        for name in names:
            out.print(f"stopped {name}")
        if names:
            out.print(f"Start {cluster} again with `{up_command(cluster)}`.")
        else:
            out.print(f"The cluster {cluster} is not running.")

    return Report("stop", lambda: {"cluster": cluster, "nodes": names}, text)


def restarted(cluster: str, names: Sequence[str], proofs: Sequence[Proof]) -> Report:
    """Report what was restarted, and that every route answers."""

    def text(out: Console) -> None:
        for name in names:
            out.print(f"restarted {escape(name)}")
        print_proofs(out, proofs)

    def content() -> JsonObject:
        return {
            "cluster": cluster,
            "components": list(names),
            "requests": proof_shapes(proofs),
        }

    return Report("restart", content, text)
