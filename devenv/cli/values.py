"""The values that completion offers for options and arguments."""

from __future__ import annotations

import time
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import ModuleType

    import click
    from click.shell_completion import CompletionItem

    # What click asks for the values of a parameter.
    Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
    # Returns the values, or value → what it stands for.
    Reader = Callable[[click.Context], Iterable[str] | Mapping[str, str]]

# Seconds for the engine and the API server: what they have not said by then is not offered.
_DEADLINE = 0.25
# The profile whose names are offered for a cluster that devenv does not know. It extends offline.
_WIDEST_PROFILE = "aibrix"
# Those of the newest AIBrix; profiles/aibrix.yaml has those of each version.
STRATEGIES = (
    "random", "least-request", "throughput", "least-busy-time", "least-kv-cache", "least-latency",
    "prefix-cache", "prefix-cache-preble", "vtc-basic", "least-gpu-cache", "least-utilization",
    "pd", "slo", "slo-pack-load", "slo-least-load", "slo-least-load-pulling", "session-affinity",
    "power-of-two",
)  # fmt: skip
# Options of a profile that options of their own choose.
_CHOSEN_OTHERWISE = {"files", "checkout", "make", "full"}


def _offering(*readers: Reader, servers: Iterable[Reader] = (), files: bool = False) -> Completer:
    """Return a completer of what the readers return; with `files`, also of paths.

    `servers`: readers that ask a server, which may not answer.
    """

    def complete(
        ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        answers = [_Answer(ctx, reader) for reader in servers]
        meanings: dict[str, str] = {}
        for reader in readers:
            meanings |= _read(ctx, reader)
        for answer in answers:
            meanings |= answer.in_time()
        # First: bash forgets what came before it, and offers paths if nothing comes after it.
        items = [CompletionItem(incomplete, type="file")] if files else []
        items += [
            CompletionItem(value, help=meaning or None)
            for value, meaning in meanings.items()
            if value.startswith(incomplete)
        ]
        return items

    return complete


def _read(ctx: click.Context, reader: Reader) -> dict[str, str]:
    """Return value → what it stands for. A reader that fails has no values."""
    with suppress(Exception):
        result = reader(ctx)
        return result if isinstance(result, dict) else dict.fromkeys(result, "")
    return {}


class _Answer:
    """What a server says, from the moment of the question on."""

    def __init__(self, ctx: click.Context, reader: Reader) -> None:
        self._end = time.monotonic() + _DEADLINE
        self._meanings: dict[str, str] = {}
        # A daemon: the process does not wait for it when it ends.
        self._thread = Thread(target=self._ask, args=(ctx, reader), daemon=True)
        self._thread.start()

    def _ask(self, ctx: click.Context, reader: Reader) -> None:
        self._meanings = _read(ctx, reader)

    def in_time(self) -> dict[str, str]:
        """Return what the server has said by the deadline."""
        self._thread.join(max(0.0, self._end - time.monotonic()))
        return self._meanings


def _glimpses() -> ModuleType:
    """Import what reads the values: help must not wait for it."""
    from devenv.cli import glimpses

    return glimpses


# Names in the profile


def _names(ctx: click.Context, part: str) -> list[str]:
    return [entry["name"] for entry in _entries(ctx, part)]


def _workload_names(ctx: click.Context) -> list[str]:
    entries = _entries(ctx, "components")
    return [entry["name"] for entry in entries if entry.get("gate") == "workload"]


def _served_models(ctx: click.Context) -> list[str]:
    return [entry["model"] for entry in _entries(ctx, "requests") if entry.get("model")]


def _added_models(ctx: click.Context) -> list[str]:
    return list(_glimpses().added_models(ctx.params["cluster"]))


def _extra_names(ctx: click.Context) -> list[str]:
    return [name for name in _keys(ctx, "options") if name not in _CHOSEN_OTHERWISE]


def _entries(ctx: click.Context, part: str) -> list[dict[str, Any]]:
    """Return the entries of a list: the profile's, and those of the profiles that it extends."""
    return [entry for content in _contents(ctx) for entry in content.get(part) or ()]


def _keys(ctx: click.Context, part: str) -> list[str]:
    return [str(key) for content in _contents(ctx) for key in content.get(part) or ()]


def _contents(ctx: click.Context) -> Iterable[dict[str, Any]]:
    """Return the content of the profile that the command line, or the cluster's record, names."""
    name = ctx.params.get("profile")
    if not name:
        name = _WIDEST_PROFILE
        with suppress(OSError):
            name = _glimpses().profile_of(ctx.params.get("cluster") or "")
    return list(_glimpses().profile_contents(name))


clusters = _offering(lambda _: _glimpses().cluster_names())
profiles = _offering(lambda _: _glimpses().profile_names(), files=True)
codes = _offering(lambda _: _glimpses().code_titles())
contexts = _offering(lambda _: _glimpses().context_names())
components = _offering(lambda ctx: _names(ctx, "components"))
workloads = _offering(_workload_names)
recipes = _offering(lambda ctx: _glimpses().recipe_names(ctx.params.get("folder")))
engine_images = _offering(servers=[lambda _: _glimpses().engine_images()])
images = _offering(
    lambda ctx: _names(ctx, "images"), servers=[lambda _: _glimpses().engine_images()], files=True
)
added_models = _offering(servers=[_added_models])
models = _offering(_served_models, servers=[_added_models])
strategies = _offering(lambda _: STRATEGIES)
versions = _offering(lambda ctx: _keys(ctx, "versions"))
extras = _offering(_extra_names)
places = _offering(lambda _: ("host", "engine"))
