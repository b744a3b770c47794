"""`model`: what was added, what each part of AIBrix sees, and what was removed."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from devenv.base.counting import counted
from devenv.base.json_types import JsonObject
from devenv.facts.live import Proof
from devenv.models.model import ListedModel, NewModel
from devenv.ports.kube import Manifest
from devenv.ui import console
from devenv.ui.marks import CHECK, PART_CROSS
from devenv.ui.proofs import print_proofs, proof_shapes
from devenv.ui.render import Report, shapes


def added(model: NewModel, proofs: Sequence[Proof], url: str) -> Report:
    """Report that the model answers, and where."""

    def text(out: Console) -> None:
        out.print(f"{CHECK} The model {escape(model.name)} answers.")
        print_proofs(out, proofs)
        out.print(f"Gateway:  {url}")

    def content() -> JsonObject:
        return {
            "name": model.name,
            "namespace": model.namespace,
            "object": model.slug,
            "requests": proof_shapes(proofs),
        }

    return Report("model", content, text)


def listed(models: Sequence[ListedModel]) -> Report:
    """Report each model, and what its parts lack."""

    def text(out: Console) -> None:
        if not models:
            out.print("No model was found. `devenv model add NAME` adds one.")
        for model in models:
            _print_model(out, model)

    return Report("models", lambda: shapes(model_shape, models), text)


def _print_model(out: Console, model: ListedModel) -> None:
    """Print a model as each part of AIBrix sees it."""
    mark = CHECK if model.answers else PART_CROSS
    owner = "  [dim]added by devenv[/dim]" if model.is_added_by_devenv else ""
    console.print_line(out, f"{mark} {escape(model.name)}{owner}")
    pods = model.pods
    views = {
        "plugin": f"{pods.ready} of {pods.total} pods ready",
        "controller": ", ".join(model.workloads) or "no Deployment names it",
        "route": model.route,
        "service": model.service,
    }
    for part, view in views.items():
        console.print_line(out, f"  {part:<10}  {escape(view)}")
    print_proofs(out, model.proofs)


def model_shape(model: ListedModel) -> JsonObject:
    """Shape of one model in `model list`."""
    return {
        "name": model.name,
        "pods": {"ready": model.pods.ready, "all": model.pods.total},
        "workloads": list(model.workloads),
        "route": model.route,
        "service": model.service,
        "added_by_devenv": model.is_added_by_devenv,
        "requests": proof_shapes(model.proofs),
    }


def show_removal(objects: Sequence[Manifest]) -> None:
    """List what is about to be removed, before the user is asked."""
    _print_objects(console.progress(), objects)


def _print_objects(out: Console, objects: Sequence[Manifest]) -> None:
    for obj in objects:
        name = escape(_spell(obj))
        console.print_line(out, f"  {name}")


def removed(model: str, objects: Sequence[Manifest], *, is_removed: bool) -> Report:
    """Report what was removed, or would be."""

    def text(out: Console) -> None:
        if is_removed:
            count = len(objects)
            out.print(
                f"Removed the model {escape(model)} ({counted(count, 'object')}) and its route."
            )
            return
        out.print(f"This would be removed of the model {escape(model)}:")
        _print_objects(out, objects)

    def content() -> JsonObject:
        return {
            "name": model,
            "removed": is_removed,
            "objects": shapes(_spell, objects),
        }

    return Report("model-removed", content, text)


def _spell(obj: Manifest) -> str:
    """Return "KIND NAMESPACE/NAME" of an object."""
    metadata = obj["metadata"]
    return f"{obj['kind']} {metadata['namespace']}/{metadata['name']}"
