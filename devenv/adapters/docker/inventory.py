"""All that is in the engine, devenv's own or not: images, containers, volumes, build cache."""

import json
import time
from collections.abc import Mapping

from devenv.adapters.docker.answers import CLUSTER_LABEL, container_name, map_at, seconds_since_1970
from devenv.adapters.docker.client import EngineConnection
from devenv.adapters.docker.errors import engine_errors
from devenv.base.errors import DevenvError
from devenv.base.json_types import JsonMap, JsonObject
from devenv.ports.engine import CacheRecord, ListedContainer, ListedImage, Measured
from devenv.ports.names import Names

# Events that show that an image is in use.
_USE_ACTIONS = ("create", "start", "load", "pull", "import", "push", "save")


class InventoryCalls(EngineConnection):
    """The calls that list and measure, and the one that trims the build cache."""

    def history(self, ref: str) -> list[int]:
        """Return the bytes that each build step of the image added, the first step first."""
        return [size for size, _ in self.steps(ref)]

    def steps(self, ref: str) -> list[tuple[int, str]]:
        """Return each build step's bytes and its command, the first step first."""
        with engine_errors():
            newest_first = self._api.history(ref)
        return [_build_step(entry) for entry in reversed(newest_first)]

    def listed_images(self) -> list[ListedImage]:
        """Return all images except those that only other images are built on."""
        with engine_errors():
            images = self._api.images()
        return [_listed_image(image) for image in images]

    def listed_containers(self) -> list[ListedContainer]:
        """Return all containers that have a name, in any state."""
        with engine_errors():
            containers = self._api.containers(all=True)
        return [_listed_container(entry) for entry in containers if entry.get("Names")]

    def volumes(self) -> list[str]:
        """Return the names of all volumes."""
        with engine_errors():
            volumes = self._api.volumes().get("Volumes") or ()
        return [volume["Name"] for volume in volumes]

    def build_cache(self, seconds: float) -> list[CacheRecord] | None:
        """Return the records of the build cache; None if the engine does not answer in `seconds`.

        Engines before API 1.42 measure every container and volume as well, which may take minutes
        (docs/facts/disk.md).
        """
        usage = self._disk_usage(seconds, "build-cache")
        if usage is None:
            return None
        records = _usage_items(usage, "BuildCache", "BuildCacheUsage")
        return [_cache_record(record) for record in records]

    def measure(self, seconds: float) -> Measured | None:
        """Return the sizes of volumes and containers; None if that takes more than `seconds`.

        A volume that the engine did not measure is left out.
        """
        usage = self._disk_usage(seconds, "volume", "container")
        if usage is None:
            return None
        volumes = _usage_items(usage, "Volumes", "VolumeUsage")
        containers = _usage_items(usage, "Containers", "ContainerUsage")
        return Measured(_volume_sizes(volumes), _written_bytes(containers))

    def _disk_usage(self, seconds: float, *types: str) -> JsonObject | None:
        """Ask /system/df about these types; None if it does not answer in time, or refuses.

        An older engine refuses while it answers the same question of another client.
        """
        try:
            with engine_errors():
                api = self._client(max(1, round(seconds)))
                url = api._url("/system/df")  # noqa: SLF001
                answer = api._get(url, params={"type": list(types)})  # noqa: SLF001
                api._raise_for_status(answer)  # noqa: SLF001
                usage: JsonObject = answer.json()
                return usage
        except DevenvError:
            return None

    def trim_build_cache(self, unused_for: float) -> None:
        """Remove the build cache's records that no image has and that were unused for so long.

        `unused_for` is in seconds. The engine keeps records that are in use.
        """
        # "all" means all types of records, "private" those that no image has.
        filters = json.dumps({"private": {}, "until": {f"{int(unused_for)}s": True}})
        with engine_errors():
            api = self._slow_api
            url = api._url("/build/prune")  # noqa: SLF001
            answer = api._post(url, params={"all": "true", "filters": filters})  # noqa: SLF001
            api._raise_for_status(answer)  # noqa: SLF001

    def uses(self, since: float) -> list[tuple[float, str]]:
        """Return when images were used since then, each with its name or ID.

        The engine remembers a limited number of events.
        """
        image_uses = []
        for event in self._events(since, {"type": ["container", "image"]}):
            image = _used_image(event)
            if event.get("Action") in _USE_ACTIONS and image:
                image_uses.append((float(event.get("time") or 0), image))
        return image_uses

    def names_given(self, since: float) -> list[tuple[str, str]]:
        """Return the names that images got since then, as pairs of image ID and name.

        The engine remembers a limited number of events.
        """
        ids_and_names = []
        for event in self._events(since, {"type": ["image"], "event": ["tag"]}):
            image_id = map_at(event, "Actor").get("ID")
            name = map_at(event, "Actor", "Attributes").get("name")
            if image_id and name:
                ids_and_names.append((str(image_id), str(name)))
        return ids_and_names

    def _events(self, since: float, filters: Mapping[str, list[str]]) -> list[JsonMap]:
        """Return the events from `since` until now. Without an end, the engine sends for ever."""
        with engine_errors():
            events = self._api.events(
                since=int(since), until=int(time.time()), decode=True, filters=filters
            )
            return list(events)


