"""`reload-image`: the plan, what moved, and what runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from devenv.base.counting import counted
from devenv.base.json_types import JsonObject
from devenv.profiles.quantities import show
from devenv.reload.load import Moved
from devenv.reload.moves import Move
from devenv.reload.plan import Plan
from devenv.reload.reload import Result
from devenv.reload.rollout import Renewed
from devenv.reload.undo import Returned
from devenv.state.proven import Return, short
from devenv.state.record import ProvenImage
from devenv.ui import console
from devenv.ui.console import print_line
from devenv.ui.marks import CHECK, dim
from devenv.ui.proofs import print_proofs, proof_shapes
from devenv.ui.render import Report, json_line, shapes


def plan(cluster: str, planned: Plan) -> Report:
    """Report what would move, and which workloads would be restarted."""
    workloads = [user.name for user in planned.workloads]

    def text(out: Console) -> None:
        for move in planned.moves:
            names = f"{escape(move.ref)} → {escape(move.name)}"
            print_line(out, f"{names}: {_describe_move(move)}")
        users = ", ".join(workloads) or "none"
        out.print(f"workloads that use it: {escape(users)}")

    def content() -> JsonObject:
        return {
            "cluster": cluster,
            "images": shapes(move_shape, planned.moves),
            "workloads": workloads,
        }

    return Report("reload-plan", content, text)


def _describe_move(move: Move) -> str:
    """Say in which way an image would move, how much of it, and into which nodes."""
    if not move.nodes:
        return "nothing to move, it is in every node"
    nodes = ", ".join(move.nodes)
    if not move.layers:
        return f"{move.way}, no layer is missing, into {nodes}"
    count = f"{len(move.layers)} of {counted(len(move.image.layers), 'layer')}"
    size = show(move.bytes(move.layers))
    return f"{move.way}, {count}, at most {size}, into {nodes}"


def move_shape(move: Move) -> JsonObject:
    """Shape of one image that moves. Sizes in bytes."""
    return {
        "ref": move.ref,
        "name": move.name,
        "way": move.way.value,
        "nodes": list(move.nodes),
        "size": move.image.size,
        "layers": len(move.image.layers),
        "missing": _missing_layers(move),
    }


def _missing_layers(move: Move) -> list[JsonObject]:
    """Shape of the layers that must move."""
    layers = zip(move.image.layers, move.source.sizes, strict=True)
    return [{"layer": layer, "bytes": size} for layer, size in layers if layer in move.layers]


def result(reloaded: Result) -> Report:
    """Report what moved and what runs."""

    def text(out: Console) -> None:
        for moved in reloaded.moved:
            name = escape(moved.move.name)
            out.print(f"{CHECK} {name}  {dim(_cost(moved))}")
        _print_renewed(out, reloaded.renewed)

    return Report("reload-image", lambda: result_shape(reloaded), text)


def _cost(moved: Moved) -> str:
    """Say in which way an image moved, what was sent of it, and how long that took."""
    move, seconds = moved.move, moved.seconds["move"]
    sent, size = show(moved.sent), show(move.image.size)
    return f"{move.way}, {sent} of {size} sent, {seconds:.1f} s"


def _print_renewed(out: Console, renewed: Renewed) -> None:
    """Print what was restarted, which pods run the image, and what the requests proved."""
    if renewed.restarted:
        restarted = ", ".join(renewed.restarted)
        out.print(f"restarted  {escape(restarted)}")
    if renewed.pods:
        pods = ", ".join(renewed.pods)
        out.print(f"running in {escape(pods)}")
    print_proofs(out, renewed.proofs)


def result_shape(reloaded: Result) -> JsonObject:
    """Shape of `reload-image`. Sizes in bytes."""
    return {
        "cluster": reloaded.cluster,
        "images": shapes(_moved_shape, reloaded.moved),
        **_renewed_shape(reloaded.renewed),
        "seconds": _rounded(reloaded.seconds),
    }


def _moved_shape(moved: Moved) -> JsonObject:
    return {
        **move_shape(moved.move),
        "digest": moved.digest,
        "sent": moved.sent,
        "seconds": _rounded(moved.seconds),
    }


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    """Round the seconds of each part to milliseconds."""
    return {part: round(taken, 3) for part, taken in seconds.items()}


def _renewed_shape(renewed: Renewed) -> JsonObject:
    return {
        "restarted": list(renewed.restarted),
        "pods": list(renewed.pods),
        "requests": proof_shapes(renewed.proofs),
    }


def return_plan(cluster: str, returns: Sequence[Return]) -> Report:
    """Report what a return to proven images would do."""

    def text(out: Console) -> None:
        for planned in returns:
            where = f"{escape(planned.name)} in {planned.node.name}"
            print_line(out, f"{where}: return to {short(planned.image)}")

    def content() -> JsonObject:
        return {"cluster": cluster, "images": shapes(_return_shape, returns)}

    return Report("reload-undo-plan", content, text)


def _return_shape(planned: Return) -> JsonObject:
    return {"node": planned.node.name, **_image_shape(planned.name, planned.image)}


def returned(result: Returned) -> Report:
    """Report to which images the cluster returned, and what runs."""

    def text(out: Console) -> None:
        for name, image in result.images.items():
            note = f"returned to {short(image)}, {result.seconds:.1f} s"
            out.print(f"{CHECK} {escape(name)}  {dim(note)}")
        _print_renewed(out, result.renewed)

    return Report("reload-undo", lambda: returned_shape(result), text)


def returned_shape(result: Returned) -> JsonObject:
    """Shape of `reload-image --undo`. `proven`: seconds since 1970, 0 if it was there before."""
    return {
        "cluster": result.cluster,
        "images": [_image_shape(name, image) for name, image in result.images.items()],
        **_renewed_shape(result.renewed),
        "seconds": round(result.seconds, 3),
    }


def _image_shape(name: str, image: ProvenImage) -> JsonObject:
    return {
        "name": name,
        "digest": image.digest,
        "proven": image.time,
    }


def print_round(reloaded: Result, changed_files: Sequence[str], output: str) -> None:
    """Print one round of `--watch`: what changed, and the time of each part; or JSON on a line."""
    if output == "json":
        shape = {**result_shape(reloaded), "changed": list(changed_files)}
        console.result().print(json_line("reload-image", shape), markup=False, soft_wrap=True)
        return
    subject = escape(_describe(changed_files))
    parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in reloaded.seconds.items())
    results = [proof.ok for proof in reloaded.renewed.proofs]
    proven = f"{results.count(True)} of {counted(len(results), 'request')} proven"
    console.result().print(f"{CHECK} {subject}: {parts}, {proven}")


def _describe(changed_files: Sequence[str]) -> str:
    if not changed_files:
        return "first round"
    name = Path(changed_files[0]).name
    if len(changed_files) == 1:
        return name
    return f"{name} and {len(changed_files) - 1} more"
