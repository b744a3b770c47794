"""A file that takes space only to give it back.

On a full disk it goes first, so that the repair itself has space.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from devenv.base.errors import DevenvError
from devenv.ports.containers import Containers
from devenv.ports.host import Host
from devenv.ports.names import Names

# Bytes.
SIZE = 64 << 20
IN_NODE = "/var/lib/devenv-ballast"
# Bytes that must be free, so that the ballast itself does not fill the disk.
_PLENTY = 4 * SIZE
_CREATE_IN_NODE = (
    f"[ -e {IN_NODE} ] || {{ fallocate -l {SIZE} {IN_NODE}.new && mv {IN_NODE}.new {IN_NODE}; }} "
    f"|| {{ rm -f {IN_NODE}.new; exit 1; }}"
)
_CREATE_IF_PLENTY = (
    f'[ "$(df --output=avail --block-size=1 /var | tail -n 1)" -lt {_PLENTY} ] || {_CREATE_IN_NODE}'
)


@dataclass(frozen=True)
class Ballast:
    """One file in the state folder, and one in each node that runs."""

    host: Host
    containers: Containers

    @property
    def path(self) -> Path:
        """The file in the state folder."""
        return self.host.state_dir() / "disk" / "ballast"

    @property
    def _partial_path(self) -> Path:
        """Where the file is written. The name is fixed: the next run removes what a kill left."""
        return self.path.with_suffix(".new")

    def drop(self, nodes: Names) -> None:
        """Give the space back, in the nodes too."""
        self.path.unlink(missing_ok=True)
        self._partial_path.unlink(missing_ok=True)
        for node in nodes:
            with suppress(DevenvError):
                self.containers.exec(node, ["rm", "-f", IN_NODE, f"{IN_NODE}.new"])

    def restore(self, nodes: Names) -> None:
        """Take the space again, on each disk that has plenty left."""
        with suppress(OSError):
            self._restore_on_host()
        for node in nodes:
            with suppress(DevenvError):
                self.containers.exec(node, ["sh", "-c", _CREATE_IF_PLENTY])

    def _restore_on_host(self) -> None:
        """Take the space again, once there is plenty. The file appears whole or not at all."""
        if self.path.exists() or self.host.space(self.path.parent).free < _PLENTY:
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(self._partial_path, os.O_WRONLY | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                _allocate(file.fileno())
            self._partial_path.replace(self.path)
        finally:
            self._partial_path.unlink(missing_ok=True)


def _allocate(descriptor: int) -> None:
    """Take the file's blocks. A file that was only made long has none."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, SIZE)
        return
    # macOS has no such call.
    for _ in range(SIZE >> 20):
        os.write(descriptor, bytes(1 << 20))