def _build_step(entry: JsonMap) -> tuple[int, str]:
    return int(entry["Size"]), str(entry.get("CreatedBy") or "")


def _listed_image(image: JsonMap) -> ListedImage:
    return ListedImage(
        id=image["Id"],
        names=_tags_and_digests(image),
        size=int(image["Size"]),
        created=float(image["Created"]),
    )


def _tags_and_digests(image: JsonMap) -> Names:
    """Return an image's names. The engine writes "<none>" for a part that a name lacks."""
    names = [*(image.get("RepoTags") or ()), *(image.get("RepoDigests") or ())]
    return tuple(name for name in names if "<none>" not in name)


def _listed_container(container: JsonMap) -> ListedContainer:
    return ListedContainer(
        id=container["Id"],
        name=container_name(container),
        image=container["ImageID"],
        image_name=container["Image"],
        status=container["State"],
        created=float(container["Created"]),
        volumes=_mounted_volumes(container),
        cluster=map_at(container, "Labels").get(CLUSTER_LABEL, ""),
    )


def _mounted_volumes(container: JsonMap) -> Names:
    mounts = container.get("Mounts") or ()
    names = (mount.get("Name") for mount in mounts if mount.get("Type") == "volume")
    return tuple(filter(None, names))


def _usage_items(usage: JsonMap, key: str, newer_key: str) -> list[JsonMap]:
    """Return one type's entries of /system/df, which newer engines nest one level deeper."""
    return usage.get(key) or map_at(usage, newer_key).get("Items") or []


def _volume_sizes(volumes: list[JsonMap]) -> dict[str, int]:
    """Return bytes by volume. The engine says -1, or nothing, for one that it did not measure."""
    sizes = {}
    for volume in volumes:
        size = int(map_at(volume, "UsageData").get("Size", -1))
        if size >= 0:
            sizes[str(volume["Name"])] = size
    return sizes


def _written_bytes(containers: list[JsonMap]) -> dict[str, int]:
    """Return how many bytes each container has written into its own layer."""
    named_containers = [entry for entry in containers if entry.get("Names")]
    return {container_name(entry): int(entry.get("SizeRw") or 0) for entry in named_containers}


def _cache_record(record: JsonMap) -> CacheRecord:
    return CacheRecord(
        id=record["ID"],
        size=int(record["Size"]),
        in_use=bool(record["InUse"]),
        shared=bool(record["Shared"]),
        used=seconds_since_1970(record.get("LastUsedAt") or record.get("CreatedAt")),
    )


def _used_image(event: JsonMap) -> str:
    """Return the name or ID of the image that an event of an image or of a container is about."""
    if event.get("Type") == "image":
        image = map_at(event, "Actor").get("ID", "")
    else:
        image = map_at(event, "Actor", "Attributes").get("image", "")
    return str(image or "")
