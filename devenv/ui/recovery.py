"""A recovery: the plan before it, what was done after it."""

from typing import Any

from rich.console import Console
from rich.markup import escape

from devenv.recovery.plan import Kind, Planned
from devenv.recovery.recover import Proposal, Recovery
from devenv.ui import console
from devenv.ui.diagnosis import shape
from devenv.ui.disk import removal_lines, thing_shape
from devenv.ui.reports import emit_json, proof_json, proof_line

_WORDS = {
    Kind.ROOM: "make room on {}, as `devenv prune --caches` does, until it is at its low mark",
    Kind.START: "start the node {}",
    Kind.CONTEXT: "write the context {} into the kubeconfig again (kind makes it the current one)",
    Kind.PUT_BACK: "put back what the profile {} has",
    Kind.SCALE: "scale {} up again",
    Kind.UNDO: "return {} to the image that was proven before",
    Kind.RESTART: "restart {}, and await its gates; a leader's lease whose pod is gone is deleted",
}


def proposal(proposed: Proposal) -> None:
    """Show what is wrong and what is about to be done, before anybody is asked."""
    _show(console.progress(), proposed)


def planned(proposed: Proposal) -> None:
    """Show the same as a result."""
    _show(console.result(), proposed)


def _show(out: Console, proposed: Proposal) -> None:
    for cause in proposed.diagnosis.causes:
        out.print(
            f"[bold red]✗[/bold red] [bold]{cause.root.code}[/bold] {escape(cause.root.says)}"
        )
    if proposed.diagnosis.healthy:
        out.print("[green]✓[/green] Nothing to repair.")
    for cause in proposed.diagnosis.progress:
        out.print(f"[yellow]…[/yellow] {escape(cause.root.says)}")
    for what, reason in proposed.diagnosis.unknown:
        out.print(f"[yellow]?[/yellow] {escape(what)} could not be read: {escape(reason)}")
    for line in _steps(proposed):
        out.print(line, soft_wrap=True)
    for finding in proposed.plan.beyond:
        out.print(f"devenv can't mend {finding.code} itself:")
        for fix in finding.fix:
            out.print(f"  {escape(fix)}", soft_wrap=True)


def _steps(proposed: Proposal) -> list[str]:
    """Return the plan's lines, in rich's markup; none where there is nothing to do."""
    if not proposed.plan.steps:
        return []
    shown = ["Plan:"]
    for number, step in enumerate(proposed.plan.steps, 1):
        shown.append(f"  {number}. {escape(words(step))}  [dim]({', '.join(step.codes)})[/dim]")
        shown += [f"       {escape(line)}" for line in _details(step, proposed)]
    codes = dict.fromkeys(code for step in proposed.plan.steps for code in step.codes)
    final_step = f"prove with the live requests that it is repaired ({', '.join(codes)})"
    return [*shown, f"  {len(proposed.plan.steps) + 1}. {final_step}"]


def words(step: Planned) -> str:
    """Return what a step does."""
    return _WORDS[step.kind].format(step.target)


def _details(step: Planned, proposed: Proposal) -> list[str]:
    if step.kind is Kind.ROOM:
        rooms = [s.target for s in proposed.plan.steps if s.kind is Kind.ROOM]
        room = proposed.room[rooms.index(step.target)]
        return [line for planned in room.plans for line in removal_lines(planned)] or [
            "nothing on it may go"
        ]
    if step.kind is Kind.PUT_BACK:
        return [str(d) for d in proposed.drifts] or [
            "no object is missing or changed; other images than the profile's are replaced"
        ]
    return []


def recovery(result: Recovery) -> None:
    """Say what was done, and that it works."""
    out = console.result()
    if not result.done:
        message = f"Nothing to repair: the cluster {result.cluster} answers on every route."
    else:
        message = f"The cluster {result.cluster} is repaired ({', '.join(result.repaired)}) and answers on every route."
    for proof in result.proofs:
        out.print(f"  {proof_line(proof)}")
    out.print(f"[green]✓[/green] {escape(message)}")


def recovery_json(result: Recovery) -> None:
    """Print a recovery as JSON."""
    emit_json("recover", recovery_shape(result))


def recovery_shape(result: Recovery) -> dict[str, Any]:
    """Shape of `recover`."""
    return {
        "cluster": result.cluster, "before": shape(result.before), "after": shape(result.after),
        "done": [step_shape(s) for s in result.done], "repaired": list(result.repaired),
        "requests": [proof_json(p) for p in result.proofs],
    }  # fmt: skip


def planned_json(cluster: str, proposed: Proposal) -> None:
    """Print a plan as JSON."""
    emit_json("recover-plan", plan_shape(cluster, proposed))


def plan_shape(cluster: str, proposed: Proposal) -> dict[str, Any]:
    """Shape of `recover --dry-run`. Sizes in bytes."""
    return {
        "cluster": cluster, "diagnosis": shape(proposed.diagnosis), "steps": [step_shape(s) for s in proposed.plan.steps],
        "removals": [
            {**thing_shape(r.thing), "frees": r.frees} for room in proposed.room for p in room.plans for r in p.removals
        ],
        "put_back": [str(d) for d in proposed.drifts],
        "beyond": [{"code": f.code, "says": f.says, "fix": list(f.fix)} for f in proposed.plan.beyond],
    }  # fmt: skip


def step_shape(step: Planned) -> dict[str, Any]:
    """Shape of one step. `code` is the first of `codes`, the roots that it is for."""
    return {
        "kind": step.kind.name.lower(),
        "target": step.target,
        "code": step.reason,
        "codes": list(step.codes),
    }
