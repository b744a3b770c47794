"""Results, as text or as JSON. The JSON's shape is versioned: tests/unit/ui/test_reports.py freezes it."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from devenv import DEFAULT_CLUSTER, streams
from devenv.errors import DevenvError
from devenv.facts.live import Proof, remedies
from devenv.images.listing import Entry
from devenv.lifecycle.adopt import Adoption
from devenv.lifecycle.down import Removal
from devenv.lifecycle.purge import PurgePlan
from devenv.lifecycle.record import Key
from devenv.lifecycle.status import Status
from devenv.lifecycle.up import Result
from devenv.ports import Node, Space
from devenv.profiles.model import Profile
from devenv.profiles.quantities import show
from devenv.ui import console

VERSION = 1
# Columns from which on there is room for descriptions.
_ROOMY = 110


def envelope(kind: str, result: Any) -> str:
    """Return the JSON that every command prints with `-o json`."""
    return json.dumps({"version": VERSION, "kind": kind, "result": result}, indent=2)


def emit_changes(kind: str, results: Iterable[Any]) -> None:
    """Print each result that differs from the one before, as JSON on one line."""
    previous = None
    for result in results:
        if result != previous:
            line = json.dumps({"version": VERSION, "kind": kind, "result": result})
            console.result().print(line, markup=False, soft_wrap=True)
        if streams.is_unread():
            return
        previous = result


def emit_json(kind: str, result: Any) -> None:
    """Print a result as JSON."""
    console.result().print(envelope(kind, result), markup=False, soft_wrap=True)


def error(problem: DevenvError) -> None:
    """Tell what happened, why, and what to do next, unless it was told already."""
    if not problem.told:
        for line in error_lines(problem):
            console.progress().print(line)
    problem.told = True


def error_lines(problem: DevenvError) -> list[str]:
    """Return what `error` prints, in rich's markup."""
    lines = [
        f"[bold red]Error:[/bold red] {escape(problem.what)}",
        *(f"  {escape(w)}" for w in problem.why.splitlines()),
    ]
    return [*lines, f"[green]→[/green] {escape(problem.next_step)}"] if problem.next_step else lines


def warning(problem: DevenvError, consequence: str) -> None:
    """Warn of something wrong that the command can do without."""
    out = console.progress()
    out.print(f"[yellow]Warning:[/yellow] {escape(problem.what)} {escape(consequence)}")
    for line in problem.why.splitlines():
        out.print(f"  {escape(line)}")


def error_json(problem: DevenvError) -> dict[str, str]:
    """Shape of a look that failed, where a command goes on looking."""
    return {"error": problem.what, "why": problem.why, "next_step": problem.next_step}


def profiles(profiles: list[Profile]) -> None:
    """Show profiles by name."""
    width = max((len(p.name) for p in profiles), default=0)
    for profile in profiles:
        console.result().print(
            f"{escape(profile.name.ljust(width))}  {escape(profile.description)}"
        )


# up and down


def up(result: Result, reason: str = "") -> None:
    """Say that the cluster answers, and once more which profile it has, and why."""
    out = console.result()
    subject = "The cluster" if result.changed else "Nothing to do: the cluster"
    out.print(f"[green]✓[/green] {subject} {escape(result.cluster)} answers on every route.")
    for proof in result.proofs:
        out.print(f"  {proof_line(proof)}", soft_wrap=True)
    out.print(f"Gateway:  {result.url}")
    out.print(f"kubectl:  --context kind-{result.cluster}")
    profile = f"{result.profile} {result.version}".strip()
    out.print(
        f"Profile:  {escape(profile)}{escape(f' ({reason})') if reason else ''}", soft_wrap=True
    )


def up_json(result: Result) -> dict[str, Any]:
    """Shape of `up`."""
    return {
        "cluster": result.cluster, "profile": result.profile, "version": result.version, "url": result.url,
        "changed": result.changed, "requests": [proof_json(p) for p in result.proofs],
    }  # fmt: skip


