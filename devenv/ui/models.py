"""Models: what was added, what each part of AIBrix sees, what was removed."""

from collections.abc import Sequence
from typing import Any

from rich.markup import escape

from devenv.facts.live import Proof
from devenv.lifecycle.models import Seen, Wanted
from devenv.ports import Manifest
from devenv.ui import console
from devenv.ui.reports import emit_json, proof_json, proof_line


def added(model: Wanted, proofs: Sequence[Proof], url: str) -> None:
    """Say that the model answers, and how to ask it."""
    out = console.result()
    out.print(f"[green]✓[/green] The model {escape(model.name)} answers.")
    for proof in proofs:
        out.print(f"  {proof_line(proof)}", soft_wrap=True)
    out.print(f"Gateway:  {url}")


def added_json(model: Wanted, proofs: Sequence[Proof]) -> None:
    """Print the same as JSON."""
    emit_json("model", {
        "name": model.name, "namespace": model.namespace, "object": model.slug,
        "requests": [proof_json(p) for p in proofs],
    })  # fmt: skip


def listed(models: Sequence[Seen]) -> None:
    """Show each model, and what its parts lack."""
    out = console.result()
    if not models:
        out.print("There is no model. `devenv model add NAME` adds one.")
    for model in models:
        whose = "  [dim]added by devenv[/dim]" if model.ours else ""
        out.print(
            f"{'[green]✓[/green]' if model.answers else '[red]✗[/red]'} {escape(model.name)}{whose}",
            soft_wrap=True,
        )
        out.print(f"  plugin      {model.pods[0]} of {model.pods[1]} pods ready", soft_wrap=True)
        workloads = ", ".join(model.workloads) or "no Deployment names it"
        out.print(f"  controller  {escape(workloads)}", soft_wrap=True)
        out.print(f"  route       {escape(model.route)}", soft_wrap=True)
        out.print(f"  service     {escape(model.service)}", soft_wrap=True)
        for proof in model.proofs:
            out.print(f"  {proof_line(proof)}", soft_wrap=True)


def listed_json(models: Sequence[Seen]) -> None:
    """Print the same as JSON."""
    emit_json("models", [shape(model) for model in models])


def shape(model: Seen) -> dict[str, Any]:
    """Shape of one model in `model list`."""
    return {
        "name": model.name, "pods": {"ready": model.pods[0], "all": model.pods[1]},
        "workloads": list(model.workloads),
        "route": model.route, "service": model.service, "added_by_devenv": model.ours,
        "requests": [proof_json(p) for p in model.proofs],
    }  # fmt: skip


def to_remove(objects: Sequence[Manifest]) -> None:
    """List what is about to be removed."""
    out = console.progress()
    for line in map(_spelt, objects):
        out.print(f"  {escape(line)}", soft_wrap=True)


def removed(model: str, objects: Sequence[Manifest], *, is_removed: bool) -> None:
    """Say what was removed, or would be."""
    out = console.result()
    if not is_removed:
        out.print(f"Of the model {escape(model)} this would be removed:")
        for line in map(_spelt, objects):
            out.print(f"  {escape(line)}", soft_wrap=True)
        return
    out.print(f"The model {escape(model)} is removed: {len(objects)} objects, and its route.")


def removed_json(model: str, objects: Sequence[Manifest], *, is_removed: bool) -> None:
    """Print the same as JSON."""
    emit_json(
        "model-removed",
        {"name": model, "removed": is_removed, "objects": [_spelt(o) for o in objects]},
    )


def _spelt(obj: Manifest) -> str:
    return f"{obj['kind']} {obj['metadata']['namespace']}/{obj['metadata']['name']}"
