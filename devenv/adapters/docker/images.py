"""Images: reading them, naming them, and moving them in and out of the engine."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from devenv.adapters.docker.answers import map_at, seconds_since_1970
from devenv.adapters.docker.client import EngineConnection
from devenv.adapters.docker.errors import engine_errors
from devenv.base.errors import DevenvError, Exit, NotFoundError, NotReachableError
from devenv.base.json_types import JsonMap
from devenv.ports.engine import Image, Labels
from devenv.ports.progress import Progress

# What zstd data begins with.
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# Bytes that zstd may look back at most while it unpacks.
_ZSTD_WINDOW = 1 << 27
# Bytes that are read and sent at once.
_CHUNK = 1 << 20
# Seconds for a registry to answer.
_REGISTRY_TIMEOUT = 8
# The first API that saves one platform of an image.
_API_WITH_PLATFORM = (1, 48)


class ImageCalls(EngineConnection):
    """The calls about images."""

    def image(self, ref: str) -> Image | None:
        """Return the image of that reference or ID; None if the engine does not have it."""
        try:
            with engine_errors():
                inspection = self._api.inspect_image(ref)
        except NotFoundError:
            return None
        return Image(
            id=inspection["Id"],
            architecture=inspection["Architecture"],
            size=inspection["Size"],
            labels=map_at(inspection, "Config", "Labels"),
            tags=tuple(inspection.get("RepoTags") or ()),
            layers=tuple(map_at(inspection, "RootFS").get("Layers") or ()),
            tagged=seconds_since_1970(map_at(inspection, "Metadata").get("LastTagTime")),
            digests=tuple(inspection.get("RepoDigests") or ()),
        )

    def images(self, label: str) -> list[Image]:
        """Return the images that carry the label, without architecture, layers and times."""
        with engine_errors():
            images = self._api.images(filters={"label": label})
        return [_labelled_image(image) for image in images]

    def names(self) -> list[str]:
        """Return the tags of all images."""
        with engine_errors():
            return [tag for image in self._api.images() for tag in image["RepoTags"] or ()]

    def import_rootfs(self, tar: Path, tag: str, labels: Labels) -> None:
        """Make an image from an archive of a root file system."""
        repository, _, version = tag.rpartition(":")
        changes = [f"LABEL {name}={value}" for name, value in labels.items()]
        with engine_errors(), tar.open("rb") as file:
            # The library announces chunks. requests would send a file otherwise, so send chunks.
            chunks = iter(partial(file.read, _CHUNK), b"")
            answer = self._slow_api.import_image_from_stream(
                chunks, repository=repository, tag=version, changes=changes
            )
        for line in answer.splitlines():
            event = json.loads(line)
            if "error" in event:
                raise DevenvError(f"{tag} could not be imported.", event["error"])

    def pull(self, ref: str, platform: str, progress: Progress) -> None:
        """Pull one platform's image. `progress` gets the bytes so far, and the bytes known of."""
        try:
            with engine_errors():
                events = self._slow_api.pull(ref, platform=platform, stream=True, decode=True)
                _follow_pull(ref, events, progress)
        # The engine reports a registry that does not answer as a fault of its own.
        except DevenvError as error:
            raise NotReachableError(
                f"{ref} could not be pulled.",
                error.why,
                f"Check `docker pull {ref}`, or load the image with `docker load`.",
                Exit.PREREQUISITE,
            ) from error

    def registry_problem(self, ref: str) -> str:
        """Return why the image's registry refuses it, in the engine's words; "" if it does not.

        The engine itself asks, in the way in which it would pull.
        """
        try:
            with engine_errors():
                self._client(_REGISTRY_TIMEOUT).inspect_distribution(ref)
        except DevenvError as error:
            return error.why or error.what
        return ""

    def load(self, archive: Path, progress: Progress) -> None:
        """Load what `docker save` wrote, even packed with zstd.

        `progress` gets the bytes so far, and the archive's size.
        """
        total = archive.stat().st_size
        with engine_errors(), archive.open("rb") as file:
            chunks = _unpacked_chunks(file, lambda: progress(file.tell(), total))
            for event in self._slow_api.load_image(chunks, quiet=True) or ():
                if "error" in event:
                    raise DevenvError(f"{archive} could not be loaded.", event["error"])

    def untag(self, ref: str) -> None:
        """Remove a tag, and with the last tag the image. Does nothing if it is not there.

        Never by force: the engine refuses while a container uses the image.
        """
        with contextlib.suppress(NotFoundError), engine_errors():
            self._slow_api.remove_image(ref, force=False)

    def tag(self, ref: str, name: str) -> None:
        """Give an image another name. An image that has the name already loses it."""
        repository, _, version = name.rpartition(":")
        with engine_errors():
            self._api.tag(ref, repository, version, force=True)

    def push(self, name: str, progress: Progress) -> None:
        """Push to the registry in the name.

        `progress` gets the bytes so far, and the bytes known of, often. What it raises ends the
        push.
        """
        repository, _, version = name.rpartition(":")
        with engine_errors():
            events = self._slow_api.push(
                repository, tag=version, stream=True, decode=True, auth_config={}
            )
            # Closed whatever happens: the engine stops when nobody listens.
            with contextlib.closing(events):
                _follow_push(name, events, progress)

    def save(self, refs: Sequence[str], platform: str) -> Iterator[bytes]:
        """Yield the archive that `docker save` would write.

        Engines from API 1.48 on save that platform alone, older ones all that they have.
        """
        # The library's own get_image takes one name, and no platform.
        api = self._slow_api
        params: dict[str, Any] = {"names": list(refs)}
        if tuple(map(int, api._version.split("."))) >= _API_WITH_PLATFORM:  # noqa: SLF001
            os_name, _, architecture = platform.partition("/")
            params["platform"] = json.dumps({"os": os_name, "architecture": architecture})
        with engine_errors():
            answer = api._get(api._url("/images/get"), params=params, stream=True)  # noqa: SLF001
            api._raise_for_status(answer)  # noqa: SLF001
            yield from answer.iter_content(_CHUNK)