def adoption(planned: Adoption) -> None:
    """List what would change in a cluster that somebody else made."""
    out = console.progress()
    out.print(
        f"devenv did not make the cluster {escape(planned.cluster)} ({escape(', '.join(planned.nodes))}). In it,"
    )
    out.print(
        f"{len(planned.brought)} objects would be brought, which `devenv down` takes out again:"
    )
    for line in _by_kind(planned.brought):
        out.print(f"  {escape(line)}")
    out.print(
        f"{len(planned.changed)} objects that are there would be changed, which nothing changes back:"
    )
    for line in _by_kind(planned.changed):
        out.print(f"  {escape(line)}")
    out.print(f"{len(planned.images)} images would be loaded into its nodes:")
    for name, how in planned.images.items():
        out.print(
            f"  {escape(name)}{'  in place of what has that name' if how == 'replaced' else ''}"
        )


def _by_kind(keys: Sequence[Key]) -> list[str]:
    kinds: dict[str, list[str]] = {}
    for _, kind, namespace, name in keys:
        kinds.setdefault(kind, []).append(f"{namespace}/{name}" if namespace else name)
    return [f"{kind}: {', '.join(names)}" for kind, names in kinds.items()] or ["none"]


def down(cluster: str, removal: Removal, *, dry_run: bool) -> None:
    """Say what was removed, or would be."""
    out, verb = console.result(), "would remove" if dry_run else "removed"
    if not (removal.nodes or removal.objects or removal.images or removal.stayed):
        out.print(f"There is no cluster {cluster}; nothing to remove.")
    for node in removal.nodes:
        out.print(f"{verb} node {node.name} with its volume")
    for _, kind, namespace, name in removal.objects:
        out.print(f"{verb} {kind} {namespace + '/' if namespace else ''}{name}")
    for image in removal.images:
        out.print(f"{verb} image {image} from the nodes")
    for line in _stayed(removal):
        out.print(f"[bold red]✗[/bold red] stayed: {escape(line)}")


def _stayed(removal: Removal) -> list[str]:
    return [f"{kind} {name}: {reason}" for (_, kind, _, name), reason in removal.stayed.items()]


def down_json(
    cluster: str, removal: Removal, *, dry_run: bool, purged: list[str], stayed: list[str]
) -> dict[str, Any]:
    """Shape of `down`."""
    objects = [
        {"apiVersion": v, "kind": k, "namespace": ns, "name": n} for v, k, ns, n in removal.objects
    ]
    return {
        "cluster": cluster, "dry_run": dry_run, "nodes": [n.name for n in removal.nodes], "objects": objects,
        "images": list(removal.images), "purged": purged, "stayed": [*_stayed(removal), *stayed],
    }  # fmt: skip


def kept_json(plan: PurgePlan) -> dict[str, Any]:
    """Shape of what `down --purge` leaves because other clusters use it."""
    return {"kept": [item.name for item in plan.kept], "other_clusters": list(plan.clusters)}


def to_purge(cluster: str, removal: Removal, plan: PurgePlan) -> None:
    """List what is about to be removed, and what stays, before the question."""
    out = console.progress()
    if not removal.is_empty:
        parts = [f"node {node.name} with its volume" for node in removal.nodes]
        parts += [f"{kind} {name}" for _, kind, _, name in removal.objects]
        parts += [f"image {image} from the nodes" for image in removal.images]
        out.print(f"The cluster {escape(cluster)}:")
        for part in parts:
            out.print(f"            {escape(part)}", soft_wrap=True)
    if plan.items:
        out.print("Images that devenv built, and its caches:")
    for item in plan.items:
        out.print(f"{show(item.size):>10}  {escape(item.name)}", soft_wrap=True)
    _kept(out, plan)


