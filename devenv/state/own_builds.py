"""The images that devenv's own builds made for a cluster, and the removal of superseded ones.

A build gives the name to its image, and the previous image has none then. After a proof two images
of each name stay in the engine, as in the nodes: the one with the name, and the one that
`reload-image --undo` returns to. If the last one failed, the one before these stays too.
Images that the user built are never removed.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from devenv.base.errors import DevenvError
from devenv.images.sources.stamp import is_of_a_push
from devenv.ports.engine import Engine, Image
from devenv.ports.names import Names
from devenv.state.proven import proven_images
from devenv.state.record import Record, Records


@dataclass(frozen=True)
class OwnBuilds:
    """The images that devenv built for one cluster. The caller holds the cluster's lock."""

    cluster: str
    records: Records
    engine: Engine

    def note(self, images: Mapping[str, Sequence[str]]) -> None:
        """Record images that were just built: name in the nodes → the engine's IDs."""
        if not any(images.values()):
            return

        def change(record: Record) -> Record:
            built_images = dict(record.built_images)
            for name, image_ids in images.items():
                all_ids = (*built_images.get(name, ()), *image_ids)
                built_images[name] = tuple(dict.fromkeys(all_ids))
            return replace(record, built_images=built_images)

        self.records.update(self.cluster, change)

    def forget_superseded(self) -> None:
        """Remove from the engine what newer builds have superseded.

        The engine refuses to remove an image that a container uses. It is removed the next time.
        """
        record = self.records.read(self.cluster)
        if record is None or not record.built_images:
            return
        proven_ids = proven_images(self.records.all())
        remaining: dict[str, Names] = {}
        for name, image_ids in record.built_images.items():
            for image_id in image_ids:
                self._remove_if_superseded(image_id, proven_ids)
            remaining[name] = tuple(filter(self._is_there, image_ids))
        self.records.update(self.cluster, lambda r: replace(r, built_images=remaining))

    def _remove_if_superseded(self, image_id: str, proven_ids: frozenset[str]) -> None:
        with suppress(DevenvError):
            image = self.engine.image(image_id)
            if image and _is_superseded(image, proven_ids):
                self.engine.untag(image_id)

    def _is_there(self, image_id: str) -> bool:
        """Whether the engine still has the image; also if it can't be asked."""
        try:
            return self.engine.image(image_id) is not None
        except DevenvError:
            return True


def _is_superseded(image: Image, proven_ids: frozenset[str]) -> bool:
    """Whether the image has no tag and no registry's digest, and no cluster needs it."""
    if image.tags or image.id in proven_ids:
        return False
    return all(is_of_a_push(digest) for digest in image.digests)