def _labelled_image(image: JsonMap) -> Image:
    """Return an image as a list of images shows it: without architecture, layers and times."""
    return Image(
        id=image["Id"],
        architecture="",
        size=image["Size"],
        labels=image["Labels"] or {},
        tags=tuple(image["RepoTags"] or ()),
    )


class _LayerProgress:
    """Adds up how much of each layer has moved. `progress` gets both sums, in bytes."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._moved: dict[str, int] = {}
        self._sizes: dict[str, int] = {}

    def note(self, event: JsonMap) -> None:
        """Note what an event says about its layer."""
        detail = event["progressDetail"]
        layer = event["id"]
        self._moved[layer] = detail["current"]
        self._sizes[layer] = detail["total"]

    def report(self) -> None:
        """Report the sums."""
        self._progress(sum(self._moved.values()), sum(self._sizes.values()))


def _follow_pull(ref: str, events: Iterator[JsonMap], progress: Progress) -> None:
    """Report the progress of a pull. Raises DevenvError if the engine reports an error."""
    layers = _LayerProgress(progress)
    for event in events:
        if "error" in event:
            raise DevenvError(f"{ref} could not be pulled.", event["error"])
        if event.get("status") == "Downloading" and "total" in map_at(event, "progressDetail"):
            layers.note(event)
            layers.report()


def _follow_push(name: str, events: Iterator[JsonMap], progress: Progress) -> None:
    """Report the progress of a push. Raises DevenvError if the engine reports an error."""
    layers = _LayerProgress(progress)
    for event in events:
        if "error" in event:
            raise DevenvError(f"The engine could not push {name}.", str(event["error"]))
        if {"total", "current"} <= map_at(event, "progressDetail").keys():
            layers.note(event)
        # Without news too: this is where the caller can end the push.
        layers.report()


def _unpacked_chunks(file: BinaryIO, after_each: Callable[[], None]) -> Iterator[bytes]:
    """Yield a file's content, unpacked if zstd packed it: not every engine unpacks that itself.

    `after_each` is called once a chunk was sent.
    """
    content: Any = file
    if file.read(len(_ZSTD_MAGIC)) == _ZSTD_MAGIC:
        unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        content = unpacker.stream_reader(file, read_across_frames=True)
    file.seek(0)
    while chunk := content.read(_CHUNK):
        yield chunk
        after_each()
