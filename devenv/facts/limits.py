"""The limits that a gateway sets to requests, as the objects that set them have them.

A time is in seconds, a size in bytes; 0 stands for no limit of the object's own.
"""

import re
from collections.abc import Iterator

from devenv.facts.live import PATCHED_ROUTE
from devenv.facts.objects import Fields, fields_of, items_of
from devenv.ports.kube import Manifest
from devenv.profiles import quantities

ROUTE, CLIENTS = "HTTPRoute", "ClientTrafficPolicy"
EXTENSION, PATCHES = "EnvoyExtensionPolicy", "EnvoyPatchPolicy"
# What AIBrix's manifests and its controller set (docs/facts/aibrix.md).
AIBRIX = {ROUTE: 120.0, PATCHES: 120.0, EXTENSION: 60.0, CLIENTS: float(4 << 20)}
# What holds without a limit of the object's own, in Envoy Gateway v1.2 (docs/facts/gateway.md).
DEFAULTS = {ROUTE: 15.0, PATCHES: 15.0, EXTENSION: 0.2, CLIENTS: float(32 << 10)}
# A duration as the Gateway API spells it, such as 1m30s.
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def limit_of(kind: str, obj: Manifest) -> float:
    """Return the limit that an object sets; the smallest, if it sets several."""
    readers = {ROUTE: _timeouts, CLIENTS: _buffers, EXTENSION: _message_timeouts, PATCHES: _patched}
    if kind not in readers:
        return 0.0
    spec = fields_of(obj, "spec")
    return min(filter(None, readers[kind](spec)), default=0.0)


def limit_of_rule(route: Manifest, number: int) -> float:
    """Return the limit that one rule of an HTTPRoute sets; rules count from 0."""
    rules = items_of(fields_of(route, "spec"), "rules")
    return next(_timeouts({"rules": rules[number : number + 1]}), 0.0)


def hastiest_processor(policy: Manifest) -> int:
    """Return which extProc of an EnvoyExtensionPolicy waits for the shortest time, from 0."""
    processors = items_of(fields_of(policy, "spec"), "extProc")
    times = [duration(p.get("messageTimeout")) or DEFAULTS[EXTENSION] for p in processors]
    return times.index(min(times)) if times else 0


def patch_of_route(policy: Manifest) -> int | None:
    """Return which of an EnvoyPatchPolicy's patches adds AIBrix's route, from 0; None for none."""
    for number, patch in enumerate(items_of(fields_of(policy, "spec"), "jsonPatches")):
        if _is_of_route(patch):
            return number
    return None


def duration(text: object) -> float:
    """Return the seconds of a duration such as 1m30s, 0 if it is not one."""
    parts = _PART.findall(str(text))
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _timeouts(spec: Fields) -> Iterator[float]:
    for rule in items_of(spec, "rules"):
        yield duration(fields_of(rule, "timeouts").get("request"))


def _buffers(spec: Fields) -> Iterator[float]:
    limit = fields_of(spec, "connection").get("bufferLimit")
    try:
        yield float(quantities.parse(str(limit)))
    except ValueError:
        return


def _message_timeouts(spec: Fields) -> Iterator[float]:
    for processor in items_of(spec, "extProc"):
        yield duration(processor.get("messageTimeout"))


def _patched(spec: Fields) -> Iterator[float]:
    """Yield the timeout of the route that AIBrix's patch adds."""
    for patch in items_of(spec, "jsonPatches"):
        if _is_of_route(patch):
            value = fields_of(fields_of(patch, "operation"), "value")
            yield duration(fields_of(value, "route").get("timeout"))


def _is_of_route(patch: Fields) -> bool:
    value = fields_of(patch, "operation").get("value")
    return isinstance(value, dict) and value.get("name") == PATCHED_ROUTE
