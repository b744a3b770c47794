"""`status`, `stop` and `restart`: the state of the cluster and its components."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from rich.markup import escape

from devenv.base.counting import counted
from devenv.base.json_types import JsonObject
from devenv.cluster.status import ComponentState, Status
from devenv.cluster.workload_state import WorkloadState
from devenv.facts.live import Proof
from devenv.ports.containers import Node
from devenv.ports.host import Space
from devenv.profiles.quantities import show
from devenv.ui.marks import CHECK, CROSS, bold, dim, up_command
from devenv.ui.proofs import print_proofs, proof_shapes
from devenv.ui.render import Report, shapes
from devenv.ui.table import INDENT, wrapped
from devenv.ui.times import age

_UNKNOWN = "[yellow]?[/yellow]"
_HEADINGS = ("COMPONENT", "STATE", "REPLICAS", "RESTARTS", "AGE")
# Headings of the columns that are aligned to the right.
_NUMBERS = {"REPLICAS", "RESTARTS", "AGE"}
# What stands for nothing, and for what is unknown.
_NOTHING, _UNREAD = "-", "?"
# Between two columns.
_GAP = "  "
# What the name of an image need not tell.
_DOCKER_HUB = ("docker.io/library/", "docker.io/")


def status(state: Status) -> Report:
    """Report the cluster's components and disks."""

    def text(out: Console) -> None:
        for line in status_lines(state, out.width):
            out.print(line)

    return Report("status", lambda: status_shape(state), text)


def status_lines(state: Status, width: int) -> list[str]:
    """Return the lines that show the cluster, in rich's markup, for so many columns."""
    lines = []
    if state.changing:
        lines.append(f"[yellow]being changed by {escape(state.changing)}[/yellow]")
    if not state.nodes:
        cluster, command = escape(state.cluster), up_command(state.cluster)
        lines.append(f"The cluster {cluster} does not exist. Create it with `{command}`.")
        return lines
    lines += head_lines(state)
    lines += component_lines(state, width)
    lines += disk_lines(state)
    return lines


def head_lines(state: Status) -> list[str]:
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


# Components


@dataclass(frozen=True)
class _Row:
    """One component. `details` explain its state, on lines of their own."""

    mark: str
    cells: tuple[str, ...]
    images: tuple[str, ...] = ()
    details: tuple[str, ...] = ()


def component_lines(state: Status, width: int, *, images_below: bool = True) -> list[str]:
    """Return a table of the components, or why no state is known.

    Where a row with its images is too wide, they stand below it, or with `images_below` false, a
    line says how to see them.
    """
    if state.silence:
        unknown_names = ", ".join(component.name for component in state.components)
        return [
            f"{_UNKNOWN} {escape(state.silence)}",
            f"  State unknown: {escape(unknown_names)}.",
        ]
    if not state.components:
        return []
    rows = [_row(component, state.time) for component in state.components]
    columns = zip(_HEADINGS, *(row.cells for row in rows), strict=True)
    widths = [max(map(len, cells)) for cells in columns]
    # The mark and its gap come first.
    used = 2 + sum(widths) + len(_GAP) * len(widths)
    needed = used + max(len(_joined(row.images)) for row in rows)
    are_beside = needed <= width
    lines = [bold(_heading(widths, are_beside=are_beside))]
    for row in rows:
        shown_row = row if are_beside or images_below else replace(row, images=())
        lines += _row_lines(shown_row, widths, width, are_beside=are_beside)
    if not (are_beside or images_below):
        lines.append(dim(f"  IMAGE needs {needed} columns; `devenv status` shows it, too."))
    return lines


def _heading(widths: Sequence[int], *, are_beside: bool) -> str:
    heading = f"  {_aligned(_HEADINGS, widths)}"
    return f"{heading}{_GAP}IMAGE" if are_beside else heading


