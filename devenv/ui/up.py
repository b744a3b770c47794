"""`up`: what would change in an adopted cluster, and the cluster that answers."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from devenv.base.counting import counted
from devenv.base.json_types import JsonObject
from devenv.cluster.adopt import Adoption
from devenv.ports.kube import ObjectKey
from devenv.ui import console
from devenv.ui.marks import CHECK
from devenv.ui.proofs import print_proofs, proof_shapes
from devenv.ui.render import Report
from devenv.up import Result


def up(result: Result, profile_reason: str = "") -> Report:
    """Report that the cluster answers, and which profile it has, with the reason."""

    def text(out: Console) -> None:
        subject = "The cluster"
        if not result.changed:
            subject = "Nothing to do: the cluster"
        out.print(f"{CHECK} {subject} {escape(result.cluster)} answers on every route.")
        print_proofs(out, result.proofs)
        out.print(f"Gateway:  {result.url}")
        out.print(f"kubectl:  --context kind-{result.cluster}")
        profile = escape(_profile_text(result, profile_reason))
        console.print_line(out, f"Profile:  {profile}")

    return Report("up", lambda: up_shape(result), text)


def _profile_text(result: Result, reason: str) -> str:
    profile = f"{result.profile} {result.version}".strip()
    if not reason:
        return profile
    return f"{profile} ({reason})"


def up_shape(result: Result) -> JsonObject:
    """Shape of `up`."""
    return {
        "cluster": result.cluster,
        "profile": result.profile,
        "version": result.version,
        "url": result.url,
        "changed": result.changed,
        "requests": proof_shapes(result.proofs),
    }


def show_adoption(planned: Adoption) -> None:
    """List what would change in a cluster that devenv did not create."""
    out = console.progress()
    nodes = escape(", ".join(planned.nodes))
    out.print(f"devenv did not create the cluster {escape(planned.cluster)} ({nodes}).")
    added_objects = counted(len(planned.brought), "object")
    out.print(f"devenv would add {added_objects}, which `devenv down` removes again:")
    _print_by_kind(out, planned.brought)
    out.print(
        f"devenv would change {len(planned.changed)} existing objects, which nothing changes back:"
    )
    _print_by_kind(out, planned.changed)
    out.print(f"devenv would load {counted(len(planned.images), 'image')} into the nodes:")
    for name, effect in planned.images.items():
        line = f"  {escape(name)}"
        if effect == "replaced":
            line += "  replaces the image of that name"
        out.print(line)


def _print_by_kind(out: Console, keys: Sequence[ObjectKey]) -> None:
    """List objects, one line a kind."""
    if not keys:
        out.print("  none")
    for kind, names in _names_by_kind(keys).items():
        objects = ", ".join(names)
        out.print(f"  {escape(kind)}: {escape(objects)}")


def _names_by_kind(keys: Sequence[ObjectKey]) -> dict[str, list[str]]:
    names_by_kind: dict[str, list[str]] = {}
    for _, kind, namespace, name in keys:
        full_name = f"{namespace}/{name}" if namespace else name
        names_by_kind.setdefault(kind, []).append(full_name)
    return names_by_kind
