"""How the engine's JSON spells lists, times and what is absent."""

import re
from datetime import datetime

from devenv.base.json_types import JsonMap

# kind's label of its nodes: the name of their cluster.
CLUSTER_LABEL = "io.x-k8s.kind.cluster"


def map_at(answer: JsonMap, *keys: str) -> JsonMap:
    """Return the map at a path of keys; an empty one if any of them is absent or null."""
    inner = answer
    for key in keys:
        inner = inner.get(key) or {}
    return inner


def container_name(container: JsonMap) -> str:
    """Return a listed container's name, without the slash that the engine puts before it."""
    return str(container["Names"][0]).lstrip("/")


def seconds_since_1970(text: str | None) -> float:
    """Parse a time. It has nanoseconds, or is in the year 1 if nothing happened: then 0."""
    if not text or text.startswith("0001"):
        return 0.0
    in_microseconds = re.sub(r"\.(\d{1,6})\d*", r".\1", text)
    return datetime.fromisoformat(in_microseconds).timestamp()