def _row_lines(row: _Row, widths: Sequence[int], width: int, *, are_beside: bool) -> list[str]:
    line = f"{row.mark} {escape(_aligned(row.cells, widths))}"
    below: list[str] = []
    if are_beside:
        line += f"{_GAP}{escape(_joined(row.images))}"
    else:
        below += [dim(f"{INDENT}{image}") for image in row.images]
    for detail in row.details:
        below += map(escape, wrapped(detail, width))
    return [line.rstrip(), *below]


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    aligned_cells = []
    for heading, cell, width in zip(_HEADINGS, cells, widths, strict=True):
        is_number = heading in _NUMBERS
        aligned_cells.append(cell.rjust(width) if is_number else cell.ljust(width))
    return _GAP.join(aligned_cells)


def _row(component: ComponentState, time: float) -> _Row:
    mark, word = _verdict(component)
    created = component.created
    age_cell = age(time - created) if created else _age_unknown(component)
    workload = component.workload
    if workload is None:
        restarts = replicas = _UNREAD if component.unknown else _NOTHING
        cells = (component.name, word, replicas, restarts, age_cell)
        return _Row(mark, cells, details=_details(component))
    replicas = f"{workload.ready}/{workload.desired}"
    cells = (component.name, word, replicas, str(workload.restarts), age_cell)
    images = tuple(map(_short_image, workload.images))
    return _Row(mark, cells, images, _details(component))


def _verdict(component: ComponentState) -> tuple[str, str]:
    """Return the mark and the word of a component's state."""
    if component.unknown:
        return _UNKNOWN, "unknown"
    if component.missing:
        return CROSS, "not ready"
    return CHECK, "ready"


def _age_unknown(component: ComponentState) -> str:
    return _UNREAD if component.unknown else _NOTHING


def _details(component: ComponentState) -> tuple[str, ...]:
    """Return what a component lacks, and what Kubernetes says about it."""
    reason = component.workload.reason if component.workload else ""
    return tuple(filter(None, (component.unknown, component.missing, reason)))


def _joined(images: Sequence[str]) -> str:
    return ", ".join(images)


def _short_image(reference: str) -> str:
    """Return an image's name without the registry that everybody knows, and without its digest."""
    name, _, _ = reference.partition("@")
    for prefix in _DOCKER_HUB:
        name = name.removeprefix(prefix)
    return name


# Disks


def disk_lines(state: Status) -> list[str]:
    """Return one line a disk, with the sizes below each other."""
    rows = [_disk_row(name, space) for name, space in state.disks.items()]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return [_disk_line(row, widths) for row in rows]


def _disk_row(name: str, space: Space) -> tuple[str, ...]:
    return (f"{name}:", show(space.free), show(space.total), str(space.free_inodes))


def _disk_line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, *sizes = cells
    name_width, *size_widths = widths
    free, total, inodes = map(str.rjust, sizes, size_widths)
    note = dim(f"{inodes} inodes free")
    return f"disk     {escape(name.ljust(name_width))} {free} of {total} free  {note}"


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
    """Shape of a component; `created` is in seconds since 1970, null if unknown."""
    return {
        "name": component.name,
        "resource": component.resource,
        "ready": not (component.missing or component.unknown),
        "missing": component.missing,
        "unknown": component.unknown,
        "created": int(component.created) or None,
        **_workload_shape(component.workload),
    }


def _workload_shape(workload: WorkloadState | None) -> JsonObject:
    """Shape of a component's pods; a component without pods has null for their numbers."""
    if workload is None:
        return {"replicas": None, "restarts": None, "images": [], "reason": ""}
    return {
        "replicas": {"ready": workload.ready, "desired": workload.desired},
        "restarts": workload.restarts,
        "images": list(workload.images),
        "reason": workload.reason,
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
    """Report that every route answers after the restart. The steps have named each component."""

    def text(out: Console) -> None:
        components = counted(len(names), "component")
        out.print(f"{CHECK} Restarted {components} of {escape(cluster)}; every route answers.")
        print_proofs(out, proofs)

    def content() -> JsonObject:
        return {
            "cluster": cluster,
            "components": list(names),
            "requests": proof_shapes(proofs),
        }

    return Report("restart", content, text)