def _kept(out: Console, plan: PurgePlan) -> None:
    """Name the other clusters, and say what stays for them."""
    if not plan.clusters:
        return
    names = escape(", ".join(plan.clusters))
    if not plan.kept:
        out.print(
            f"Other clusters use the same images and caches: {names}. Those clusters stay, and rebuild what they need."
        )
        return
    out.print(f"Kept, because other clusters use it ({names}). Pass --all to remove it, too:")
    for item in plan.kept:
        out.print(f"{show(item.size):>10}  {escape(item.name)}", soft_wrap=True)


def purged(plan: PurgePlan, stayed: list[str], *, dry_run: bool) -> None:
    """Say what was removed besides the cluster, or would be, and what had to stay."""
    out = console.result()
    if dry_run:
        _kept(out, plan)
    for item in plan.items:
        if not any(s.startswith(f"{item.name}:") for s in stayed):
            out.print(
                f"{'would remove' if dry_run else 'removed'} {escape(item.name)}  [dim]{show(item.size)}[/dim]"
            )
    for line in stayed:
        out.print(f"[bold red]✗[/bold red] stayed: {escape(line)}")


def _up(cluster: str) -> str:
    """The command that mends this cluster, to copy."""
    return "devenv up" if cluster == DEFAULT_CLUSTER else f"devenv up --name {cluster}"


def stop(cluster: str, nodes: list[Node]) -> None:
    """Say what was stopped."""
    out = console.result()
    for node in nodes:
        out.print(f"stopped {node.name}")
    out.print(
        f"Start {cluster} again with `{_up(cluster)}`."
        if nodes
        else f"Nothing of the cluster {cluster} is running."
    )


def restarted(names: list[str], proofs: Iterable[Proof]) -> None:
    """Say what was restarted, and that every route answers."""
    out = console.result()
    for name in names:
        out.print(f"restarted {escape(name)}")
    for proof in proofs:
        out.print(f"  {proof_line(proof)}")


# request


def proof_line(proof: Proof) -> str:
    """One line: did the request prove its route, and by what; where not, why not."""
    failures = f": {escape('; '.join(proof.failures))}" if proof.failures else ""
    return f"{_proof_head(proof)}{failures}"


def _proof_head(proof: Proof) -> str:
    mark = "[green]✓[/green]" if proof.ok else "[bold red]✗[/bold red]"
    took = f"{proof.answer.status} in {proof.answer.seconds * 1000:.0f} ms"
    return f"{mark} {escape(proof.name.ljust(10))} {took:<15} {escape(proof.pod or 'no pod')}"


def request(proof: Proof, url: str) -> None:
    """Show an answer and what proves its route."""
    out = console.result()
    out.print(f"{_proof_head(proof)}  [dim]{url}[/dim]")
    line = proof.line
    rows = [("answer", proof.answer.body.strip() or proof.answer.error)]
    rows += [
        (name, value)
        for name, value in proof.answer.headers.items()
        if name.startswith(("x-", "target-pod", "routing-"))
    ]
    if line is None:
        rows.append(("access log", "has not got the request's line yet"))
    else:
        rows += [
            ("route", line.route),
            ("cluster", line.cluster),
            ("flags", line.flags),
            ("details", line.details),
        ]
        rows += [("upstream", line.upstream)]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        out.print(f"[dim]{name:<{width}}[/dim]  {escape(value)}")
    for failure in proof.failures:
        out.print(f"[bold red]✗[/bold red] {escape(failure)}")
    if proof.lasting:
        for remedy in remedies([proof]):
            out.print(f"[green]→[/green] {escape(remedy)}", soft_wrap=True)


def proof_json(proof: Proof) -> dict[str, Any]:
    """Shape of one proof. `access_log` is null while the log has not got the line."""
    answer, line = proof.answer, proof.line
    return {
        "name": proof.name, "route": proof.route.value, "ok": proof.ok, "failures": list(proof.failures), "pod": proof.pod,
        "answer": {"status": answer.status, "seconds": round(answer.seconds, 4), "headers": dict(answer.headers),
                   "body": answer.body, "error": answer.error},
        "access_log": line and {"route": line.route, "cluster": line.cluster, "flags": line.flags, "details": line.details,
                                "upstream": line.upstream},
    }  # fmt: skip


