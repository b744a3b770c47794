"""A reloaded image: the plan, and what came of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape

from devenv.lifecycle.proven import Return, short
from devenv.lifecycle.record import ProvenImage
from devenv.profiles.quantities import show
from devenv.reload.load import Moved
from devenv.reload.plan import Move, Plan
from devenv.reload.reload import Result
from devenv.reload.rollout import Renewed
from devenv.reload.undo import Returned
from devenv.ui import console
from devenv.ui.reports import emit_json, proof_json, proof_line


def plan(planned: Plan) -> None:
    """Show what would move, and who would be restarted."""
    out = console.result()
    for move in planned.moves:
        out.print(f"{escape(move.ref)} → {escape(move.name)}: {_how(move)}", soft_wrap=True)
    names = ", ".join(u.name for u in planned.users) or "none"
    out.print(f"workloads that use it: {escape(names)}")


def _how(move: Move) -> str:
    if not move.nodes:
        return "nothing to move, it is in every node"
    if not move.layers:
        return f"{move.way}, no layer is missing, into {', '.join(move.nodes)}"
    what = f"{len(move.layers)} of {len(move.image.layers)} layers, at most {show(move.bytes(move.layers))}"
    return f"{move.way}, {what}, into {', '.join(move.nodes)}"


def result(reloaded: Result) -> None:
    """Say what moved and what runs."""
    out = console.result()
    for moved in reloaded.moved:
        size = f"{show(moved.sent)} of {show(moved.move.image.size)} sent"
        out.print(
            f"[green]✓[/green] {escape(moved.move.name)}  [dim]{moved.move.way}, {size}, {moved.seconds['move']:.1f} s[/dim]"
        )
    _renewed(reloaded.renewed)


def _renewed(renewed: Renewed) -> None:
    out = console.result()
    if renewed.restarted:
        out.print(f"restarted  {escape(', '.join(renewed.restarted))}")
    if renewed.pods:
        out.print(f"running it {escape(', '.join(renewed.pods))}")
    for proof in renewed.proofs:
        out.print(f"  {proof_line(proof)}")


def returned(result: Returned) -> None:
    """Say to which images the cluster returned, and what runs."""
    out = console.result()
    for name, image in result.images.items():
        out.print(
            f"[green]✓[/green] {escape(name)}  [dim]returned to {short(image)}, {result.seconds:.1f} s[/dim]"
        )
    _renewed(result.renewed)


def returned_json(result: Returned) -> None:
    """Print a return as JSON."""
    emit_json("reload-undo", returned_shape(result))


def returned_shape(result: Returned) -> dict[str, Any]:
    """Shape of `reload-image --undo`. `proven` is in seconds since 1970, 0 for what was there before."""
    return {
        "cluster": result.cluster,
        "images": [_image_shape(name, image) for name, image in result.images.items()],
        **_renewed_shape(result.renewed),
        "seconds": round(result.seconds, 3),
    }


def _renewed_shape(renewed: Renewed) -> dict[str, Any]:
    requests = [proof_json(p) for p in renewed.proofs]
    return {"restarted": list(renewed.restarted), "pods": list(renewed.pods), "requests": requests}


def _image_shape(name: str, image: ProvenImage) -> dict[str, Any]:
    return {"name": name, "digest": image.digest, "proven": image.time}


def return_plan(cluster: str, returns: Sequence[Return], *, as_json: bool) -> None:
    """Show what a return would do."""
    if as_json:
        images = [{"node": r.node.name, **_image_shape(r.name, r.image)} for r in returns]
        emit_json("reload-undo-plan", {"cluster": cluster, "images": images})
        return
    for image_return in returns:
        console.result().print(
            f"{escape(image_return.name)} in {image_return.node.name}: return to {short(image_return.image)}",
            soft_wrap=True,
        )


def round_line(reloaded: Result, changed: list[str]) -> None:
    """Show one round of `--watch`: what changed, and the time of each part."""
    parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in reloaded.seconds.items())
    what = (
        f"{Path(changed[0]).name}{f' and {len(changed) - 1} more' if len(changed) > 1 else ''}"
        if changed
        else "first round"
    )
    proven = f"{sum(p.ok for p in reloaded.renewed.proofs)} of {len(reloaded.renewed.proofs)} requests proven"
    console.result().print(f"[green]✓[/green] {escape(what)}: {parts}, {proven}")


def result_json(reloaded: Result) -> None:
    """Print a reload as JSON."""
    emit_json("reload-image", result_shape(reloaded))


def result_shape(reloaded: Result) -> dict[str, Any]:
    """Shape of `reload-image`. Sizes in bytes."""
    return {
        "cluster": reloaded.cluster, "images": [_moved_shape(m) for m in reloaded.moved],
        **_renewed_shape(reloaded.renewed),
        "seconds": {part: round(taken, 3) for part, taken in reloaded.seconds.items()},
    }  # fmt: skip


def _moved_shape(moved: Moved) -> dict[str, Any]:
    return {
        **move_shape(moved.move),
        "digest": moved.digest,
        "sent": moved.sent,
        "seconds": {k: round(v, 3) for k, v in moved.seconds.items()},
    }


def move_shape(move: Move) -> dict[str, Any]:
    """Shape of one image on its way."""
    return {
        "ref": move.ref, "name": move.name, "way": move.way.value, "nodes": list(move.nodes), "size": move.image.size,
        "layers": len(move.image.layers),
        "missing": [
            {"layer": d, "bytes": b} for d, b in zip(move.image.layers, move.source.sizes, strict=True) if d in move.layers
        ],
    }  # fmt: skip


def plan_json(cluster: str, planned: Plan) -> None:
    """Print a plan as JSON."""
    emit_json("reload-plan", plan_shape(cluster, planned))


def plan_shape(cluster: str, planned: Plan) -> dict[str, Any]:
    """Shape of `reload-image --dry-run`."""
    return {
        "cluster": cluster,
        "images": [move_shape(m) for m in planned.moves],
        "workloads": [u.name for u in planned.users],
    }
