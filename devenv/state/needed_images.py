"""Which images a cluster needs, as far as devenv remembers: a prune keeps them."""

from collections.abc import Iterable

from devenv.base.image_names import ReturnNames, normalise
from devenv.images.nodes.containerd import kept_name
from devenv.images.sources.stamp import own_ref
from devenv.ports.containers import Node
from devenv.ports.names import Names
from devenv.profiles.model import Profile
from devenv.state.proven import ProvenImages, unproven_names
from devenv.state.record import Record, Records


def profile_images(profile: Profile, record: Record | None) -> frozenset[str]:
    """Return the normalised names of the images that a profile's cluster needs.

    These are the profile's images, and those that an adopted cluster had before.
    """
    names: set[str] = set()
    for image in profile.images:
        refs = filter(None, (image.ref, own_ref(image)))
        names.update(map(normalise, refs))
    if record:
        names.update(record.held)
    return frozenset(names)


def loaded_images(records: Iterable[Record]) -> frozenset[str]:
    """Return the names of all images that devenv loaded into any cluster."""
    names: set[str] = set()
    for record in records:
        for node_names in record.loaded.values():
            names.update(node_names)
    return frozenset(names)


def returnable_in_nodes(
    proven: ProvenImages, nodes: Iterable[Node], record: Record | None
) -> ReturnNames:
    """Return name in the node → name to return to, of the images that nodes keep for a return."""
    names: dict[str, str] = {}
    for node in nodes:
        for name, image in proven.targets(node).items():
            names[kept_name(image.digest)] = name
    if record:
        names.update(_returnable_after_killed_load(record))
    return names


def _returnable_after_killed_load(record: Record) -> ReturnNames:
    """Return what nodes had before a load that was killed: it is undone with that."""
    names: dict[str, str] = {}
    for images in record.loading.values():
        for name, previous_image in images.items():
            if previous_image.digest:
                names[kept_name(previous_image.digest)] = name
    return names


def unproven_images(records: Records, cluster: str) -> Names:
    """Return the names of unproven images in nodes that also keep a proven one to return to."""
    record = records.read(cluster)
    if record is None:
        return ()
    return tuple(unproven_names(record))
