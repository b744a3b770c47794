"""`down`: what is removed, what stays, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape

from devenv.base.json_types import JsonObject
from devenv.cluster.down import Removal
from devenv.ports.containers import Node
from devenv.ports.kube import ObjectKey
from devenv.ports.names import Names
from devenv.profiles.quantities import show
from devenv.ui import console
from devenv.ui.console import print_line
from devenv.ui.marks import CROSS, dim
from devenv.ui.render import Report, shapes
from devenv.workstation.purge import Item, PurgePlan


@dataclass(frozen=True)
class Teardown:
    """What `down` did, or would do.

    `stayed`: lines "NAME: REASON" of what --purge could not remove.
    """

    cluster: str
    removal: Removal
    purge: PurgePlan
    stayed: Names = ()
    dry_run: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether nothing had to stay."""
        return not self.stayed and not self.removal.stayed

    @property
    def purged(self) -> list[Item]:
        """Images and caches that are gone, or would be."""
        return [item for item in self.purge.items if not self._has_stayed(item)]

    def _has_stayed(self, item: Item) -> bool:
        """Whether one of the lines "NAME: REASON" is about this item."""
        return any(line.startswith(f"{item.name}:") for line in self.stayed)


def down(teardown: Teardown) -> Report:
    """Report what was removed, or would be, and what had to stay."""

    def text(out: Console) -> None:
        _print_removal(out, teardown)
        _print_purge(out, teardown)

    return Report("down", lambda: down_shape(teardown), text)


def _print_removal(out: Console, teardown: Teardown) -> None:
    removal, verb = teardown.removal, _verb(teardown)
    if removal.is_empty and not removal.stayed:
        out.print(f"The cluster {teardown.cluster} does not exist; nothing to remove.")
    for node in removal.nodes:
        out.print(f"{verb} node {node.name} with its volume")
    for _, kind, namespace, name in removal.objects:
        full_name = f"{namespace}/{name}" if namespace else name
        out.print(f"{verb} {kind} {full_name}")
    for image in removal.images:
        out.print(f"{verb} image {image} from the nodes")
    _print_stayed(out, _stayed_objects(removal))


def _verb(teardown: Teardown) -> str:
    return "would remove" if teardown.dry_run else "removed"


def _print_stayed(out: Console, lines: Sequence[str]) -> None:
    for line in lines:
        out.print(f"{CROSS} stayed: {escape(line)}")


def _stayed_objects(removal: Removal) -> list[str]:
    """Return lines "KIND NAME: REASON" of objects that could not be removed."""
    return [f"{kind} {name}: {reason}" for (_, kind, _, name), reason in removal.stayed.items()]


def _print_purge(out: Console, teardown: Teardown) -> None:
    """Print what --purge removed; for a dry run, first what it would keep."""
    if teardown.dry_run:
        _print_kept(out, teardown.purge)
    for item in teardown.purged:
        size = dim(show(item.size))
        out.print(f"{_verb(teardown)} {escape(item.name)}  {size}")
    _print_stayed(out, teardown.stayed)


def down_shape(teardown: Teardown) -> JsonObject:
    """Shape of `down`."""
    removal = teardown.removal
    return {
        "cluster": teardown.cluster,
        "dry_run": teardown.dry_run,
        "nodes": _names(removal.nodes),
        "objects": shapes(_object_shape, removal.objects),
        "images": list(removal.images),
        "purged": _names(teardown.purged),
        "stayed": [*_stayed_objects(removal), *teardown.stayed],
        "kept": _names(teardown.purge.kept),
        "other_clusters": list(teardown.purge.clusters),
    }


def _names(removed: Sequence[Item | Node]) -> list[str]:
    return [each.name for each in removed]


def _object_shape(key: ObjectKey) -> JsonObject:
    version, kind, namespace, name = key
    return {
        "apiVersion": version,
        "kind": kind,
        "namespace": namespace,
        "name": name,
    }


def show_purge(cluster: str, removal: Removal, plan: PurgePlan) -> None:
    """List what is about to be removed, and what stays, before the user is asked."""
    out = console.progress()
    if not removal.is_empty:
        out.print(f"The cluster {escape(cluster)}:")
        for part in _parts(removal):
            print_line(out, f"            {escape(part)}")
    if plan.items:
        out.print("Images that devenv built, and its caches:")
    _print_items(out, plan.items)
    _print_kept(out, plan)


def _parts(removal: Removal) -> list[str]:
    """Return what is removed of a cluster: nodes, or objects and images of an adopted one."""
    parts = [f"node {node.name} with its volume" for node in removal.nodes]
    parts += [f"{kind} {name}" for _, kind, _, name in removal.objects]
    parts += [f"image {image} from the nodes" for image in removal.images]
    return parts


def _print_items(out: Console, items: Sequence[Item]) -> None:
    for item in items:
        size = show(item.size)
        print_line(out, f"{size:>10}  {escape(item.name)}")


def _print_kept(out: Console, plan: PurgePlan) -> None:
    """Name the other clusters, and list what stays for them."""
    if not plan.clusters:
        return
    names = escape(", ".join(plan.clusters))
    if not plan.kept:
        out.print(
            f"Other clusters use the same images and caches: {names}. "
            "Those clusters stay, and rebuild what they need."
        )
        return
    out.print(f"Kept, because other clusters use it ({names}). Pass --all to remove it, too:")
    _print_items(out, plan.kept)
