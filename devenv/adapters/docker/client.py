"""The connection to the engine that all calls share."""

import os
import threading
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker

from devenv.adapters.docker.address import address, address_origin
from devenv.adapters.docker.config import Credentials, refuse_malformed_config
from devenv.adapters.docker.errors import engine_errors, unreachable
from devenv.base.json_types import JsonMap
from devenv.base.network import proxy_for
from devenv.ports.engine import EngineInfo
from devenv.ports.reporter import Say

# Seconds that the engine may take to answer.
ANSWER_TIMEOUT = 30
# Seconds that it may be silent while it works: before it sends the first byte of an image, it may
# write the whole image to its disk.
SILENCE_TIMEOUT = 900


class Client(docker.APIClient):
    """Docker's own client, with Go's rules for network proxies: loopback is asked directly."""

    def merge_environment_settings(
        self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        """Return the settings for one request.

        The library's own method would read the environment, by other rules than Go's.
        """
        proxies_by_scheme = dict(proxies or {})
        if proxy := proxy_for(url, os.environ):
            proxies_by_scheme[urlsplit(url).scheme] = proxy
        return {
            "proxies": proxies_by_scheme,
            "stream": _value_or_default(stream, self.stream),
            "verify": _value_or_default(verify, self.verify),
            "cert": _value_or_default(cert, self.cert),
        }


def _value_or_default(value: Any, default: Any) -> Any:
    return default if value is None else value


def _ignore(_: str) -> None:
    """Take a sentence, and do nothing with it."""


class EngineConnection:
    """The engine at `address()`. It is first asked when a call needs it, not when this is made.

    `notify` gets what a user should know, each sentence once.
    """

    def __init__(self, notify: Say = _ignore) -> None:
        self._notify = notify
        self._notices: set[str] = set()
        self._notices_lock = threading.Lock()
        self._thread_local = threading.local()
        self._info: EngineInfo | None = None

    def info(self) -> EngineInfo:
        """Return how the engine describes itself. Raises NotReachableError if it does not answer.

        The answer is kept: many ask for it, it takes 0.1 s with 20.10, and nothing in it changes
        while one command runs.
        """
        if self._info is None:
            with engine_errors():
                version, info = self._api.version(), self._api.info()
            self._info = _engine_info(version, info)
        return self._info

    @property
    def _api(self) -> Any:
        """A client for calls that the engine answers at once."""
        return self._client(ANSWER_TIMEOUT)

    @property
    def _slow_api(self) -> Any:
        """A client for calls in which the engine may work for minutes before it answers."""
        return self._client(SILENCE_TIMEOUT)

    def _client(self, timeout: int) -> Any:
        """Return this thread's client with that timeout, in seconds.

        Threads can't share one: a client is a session of requests.
        """
        clients = vars(self._thread_local).setdefault("clients", {})
        if timeout not in clients:
            refuse_malformed_config()
            with engine_errors():
                clients[timeout] = self._connect(timeout)
        return clients[timeout]

    def _connect(self, timeout: int) -> Any:
        """Return a new client.

        Raises NotReachableError if the engine's address is malformed, else what the library raises.
        """
        try:
            client: Any = Client(base_url=address(), version="auto", timeout=timeout)
        except (ValueError, LookupError) as error:
            raise unreachable(error) from error
        client._auth_configs = Credentials(client._auth_configs, self._notify_once)  # noqa: SLF001
        return client

    def _notify_once(self, text: str) -> None:
        with self._notices_lock:
            is_new = text not in self._notices
            self._notices.add(text)
        if is_new:
            self._notify(text)


def _engine_info(version: JsonMap, info: JsonMap) -> EngineInfo:
    return EngineInfo(
        version=version["Version"],
        architecture=version["Arch"],
        data_root=Path(info["DockerRootDir"]),
        address=address(),
        id=info["ID"],
        cpus=info["NCPU"],
        memory=info["MemTotal"],
        containerd_store=_has_containerd_store(info),
        in_vm="docker desktop" in str(info.get("OperatingSystem")).lower(),
        chosen=address_origin(),
    )


def _has_containerd_store(info: JsonMap) -> bool:
    """Whether the engine leaves its images to containerd. DriverStatus is a list of pairs."""
    pairs = info.get("DriverStatus") or ()
    values = chain.from_iterable(pairs)
    return any("io.containerd.snapshotter" in str(value) for value in values)
