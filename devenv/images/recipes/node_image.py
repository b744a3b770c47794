"""Puts images into a kind node's image: into its containerd, whose store is part of the image."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from devenv.base.errors import DevenvError
from devenv.base.wait import Deadline, until
from devenv.images.formats.conversion import NodeNames
from devenv.images.nodes.image_import import send
from devenv.ports.clock import Clock
from devenv.ports.containers import Containers
from devenv.ports.engine import Engine

_ANSWER = ("ctr", "version")
_STOP = (
    "for p in $(pidof containerd); do kill $p; done;"
    " while pidof containerd >/dev/null; do sleep 0.1; done"
)
# Seconds until containerd must answer.
_START = 60


@dataclass(frozen=True)
class Preloader:
    """Fills a node image as kind does, with containerd running in a helper container."""

    engine: Engine
    containers: Containers
    clock: Clock

    def fill(self, base: str, tag: str, sources: NodeNames, entrypoint: Sequence[str]) -> None:
        """Commit `base` as `tag`, with the images of `sources` in its containerd.

        `sources`: the engine's name of an image → its names in the node.
        """
        helper = f"devenv-preload-{tag.rsplit(':', 1)[-1]}"
        # A killed run may have left one.
        self.containers.remove_helper(helper)
        self.containers.run_helper(base, helper, ["sleep", "infinity"])
        try:
            self._start_containerd(helper)
            send(self.containers, self.engine, helper, sources, unpack=False)
            self._stop_containerd(helper)
            self.containers.commit(helper, tag, [f"ENTRYPOINT {json.dumps(list(entrypoint))}"])
        finally:
            self.containers.remove_helper(helper)

    def _start_containerd(self, helper: str) -> None:
        """Start containerd in the helper container, and wait for its answer."""
        self.containers.exec_detached(helper, ["containerd"])

        def missing_answer() -> str:
            if self.containers.exec(helper, _ANSWER).code == 0:
                return ""
            return "an answer from containerd"

        until("containerd in the node image", missing_answer, Deadline(self.clock, _START))

    def _stop_containerd(self, helper: str) -> None:
        """Stop containerd, so that its store is whole. Raises DevenvError if it does not stop."""
        if self.containers.exec(helper, ["timeout", "30", "bash", "-c", _STOP]).failed:
            raise DevenvError(
                "containerd in the node image did not stop.",
                "Its store may be half written.",
                "Run the build again.",
            )
