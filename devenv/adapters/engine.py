"""The Docker engine, through its API. Docker's own client library lives here and nowhere else."""

import contextlib
import json
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import requests
import zstandard
from docker.auth import AuthConfig
from docker.context import ContextAPI
from docker.credentials import Store
from docker.credentials.errors import CredentialsNotFound, StoreError
from docker.utils.config import find_config_file
from docker.utils.socket import frames_iter

from devenv.errors import (
    DevenvError,
    ElsewhereError,
    Exit,
    ForbiddenError,
    NotFoundError,
    NotReachableError,
)
from devenv.network import build_arguments, is_on_loopback, proxy_for
from devenv.ports import (
    CacheRecord,
    Completed,
    ContainerState,
    EngineInfo,
    Image,
    ListedContainer,
    ListedImage,
    Measured,
    Node,
    OnLine,
)

# kind's own label.
_CLUSTER = "io.x-k8s.kind.cluster"
# What stands before several control planes is no node.
_ROLE, _BALANCER = (
    "io.x-k8s.kind.role",
    "external-load-balancer",
)
# What devenv may remove.
_HELPER = "devenv.helper"
# Events that say somebody wants an image.
_USES = (
    "create",
    "start",
    "load",
    "pull",
    "import",
    "push",
    "save",
)
_UNCHOOSE = {"DOCKER_HOST": "unset DOCKER_HOST", "DOCKER_CONTEXT": "unset DOCKER_CONTEXT"}
# How zstd begins; bytes that it may want to look back.
_ZSTD, _WINDOW = (
    b"\x28\xb5\x2f\xfd",
    1 << 27,
)
# Keys of Docker's config file.
_MAPS = ("auths", "credHelpers", "HttpHeaders", "proxies")
# Seconds that the engine may take to answer.
_ANSWER = 30
# Seconds that it may be silent while it works: it may write a whole image to its disk before the first byte.
_LONGEST = 900
# Seconds for a registry to answer.
_REGISTRY = 8
_SOCKETS = ("/var/run/docker.sock", "~/.docker/run/docker.sock", "~/.colima/default/docker.sock")


def address() -> str:
    """Where the engine is: DOCKER_HOST, else the current Docker context, else a socket that is known to be used."""
    if host := os.environ.get("DOCKER_HOST"):
        return host
    if host := _context_host(os.environ.get("DOCKER_CONTEXT", "")):
        return host
    for path in _SOCKETS:
        if (socket_path := Path(path).expanduser()).exists():
            return f"unix://{socket_path}"
    return f"unix://{_SOCKETS[0]}"


def chosen() -> str:
    """Return what names the engine's address, "" if devenv found it in the usual places."""
    if os.environ.get("DOCKER_HOST"):
        return "" if address() == f"unix://{_SOCKETS[0]}" else "DOCKER_HOST"
    name = os.environ.get("DOCKER_CONTEXT", "")
    if name and _context_host(name):
        return f"DOCKER_CONTEXT (the Docker context {name})"
    return "the current Docker context" if not name and _context_host("") else ""


def environment() -> dict[str, str]:
    """Return the variables that lead the docker program to the engine at `address()`; none where it goes there anyway."""
    if os.environ.get("DOCKER_HOST") or _context_host(os.environ.get("DOCKER_CONTEXT", "")):
        return {}
    return {"DOCKER_HOST": address()}


def _context_host(name: str) -> str:
    """Return the address in the Docker context of that name, or in the current one. "" for the default."""
    try:
        context = ContextAPI.get_context(name) if name else ContextAPI.get_current_context()
    except Exception:  # noqa: BLE001 - what the library raises for a broken file; Docker itself will report it
        context = None
    if context is None and name:
        fix = "See `docker context ls`."
        raise NotReachableError(
            f"There is no Docker context {name}.",
            "DOCKER_CONTEXT names it.",
            fix,
            Exit.PREREQUISITE,
        )
    return str(context.Host) if context and context.name != "default" and context.Host else ""


def _ignore(_: str) -> None:
    """Say nothing."""


