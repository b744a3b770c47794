"""The images that devenv's own builds made for a cluster, and the removal of superseded ones.

A build gives its name to the new image, and the one before it has none then. After a proof two
images of each name stay in the engine, as in the nodes: the one that has the name, and the one that
`reload-image --undo` returns to. While the last one has failed, the one before that stays, too.
What the user has built is not touched.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from devenv.errors import DevenvError
from devenv.images.stamp import is_of_a_push
from devenv.lifecycle.proven import proven_images
from devenv.lifecycle.record import Record, Records
from devenv.ports import Engine, Image


@dataclass(frozen=True)
class OwnBuilds:
    """What devenv has built for one cluster. The caller holds the cluster's lock."""

    cluster: str
    records: Records
    engine: Engine

    def note(self, images: Mapping[str, Sequence[str]]) -> None:
        """Note images that were just built: name in the nodes → the engine's IDs."""
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

        The engine refuses to remove what a container uses: that goes the next time.
        """
        record = self.records.read(self.cluster)
        if record is None or not record.built_images:
            return
        proven = proven_images(self.records.all())
        remaining: dict[str, tuple[str, ...]] = {}
        for name, image_ids in record.built_images.items():
            remaining[name] = tuple(i for i in image_ids if self._stays(i, proven))
        self.records.update(self.cluster, lambda r: replace(r, built_images=remaining))

    def _stays(self, image_id: str, proven: frozenset[str]) -> bool:
        """Remove an image if it is superseded; return whether it is still there."""
        with suppress(DevenvError):
            image = self.engine.image(image_id)
            if image is None:
                return False
            if _is_superseded(image, proven):
                self.engine.untag(image_id)
                return self.engine.image(image_id) is not None
        return True


def _is_superseded(image: Image, proven: frozenset[str]) -> bool:
    digests = [digest for digest in image.digests if not is_of_a_push(digest)]
    return not (image.tags or digests or image.id in proven)