# status


def status(state: Status) -> None:
    """Show the cluster."""
    for line in status_lines(state):
        console.result().print(line)


def status_lines(state: Status) -> list[str]:
    """Return the lines that show the cluster, in rich's markup."""
    lines = (
        [f"[yellow]being changed by {escape(state.changing)}[/yellow]"] if state.changing else []
    )
    if not state.nodes:
        return [
            *lines,
            f"There is no cluster {escape(state.cluster)}. Make it with `{_up(state.cluster)}`.",
        ]
    nodes = ", ".join(f"{n.name} {n.status}" for n in state.nodes)
    lines.append(f"cluster  {escape(state.cluster)}  [dim]({escape(nodes)})[/dim]")
    lines.append(f"profile  {escape(state.profile)}")
    if state.components:
        lines.append(f"gateway  {state.url}")
    else:
        lines.append(f"It is not running. Start it again with `{_up(state.cluster)}`.")
    width = max((len(c.name) for c in state.components), default=0)
    if state.silence:
        lines.append(f"[dim]?[/dim] {escape(state.silence)}")
        lines.append(f"  State unknown: {escape(', '.join(c.name for c in state.components))}.")
    for component in () if state.silence else state.components:
        mark = (
            "[dim]?[/dim]"
            if component.unknown
            else "[bold red]✗[/bold red]"
            if component.missing
            else "[green]✓[/green]"
        )
        lines.append(
            f"{mark} {escape(component.name.ljust(width))}  {escape(component.unknown or component.missing or 'ready')}"
        )
    for name, space in state.disks.items():
        inodes = f"[dim]{space.free_inodes} inodes free[/dim]"
        lines.append(
            f"disk     {escape(name)}: {show(space.free)} of {show(space.total)} free  {inodes}"
        )
    return lines


def status_json(state: Status) -> dict[str, Any]:
    """Shape of `status`."""
    return {
        "cluster": state.cluster, "profile": state.profile, "url": state.url, "ready": state.ready,
        "changing": state.changing, "silence": state.silence,
        "nodes": [{"name": n.name, "status": n.status} for n in state.nodes],
        "components": [{"name": c.name, "resource": c.resource, "ready": not (c.missing or c.unknown),
                        "missing": c.missing, "unknown": c.unknown} for c in state.components],
        "disks": {name: space_json(space) for name, space in state.disks.items()},
    }  # fmt: skip


def space_json(space: Space) -> dict[str, int]:
    """Shape of one disk: bytes and inodes."""
    return {
        "free": space.free,
        "total": space.total,
        "free_inodes": space.free_inodes,
        "total_inodes": space.total_inodes,
    }


# images


def images(entries: list[Entry]) -> None:
    """Show the recipes, whether they are built, and what they take."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("recipe", "version", "state", "size", "to build"):
        table.add_column(column, no_wrap=True)
    roomy = console.result().width >= _ROOMY
    if roomy:
        table.add_column("what it is", overflow="ellipsis", no_wrap=True)
    for entry in entries:
        state = "[green]built[/green]" if entry.built else "[dim]missing[/dim]"
        size = show(entry.size) if entry.built else ""
        cost = "" if entry.built else f"{entry.seconds} s"
        row = (entry.name, entry.version, state, size, cost, escape(entry.description))
        table.add_row(*row if roomy else row[:-1])
    console.result().print(table)


def images_json(entries: list[Entry]) -> list[dict[str, Any]]:
    """Shape of `images list`."""
    return [
        {
            "name": e.name,
            "version": e.version,
            "key": e.key,
            "ref": e.ref,
            "built": e.built,
            "size": e.size,
            "seconds": e.seconds,
        }
        for e in entries
    ]