class _Client(docker.APIClient):
    """Docker's own client, with Go's rules for proxies: a TCP engine on loopback is asked directly."""

    def merge_environment_settings(
        self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        """Return the settings for one request.

        The library would ask the environment, and knows other rules.
        """
        proxy = proxy_for(url, os.environ)
        return {
            "proxies": {**(proxies or {}), **({urlsplit(url).scheme: proxy} if proxy else {})},
            "stream": self.stream if stream is None else stream,
            "verify": self.verify if verify is None else verify,
            "cert": self.cert if cert is None else cert,
        }


class _Credentials(AuthConfig):
    """The credentials in Docker's config file; a credential helper that does not work has none.

    `tell` gets one sentence for each such helper.
    """

    def __init__(self, config: Mapping[str, Any], tell: Callable[[str], None]) -> None:
        super().__init__(dict(config))
        self._helpers: dict[str, _Helper] = {}
        self._tell = tell

    def _get_store_instance(self, name: str) -> Any:
        if name not in self._helpers:
            self._helpers[name] = _Helper(name, self._keys(name), self._tell)
        return self._helpers[name]

    def _keys(self, name: str) -> str:
        """Return where the config file names a helper."""
        registries = [registry for registry, helper in self.cred_helpers.items() if helper == name]
        keys = [f'credHelpers["{registry}"]' for registry in registries]
        return ", ".join(["credsStore", *keys] if self.creds_store == name else keys)


class _Helper:
    """A credential helper that, if it does not work, says so and has no credentials."""

    def __init__(self, name: str, keys: str, tell: Callable[[str], None]) -> None:
        self._program, self._keys, self._tell = f"docker-credential-{name}", keys, tell
        self._store = Store(name) if shutil.which(self._program) else None

    def get(self, server: str) -> Any:
        """Return a registry's credentials. Raises CredentialsNotFound where there are none."""
        try:
            return self._works().get(server)
        except CredentialsNotFound:
            raise
        except (StoreError, OSError, ValueError, LookupError) as error:
            self._fail(error)
            raise CredentialsNotFound(str(error)) from error

    def list(self) -> Any:
        """Return the names of all registries that it has credentials for."""
        try:
            return self._works().list()
        except (StoreError, OSError, ValueError) as error:
            self._fail(error)
            return {}

    def _works(self) -> Any:
        if self._store is None:
            raise StoreError("it is not on PATH")
        return self._store

    def _fail(self, error: Exception) -> None:
        self._tell(
            f"The credential helper {self._program} does not work: {error}."
            " Builds and pulls continue without its credentials."
            f" Install it, or remove {self._keys} from {_config_file()}."
        )


def _config_file() -> str:
    return str(find_config_file() or "~/.docker/config.json")


def _refuse_odd_config() -> None:
    """Raise DevenvError where Docker's config file has a value over which the library stumbles.

    The library goes on without a file that is no JSON at all, as the docker program does.
    """
    path = _config_file()
    try:
        content = json.loads(Path(path).expanduser().read_bytes())
    except RecursionError as error:
        raise _odd_config(path, "it nests too deep") from error
    except (OSError, ValueError):
        return
    if not isinstance(content, dict):
        return
    inner = [(f"proxies.{name}", value) for name, value in _as_map(content.get("proxies")).items()]
    for key, value in [*((key, content.get(key)) for key in _MAPS), *inner]:
        if value is not None and not isinstance(value, dict):
            raise _odd_config(path, f"{key}: it must be a map of keys and values")


def _as_map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _odd_config(path: str, reason: str) -> DevenvError:
    fix = "Correct the file; DOCKER_CONFIG says in which folder it is."
    return DevenvError(
        f"Docker's {path} can't be used.", f"{path}: {reason}.", fix, Exit.PREREQUISITE
    )


def _connected(timeout: int) -> Any:
    """Return a client of the engine. Raises NotReachableError for what is no address; else what the library raises."""
    try:
        return _Client(base_url=address(), version="auto", timeout=timeout)
    except requests.RequestException:
        raise
    except (ValueError, LookupError) as error:
        raise _unreachable(error) from error


class DockerEngine:
    """Images and containers of the engine at `address()`.

    `tell` gets what a user should know, each sentence once.
    """

    def __init__(self, tell: Callable[[str], None] = _ignore) -> None:
        self._tell, self._told, self._telling = tell, set[str](), threading.Lock()
        self._local = threading.local()
        self._info: EngineInfo | None = None

    @property
    def _api(self) -> Any:
        return self._client(_ANSWER)

    @property
    def _slow(self) -> Any:
        return self._client(_LONGEST)

    def _client(self, timeout: int) -> Any:
        """One client a thread: a client is a session of requests, which threads may not share."""
        clients = vars(self._local).setdefault("clients", {})
        if timeout not in clients:
            _refuse_odd_config()
            with _errors():
                client: Any = _connected(timeout)
                client._auth_configs = _Credentials(client._auth_configs, self._tell_once)  # noqa: SLF001
                clients[timeout] = client
        return clients[timeout]

    def _tell_once(self, text: str) -> None:
        with self._telling:
            is_new = text not in self._told
            self._told.add(text)
        if is_new:
            self._tell(text)

    def info(self) -> EngineInfo:
        """Return what the engine said first. Raises NotReachableError where none ever answered.

        Asked for by many, and slow to tell (0.1 s with 20.10); nothing of it changes while one command runs.
        """
        if self._info is None:
            with _errors():
                version, info = self._api.version(), self._api.info()
            self._info = EngineInfo(
                version["Version"], version["Arch"], Path(info["DockerRootDir"]), address(),
                info["ID"], info["NCPU"], info["MemTotal"],
                any("io.containerd.snapshotter" in str(value) for pair in info.get("DriverStatus") or () for value in pair),
                "docker desktop" in str(info.get("OperatingSystem")).lower(),
                chosen(),
            )  # fmt: skip
        return self._info

    def image(self, ref: str) -> Image | None:
        """Return the image of that name or ID, None where the engine has none."""
        try:
            with _errors():
                inspection = self._api.inspect_image(ref)
        except NotFoundError:
            return None
        labels = (inspection.get("Config") or {}).get("Labels") or {}
        layers = tuple((inspection.get("RootFS") or {}).get("Layers") or ())
        tagged = _time((inspection.get("Metadata") or {}).get("LastTagTime"))
        names = tuple(inspection.get("RepoTags") or ())
        digests = tuple(inspection.get("RepoDigests") or ())
        return Image(
            inspection["Id"],
            inspection["Architecture"],
            inspection["Size"],
            labels,
            names,
            layers,
            tagged,
            digests,
        )

    def history(self, ref: str) -> list[int]:
        """Return how many bytes each step of the image's making added, from the first on."""
        return [size for size, _ in self.steps(ref)]

    def steps(self, ref: str) -> list[tuple[int, str]]:
        """Return the bytes that each step of the image's making added, and its command, from the first on."""
        with _errors():
            return [
                (int(step["Size"]), str(step.get("CreatedBy") or ""))
                for step in reversed(self._api.history(ref))
            ]

    def listed_images(self) -> list[ListedImage]:
        """Return all images but those that only others are built on."""
        with _errors():
            images = self._api.images()
        return [
            ListedImage(i["Id"], _names(i), int(i["Size"]), float(i["Created"])) for i in images
        ]

    def listed_containers(self) -> list[ListedContainer]:
        """Return all containers, in any state."""
        with _errors():
            containers = self._api.containers(all=True)
        return [
            ListedContainer(
                c["Id"], c["Names"][0].lstrip("/"), c["ImageID"], c["Image"], c["State"], float(c["Created"]),
                tuple(m["Name"] for m in c.get("Mounts") or () if m.get("Type") == "volume" and m.get("Name")),
                (c.get("Labels") or {}).get(_CLUSTER, ""),
            )
            for c in containers
            if c.get("Names")
        ]  # fmt: skip

    def volumes(self) -> list[str]:
        """Return the names of all volumes."""
        with _errors():
            return [v["Name"] for v in self._api.volumes().get("Volumes") or ()]

    def build_cache(self, seconds: float) -> list[CacheRecord] | None:
        """Return the records of the build cache; None where the engine does not say within `seconds`.

        Engines before API 1.42 count every container and volume for it, which may take minutes (docs/facts/disk.md).
        """
        usage = self._disk_usage(seconds, "build-cache")
        if usage is None:
            return None
        records = usage.get("BuildCache") or (usage.get("BuildCacheUsage") or {}).get("Items") or []
        return [
            CacheRecord(
                r["ID"],
                int(r["Size"]),
                bool(r["InUse"]),
                bool(r["Shared"]),
                _time(r.get("LastUsedAt") or r.get("CreatedAt")),
            )
            for r in records
        ]

    def measure(self, seconds: float) -> Measured | None:
        """Return the sizes of volumes and containers; None if measuring takes more than `seconds`."""
        usage = self._disk_usage(seconds, "volume", "container")
        if usage is None:
            return None
        volumes = usage.get("Volumes") or (usage.get("VolumeUsage") or {}).get("Items") or []
        containers = (
            usage.get("Containers") or (usage.get("ContainerUsage") or {}).get("Items") or []
        )
        sizes = {str(v["Name"]): int((v.get("UsageData") or {}).get("Size", -1)) for v in volumes}
        named_containers = [c for c in containers if c.get("Names")]
        written = {
            str(c["Names"][0]).lstrip("/"): int(c.get("SizeRw") or 0) for c in named_containers
        }
        return Measured({name: size for name, size in sizes.items() if size >= 0}, written)

    def _disk_usage(self, seconds: float, *types: str) -> dict[str, Any] | None:
        """Ask /system/df for these types; None where it does not answer in time.

        An older engine refuses while another one asks.
        """
        try:
            with _errors():
                api = self._client(max(1, round(seconds)))
                answer = api._get(api._url("/system/df"), params={"type": list(types)})  # noqa: SLF001
                api._raise_for_status(answer)  # noqa: SLF001
                usage: dict[str, Any] = answer.json()
                return usage
        except DevenvError:
            return None

    def trim_build_cache(self, unused_for: float) -> None:
        """Remove the build cache's records that no image has and that were unused for so long.

        Those in use the engine keeps. `all` stands for all types of records, `private` for what no
        image has. `unused_for` is in seconds.
        """
        filters = json.dumps({"private": {}, "until": {f"{int(unused_for)}s": True}})
        with _errors():
            api = self._slow
            api._raise_for_status(  # noqa: SLF001
                api._post(api._url("/build/prune"), params={"all": "true", "filters": filters})  # noqa: SLF001
            )

    def uses(self, since: float) -> list[tuple[float, str]]:
        """Return when images were used since then, as far as the engine remembers, each with its name or ID."""
        with _errors():
            events = list(
                self._api.events(
                    since=int(since),
                    until=int(time.time()),
                    decode=True,
                    filters={"type": ["container", "image"]},
                )
            )
        image_uses = []
        for event in events:
            actor = event.get("Actor") or {}
            image = (
                actor.get("ID", "")
                if event.get("Type") == "image"
                else (actor.get("Attributes") or {}).get("image", "")
            )
            if event.get("Action") in _USES and image:
                image_uses.append((float(event.get("time") or 0), str(image)))
        return image_uses

    def names_given(self, since: float) -> list[tuple[str, str]]:
        """Return the names that images were given, as far as the engine remembers: (image's ID, name)."""
        filters = {"type": ["image"], "event": ["tag"]}
        with _errors():
            until = int(time.time())
            events = list(
                self._api.events(since=int(since), until=until, decode=True, filters=filters)
            )
        pairs = []
        for event in events:
            actor = event.get("Actor") or {}
            image, name = actor.get("ID"), (actor.get("Attributes") or {}).get("name")
            if image and name:
                pairs.append((str(image), str(name)))
        return pairs

    def images(self, label: str) -> list[Image]:
        """Return the images that carry the label."""
        with _errors():
            images = self._api.images(filters={"label": label})
        return [
            Image(i["Id"], "", i["Size"], i["Labels"] or {}, tuple(i["RepoTags"] or ()))
            for i in images
        ]

    def names(self) -> list[str]:
        """Return the names of all images."""
        with _errors():
            return [tag for image in self._api.images() for tag in image["RepoTags"] or ()]

    def build(
        self,
        context: Path,
        tag: str,
        args: Mapping[str, str],
        labels: Mapping[str, str],
        log: OnLine,
    ) -> None:
        """Build from a context that is a tar archive, through the user's proxies.

        Those in Docker's config file come first. One on this machine's loopback is out of a build
        container's reach, unless the container has this machine's network.
        """
        configured = self._slow._proxy_configs.get_environment()  # noqa: SLF001
        proxies = {} if configured else build_arguments(os.environ)
        local = self.info().local if is_on_loopback(proxies) else False
        with _errors(), context.open("rb") as file:
            events = self._slow.build(
                fileobj=file, custom_context=True, tag=tag, buildargs={**proxies, **args}, labels=dict(labels),
                rm=True, forcerm=True, decode=True, network_mode="host" if local else None,
            )  # fmt: skip
            for event in events:
                if text := event.get("stream") or event.get("error"):
                    log(text.rstrip())
                if "error" in event:
                    raise DevenvError(f"{tag} could not be built.", event["error"])

    def import_rootfs(self, tar: Path, tag: str, labels: Mapping[str, str]) -> None:
        """Make an image of a root file system."""
        repository, _, version = tag.rpartition(":")
        changes = [f"LABEL {name}={value}" for name, value in labels.items()]
        with _errors(), tar.open("rb") as file:
            # The library says "chunked", which a file would not be sent as.
            chunks = iter(partial(file.read, 1 << 20), b"")
            answer = self._slow.import_image_from_stream(
                chunks, repository=repository, tag=version, changes=changes
            )
        for line in answer.splitlines():
            if "error" in (event := json.loads(line)):
                raise DevenvError(f"{tag} could not be imported.", event["error"])

    def pull(self, ref: str, platform: str, progress: Callable[[int, int], None]) -> None:
        """Pull one platform's image. `progress` gets bytes so far and bytes known of."""
        layers: dict[str, tuple[int, int]] = {}
        try:
            with _errors():
                for event in self._slow.pull(ref, platform=platform, stream=True, decode=True):
                    _refuse(ref, event)
                    detail = event.get("progressDetail") or {}
                    if event.get("status") == "Downloading" and "total" in detail:
                        layers[event["id"]] = (detail["current"], detail["total"])
                        progress(
                            sum(c for c, _ in layers.values()), sum(t for _, t in layers.values())
                        )
        except (
            DevenvError
            # The engine reports a registry that does not answer as a fault of its own.
        ) as error:
            fix = f"Check `docker pull {ref}`, or bring it with `docker load`."
            raise NotReachableError(
                f"{ref} could not be pulled.", error.why, fix, Exit.PREREQUISITE
            ) from error

    def registry_problem(self, ref: str) -> str:
        """Return why the image's registry refuses it, in the engine's words; "" if it does not.

        The engine itself asks, by whatever way it pulls.
        """
        try:
            with _errors():
                self._client(_REGISTRY).inspect_distribution(ref)
        except DevenvError as error:
            return error.why or error.what
        return ""

    def load(self, archive: Path, progress: Callable[[int, int], None]) -> None:
        """Load an archive that `docker save` wrote. `progress` gets bytes so far and in all."""
        total = archive.stat().st_size

        def chunks(file: Any) -> Iterator[bytes]:
            content = file
            # Not every engine unpacks it.
            if file.read(len(_ZSTD)) == _ZSTD:
                content = zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(
                    file, read_across_frames=True
                )
            file.seek(0)
            while chunk := content.read(1 << 20):
                yield chunk
                progress(file.tell(), total)

        with _errors(), archive.open("rb") as file:
            for event in self._slow.load_image(chunks(file), quiet=True) or ():
                if "error" in event:
                    raise DevenvError(f"{archive} could not be loaded.", event["error"])

    def untag(self, ref: str) -> None:
        """Remove a name, and with the last name the image. Never by force: the engine refuses while a container uses it."""
        with contextlib.suppress(NotFoundError), _errors():
            self._slow.remove_image(ref, force=False)

    def tag(self, ref: str, name: str) -> None:
        """Give an image another name."""
        repository, _, version = name.rpartition(":")
        with _errors():
            self._api.tag(ref, repository, version, force=True)

    def push(self, name: str, progress: Callable[[int, int], None]) -> None:
        """Push to where the name says. `progress` gets bytes so far and bytes known of, often; what it raises ends the push."""
        layers: dict[str, tuple[int, int]] = {}
        repository, _, version = name.rpartition(":")
        with (
            _errors(),
            # Closed whatever happens: the engine stops when nobody listens.
            contextlib.closing(
                self._slow.push(repository, tag=version, stream=True, decode=True, auth_config={})
            ) as events,
        ):
            for event in events:
                if "error" in event:
                    raise DevenvError(f"The engine could not push {name}.", str(event["error"]))
                detail = event.get("progressDetail") or {}
                if "total" in detail and "current" in detail:
                    layers[event["id"]] = (detail["current"], detail["total"])
                progress(sum(c for c, _ in layers.values()), sum(t for _, t in layers.values()))

    def save(self, refs: Sequence[str], platform: str) -> Iterator[bytes]:
        """Stream images as one `docker save` does, of one platform only where the engine knows how (API 1.48)."""
        api = self._slow
        newer = tuple(map(int, api._version.split("."))) >= (1, 48)  # noqa: SLF001
        os_name, _, architecture = platform.partition("/")
        params: dict[str, Any] = {"names": list(refs)}
        if newer:
            params["platform"] = json.dumps({"os": os_name, "architecture": architecture})
        # get_image takes one name, and no platform.
        with _errors():
            answer = api._get(api._url("/images/get"), params=params, stream=True)  # noqa: SLF001
            api._raise_for_status(answer)  # noqa: SLF001
            yield from answer.iter_content(1 << 20)

    def nodes(self, cluster: str) -> list[Node]:
        """Return the nodes of a kind cluster, of every one where `cluster` is empty."""
        label = f"{_CLUSTER}={cluster}" if cluster else _CLUSTER
        with _errors():
            containers = self._api.containers(all=True, filters={"label": label})
        nodes = [
            Node(
                c["Names"][0].lstrip("/"),
                c["Id"],
                c["State"],
                c["Labels"][_CLUSTER],
                c["Created"],
                _ports(c),
            )
            for c in containers
            if c["Labels"].get(_ROLE) != _BALANCER
        ]
        return sorted(nodes, key=lambda n: n.name)

    def state(self, container: str) -> ContainerState:
        """Return a container's address, and when it was started and ended."""
        with _errors():
            inspection = self._api.inspect_container(container)
        networks = (inspection.get("NetworkSettings") or {}).get("Networks") or {}
        address = next((n["IPAddress"] for n in networks.values() if n.get("IPAddress")), "")
        return ContainerState(
            address,
            _time(inspection["State"].get("StartedAt")),
            _time(inspection["State"].get("FinishedAt")),
        )

    def start(self, container: str) -> None:
        """Start a stopped container, or wake a paused one."""
        with _errors():
            if self._api.inspect_container(container)["State"]["Status"] == "paused":
                self._api.unpause(container)
            else:
                self._api.start(container)

    def stop(self, container: str) -> None:
        """Stop a container as its image asks to be stopped; by force after 30 s."""
        with _errors():
            self._slow.stop(container, timeout=30)

    def exec(
        self, container: str, argv: Sequence[str], stdin: Iterable[bytes] | None = None
    ) -> Completed:
        """Run a program in a container, its output and errors as one, `stdin` streamed into it."""
        with _errors():
            run = self._api.exec_create(container, list(argv), stdin=stdin is not None)["Id"]
            started = self._slow.exec_start(run, socket=stdin is not None)
            output = started if stdin is None else _converse(started, stdin)
            code = self._api.exec_inspect(run)["ExitCode"]
        return Completed(code if code is not None else -1, output.decode(errors="replace"))

    def exec_detached(self, container: str, argv: Sequence[str]) -> None:
        """Start a program in a container and leave it running."""
        with _errors():
            self._api.exec_start(self._api.exec_create(container, list(argv))["Id"], detach=True)

    def run_helper(self, image: str, name: str, argv: Sequence[str]) -> str:
        """Start a privileged container of devenv's own, with no network, and return its ID."""
        with _errors():
            config = self._api.create_host_config(privileged=True, network_mode="none")
            container = self._api.create_container(
                image, list(argv), name=name, labels={_HELPER: "1"}, entrypoint=[], host_config=config,
                # An image is made of it, and a proxy's address may have a password in it.
                use_config_proxy=False,
            )  # fmt: skip
            self._api.start(container["Id"])
        return str(container["Id"])

    def commit(self, container: str, tag: str, changes: Sequence[str]) -> None:
        """Make an image of what a container's file system holds now."""
        repository, _, version = tag.rpartition(":")
        with _errors():
            self._slow.commit(container, repository=repository, tag=version, changes=list(changes))

    def remove_helper(self, name: str) -> None:
        """Remove a helper, running or not; nothing where there is none. Raises DevenvError where it isn't devenv's own."""
        with contextlib.suppress(NotFoundError), _errors():
            if _HELPER not in (self._api.inspect_container(name)["Config"]["Labels"] or {}):
                raise DevenvError(
                    f"The container {name} is not devenv's own.", next_step="Rename or remove it."
                )
            self._api.remove_container(name, force=True, v=True)


def _ports(container: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    return tuple(
        (p["PrivatePort"], p["PublicPort"])
        for p in container.get("Ports") or ()
        if "PublicPort" in p
    )


def _names(image: Mapping[str, Any]) -> tuple[str, ...]:
    """Tags and digests; the engine spells what is missing "<none>"."""
    return tuple(
        n for key in ("RepoTags", "RepoDigests") for n in image.get(key) or () if "<none>" not in n
    )


def _time(text: str | None) -> float:
    """Docker writes nanoseconds, and the year 1 where there is no time."""
    if not text or text.startswith("0001"):
        return 0.0
    return datetime.fromisoformat(re.sub(r"\.(\d{1,6})\d*", r".\1", text)).timestamp()


def _refuse(ref: str, event: Mapping[str, Any]) -> None:
    if "error" in event:
        raise DevenvError(f"{ref} could not be pulled.", event["error"])


def _converse(raw: Any, stdin: Iterable[bytes]) -> bytes:
    """Send `stdin` while reading what comes back: with neither side waiting for the other, no pipe can fill up."""
    connection: socket.socket = getattr(raw, "_sock", raw)
    failure: list[BaseException] = []

    def feed() -> None:
        try:
            for chunk in stdin:
                connection.sendall(chunk)
        except (BrokenPipeError, ConnectionResetError):
            # The program ended early; its output says why.
            pass
        except BaseException as error:  # noqa: BLE001 - raised again below, in the caller's thread
            failure.append(error)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=feed, daemon=True)
    sender.start()
    # The library's own read has no limit.
    hung = threading.Timer(_LONGEST, connection.shutdown, [socket.SHUT_RDWR])
    hung.daemon = True
    hung.start()
    try:
        output = b"".join(data for _, data in frames_iter(raw, tty=False))  # type: ignore[no-untyped-call]
        sender.join(_LONGEST)
    finally:
        hung.cancel()
        raw.close()
    if failure:
        raise failure[0]
    return output


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Turn the library's exceptions into devenv's: not there, no permission, not found, refused."""
    try:
        yield
    except docker.errors.NotFound as error:
        raise NotFoundError(str(error.explanation or error)) from error
    except docker.errors.APIError as error:
        reason = str(error.explanation or error)
        raise DevenvError("The Docker engine refused.", reason, _engines_remedy(reason)) from error
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise _unreachable(error) from error


def _engines_remedy(reason: str) -> str:
    """Return what helps against the engine's refusal, "" where only its words can tell.

    A firewall that is loaded anew drops the chains that the engine made as it started; it makes them only then.
    """
    if "iptables" in reason and "No chain" in reason:
        return "Restart the Docker engine: something removed its firewall rules, and it makes them only as it starts."
    return ""


def _unreachable(error: Exception) -> NotReachableError:
    where, reason, origin = address(), _reason(error), chosen()
    if where.startswith("ssh://"):
        fix = "Use an engine on this machine: devenv reaches none by ssh yet."
        return NotReachableError(
            f"The Docker engine at {where} can't be used.", reason, fix, Exit.PREREQUISITE
        )
    if "permission denied" in reason.lower():
        fix = "Add yourself to the group docker (`sudo usermod -aG docker $USER`) and log in again."
        return ForbiddenError(
            f"You are not allowed to use the Docker engine at {where}.",
            reason,
            fix,
            Exit.PREREQUISITE,
        )
    if origin:
        fix = f"Start that engine, or choose another: {_UNCHOOSE.get(origin.split()[0], 'docker context use default')}."
        return ElsewhereError(
            f"No Docker engine answers at {where}.",
            f"{origin} points there. {reason}",
            fix,
            Exit.PREREQUISITE,
        )
    fix = "Start Docker, or run `devenv setup`. DOCKER_HOST and Docker contexts are respected."
    return NotReachableError(
        f"No Docker engine answers at {where}.", reason, fix, Exit.PREREQUISITE
    )


def _reason(error: BaseException) -> str:
    """Return the system's own message, if there is one, without what each library added to it."""
    visited: list[BaseException] = []
    pending: list[object] = [error]
    while pending:
        candidate = pending.pop()
        if not isinstance(candidate, BaseException) or candidate in visited:
            continue
        visited.append(candidate)
        if (
            isinstance(candidate, OSError)
            and not isinstance(candidate, requests.RequestException)
            and str(candidate)
        ):
            return f"{candidate.strerror or candidate}."
        pending += [
            *candidate.args,
            getattr(candidate, "reason", None),
            candidate.__context__,
            candidate.__cause__,
        ]
    return str(error)
