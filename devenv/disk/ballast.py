"""A file that takes space only to give it back: on a full disk it is the first to go, so that the repair itself has room."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from devenv.errors import DevenvError
from devenv.ports import Containers, Host

# Bytes.
SIZE = 64 << 20
IN_NODE = "/var/lib/devenv-ballast"
# Bytes that must be free, so that the ballast itself does not fill the disk.
_ROOMY = 4 * SIZE
_MAKE = (
    f"[ -e {IN_NODE} ] || {{ fallocate -l {SIZE} {IN_NODE}.new && mv {IN_NODE}.new {IN_NODE}; }} "
    f"|| {{ rm -f {IN_NODE}.new; exit 1; }}"
)


@dataclass(frozen=True)
class Ballast:
    """One in the state folder, one in each node that runs."""

    host: Host
    containers: Containers

    @property
    def path(self) -> Path:
        """The file in the state folder."""
        return self.host.state_dir() / "disk" / "ballast"

    def drop(self, nodes: tuple[str, ...]) -> None:
        """Give the space back."""
        for path in (self.path, self.path.with_suffix(".new")):
            path.unlink(missing_ok=True)
        self.drop_in(nodes)

    def drop_in(self, nodes: tuple[str, ...]) -> None:
        """Give back what the nodes keep."""
        for node in nodes:
            with suppress(DevenvError):
                self.containers.exec(node, ["rm", "-f", IN_NODE, f"{IN_NODE}.new"])

    def restore(self, nodes: tuple[str, ...]) -> None:
        """Take the space where there is plenty and it is not taken yet."""
        with suppress(OSError):
            self._restore_here()
        for node in nodes:
            with suppress(DevenvError):
                self.containers.exec(node, ["sh", "-c", _roomy_in_node()])

    def _restore_here(self) -> None:
        if self.path.exists() or self.host.space(self.path.parent).free < _ROOMY:
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # One name: what a killed run leaves goes with the next.
        partial_path = self.path.with_suffix(".new")
        try:
            with os.fdopen(os.open(partial_path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                _allocate(file.fileno())
            partial_path.replace(self.path)
        finally:
            partial_path.unlink(missing_ok=True)


def _roomy_in_node() -> str:
    return f'[ "$(df --output=avail --block-size=1 /var | tail -n 1)" -lt {_ROOMY} ] || {_MAKE}'


def _allocate(descriptor: int) -> None:
    """Take the blocks; a file that is only long has none."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, SIZE)
        return
    # macOS has no such call.
    for _ in range(SIZE >> 20):
        os.write(descriptor, bytes(1 << 20))
