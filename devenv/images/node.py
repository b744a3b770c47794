"""The images that a kind node carries: put into its containerd, whose store is part of the node's own image."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from devenv.errors import DevenvError
from devenv.images.load import send
from devenv.ports import Clock, Containers, Engine
from devenv.wait import Deadline, until

_ANSWER = ("ctr", "version")
_STOP = "for p in $(pidof containerd); do kill $p; done; while pidof containerd >/dev/null; do sleep 0.1; done"


@dataclass(frozen=True)
class Preloader:
    """Fills a node image. containerd runs in a helper container meanwhile, as when kind's own node images are made."""

    engine: Engine
    containers: Containers
    clock: Clock

    def fill(
        self, base: str, tag: str, sources: Mapping[str, Sequence[str]], entrypoint: Sequence[str]
    ) -> None:
        """Commit `base` as `tag`, with each source image in its containerd under the names given for it."""
        helper = f"devenv-preload-{tag.rsplit(':', 1)[-1]}"
        # A killed run's.
        self.containers.remove_helper(helper)
        self.containers.run_helper(base, helper, ["sleep", "infinity"])
        try:
            self._start(helper)
            send(self.containers, self.engine, helper, sources, unpack=False)
            if self.containers.exec(helper, ["timeout", "30", "bash", "-c", _STOP]).code != 0:
                raise DevenvError(
                    "containerd in the node image did not end.", "Its store may be half written."
                )
            self.containers.commit(helper, tag, [f"ENTRYPOINT {json.dumps(list(entrypoint))}"])
        finally:
            self.containers.remove_helper(helper)

    def _start(self, helper: str) -> None:
        self.containers.exec_detached(helper, ["containerd"])

        def missing() -> str:
            return (
                ""
                if self.containers.exec(helper, _ANSWER).code == 0
                else "an answer from containerd"
            )

        until("containerd in the node image", missing, Deadline(self.clock, 60))
