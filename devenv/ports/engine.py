"""A Docker engine: its images, and what else lies in it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from devenv.ports.names import Names
from devenv.ports.processes import OnLine
from devenv.ports.progress import Progress

# The labels of an image or a container, by key.
Labels = Mapping[str, str]


@dataclass(frozen=True)
class EngineInfo:
    """The engine as it describes itself."""

    version: str
    # As Go spells it: amd64, arm64.
    architecture: str
    # A path where the engine runs, which may be inside a VM.
    data_root: Path
    address: str
    id: str = ""
    cpus: int = 0
    # Bytes.
    memory: int = 0
    # Whether containerd keeps its images. Then an image ID is the digest of an image manifest.
    containerd_store: bool = False
    # Whether the engine says that it runs in a VM.
    in_vm: bool = False
    # The setting that names its address, such as DOCKER_HOST; "" if it is at a usual one.
    chosen: str = ""

    @property
    def local(self) -> bool:
        """Whether its data root may be a path of the host."""
        return self.address.startswith("unix://") and not self.in_vm and self.data_root.exists()


@dataclass(frozen=True)
class Image:
    """An image in the engine."""

    # The digest of its config; on the engine's containerd store, that of its image manifest.
    id: str
    architecture: str
    # Bytes.
    size: int
    labels: Labels
    tags: Names = ()
    # Diff IDs, the lowest layer first.
    layers: tuple[str, ...] = ()
    # When it last got a name, in seconds since 1970; 0 if it never did.
    tagged: float = 0.0
    # References by digest, NAME@DIGEST, as registries have them.
    digests: tuple[str, ...] = ()


# Reference → the image that the engine has of it.
ImagesByRef = Mapping[str, Image]


@dataclass(frozen=True)
class ListedImage:
    """An image as the engine lists it."""

    id: str
    # Tags and references by digest.
    names: Names
    # Bytes; on the engine's containerd store packed and unpacked layers together.
    size: int
    # Seconds since 1970.
    created: float


@dataclass(frozen=True)
class ListedContainer:
    """A container as the engine lists it, in any state."""

    id: str
    name: str
    # The ID of its image.
    image: str
    image_name: str
    status: str
    # Seconds since 1970.
    created: float
    # The names of its volumes.
    volumes: Names = ()
    # The kind cluster whose node it is, "" if it is not a node.
    cluster: str = ""


@dataclass(frozen=True)
class CacheRecord:
    """One record of the engine's build cache."""

    id: str
    # Bytes.
    size: int
    in_use: bool
    # Whether an image has the same layer.
    shared: bool
    # When it was last used, in seconds since 1970.
    used: float


@dataclass(frozen=True)
class Measured:
    """Sizes in bytes, as the engine measures them."""

    # By volume.
    volumes: Mapping[str, int]
    # What each container has written, by the container's name.
    containers: Mapping[str, int]


class Engine(Protocol):
    """The images in a Docker engine. Every call raises NotReachableError if it does not answer.

    A `progress` gets the bytes so far, and the bytes in all as far as they are known.
    """

    def info(self) -> EngineInfo: ...

    def image(self, ref: str) -> Image | None:
        """Return the image of that reference or ID; None if the engine does not have it."""

    def history(self, ref: str) -> list[int]:
        """Return the bytes that each build step of the image added, the first step first."""

    def images(self, label: str) -> list[Image]:
        """Return the images with that label, without architecture, layers and times."""

    def names(self) -> list[str]:
        """Return the tags of all images."""

    def build(
        self,
        context: Path,
        tag: str,
        args: Mapping[str, str],
        labels: Labels,
        log: OnLine,
    ) -> None:
        """Build an image from a context that is a tar archive."""

    def import_rootfs(self, tar: Path, tag: str, labels: Labels) -> None:
        """Make an image from an archive of a root file system."""

    def pull(self, ref: str, platform: str, progress: Progress) -> None:
        """Pull one platform's image. Raises NotReachableError if no registry gives it, too."""

    def load(self, archive: Path, progress: Progress) -> None: ...

    def untag(self, ref: str) -> None:
        """Remove a tag, and with the last tag the image. Does nothing if it is not there.

        Raises DevenvError while a container uses the image.
        """

    def tag(self, ref: str, name: str) -> None: ...

    def push(self, name: str, progress: Progress) -> None:
        """Push to the registry in the name. What `progress` raises ends the push."""

    def save(self, refs: Sequence[str], platform: str) -> Iterator[bytes]:
        """Yield the archive that `docker save` would write."""


class Stock(Protocol):
    """All that lies in an engine, devenv's own or not.

    Every call raises NotReachableError if the engine does not answer. What is limited to `seconds`
    may take the engine minutes, and returns None if it does.
    """

    def info(self) -> EngineInfo: ...

    def image(self, ref: str) -> Image | None:
        """Return the image of that reference or ID; None if the engine does not have it."""

    def steps(self, ref: str) -> list[tuple[int, str]]:
        """Return each build step's bytes and its command, the first step first."""

    def listed_images(self) -> list[ListedImage]: ...
    def listed_containers(self) -> list[ListedContainer]: ...

    def names_given(self, since: float) -> list[tuple[str, str]]:
        """Return the names that images got since then, as pairs of image ID and name.

        The engine remembers a limited number of events. `since` is in seconds since 1970.
        """

    def uses(self, since: float) -> list[tuple[float, str]]:
        """Return when images were used since then, each with its name or ID.

        The engine remembers a limited number of events. All times are in seconds since 1970.
        """

    def volumes(self) -> list[str]: ...
    def measure(self, seconds: float) -> Measured | None: ...
    def build_cache(self, seconds: float) -> list[CacheRecord] | None: ...

    def trim_build_cache(self, unused_for: float) -> None:
        """Remove records that no image has and that were unused for that many seconds."""

    def untag(self, ref: str) -> None:
        """Remove a tag, and with the last tag the image. Does nothing if it is not there.

        Raises DevenvError while a container uses the image.
        """
