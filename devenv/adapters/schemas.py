"""The shapes of Kubernetes' own kinds, as its client library knows them.

Only names and types are looked at, and the words that a few fields take. A kind that the library
does not know is not judged.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from devenv.ports import Manifest
from devenv.userfiles import near_it

_LIST = re.compile(r"[Ll]ist\[(.+)\]")
_MAP = re.compile(r"[Dd]ict[(\[]str, (.+)[)\]]")
_PLAIN = {"str": str, "int": int, "bool": bool, "float": (int, float), "datetime": str, "date": str}
_WORDS = {str: "a string", int: "a whole number", bool: "true or false", (int, float): "a number"}
# Texts for which the API server takes numbers, too: quantities.
_QUANTITIES = {
    "limits", "requests", "hard", "capacity", "overhead", "sizeLimit", "divisor", "storage",
}  # fmt: skip
# Fields that allow only these words, in every kind.
_CHOICES = {
    "imagePullPolicy": ("Always", "IfNotPresent", "Never"),
    "terminationMessagePolicy": ("File", "FallbackToLogsOnError"),
    "dnsPolicy": ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
    "protocol": ("TCP", "UDP", "SCTP"),
    "externalTrafficPolicy": ("Cluster", "Local"),
    "concurrencyPolicy": ("Allow", "Forbid", "Replace"),
}


class BuiltinSchemas:
    """Kubernetes' own kinds."""

    def problems(self, manifest: Manifest) -> list[str]:
        """Return what is wrong with an object, each with its field."""
        model = _model(manifest["apiVersion"], manifest["kind"])
        return list(_problems(manifest, model, "")) if model else []


def _model(api_version: str, kind: str) -> Any:
    from kubernetes import client  # noqa: PLC0415 - takes 0.3 s, and most commands need none

    group, _, version = api_version.rpartition("/")
    if group and "." in group and not group.endswith(".k8s.io"):
        return None
    if group in {"gateway.networking.k8s.io", "apiextensions.k8s.io"}:
        return None
    return getattr(client, f"{version[:1].upper()}{version[1:]}{kind}", None)


def _problems(value: Any, model: Any, path: str) -> Iterator[str]:
    if value is None:
        return
    if not isinstance(value, Mapping):
        yield f"{path}: it must be a map of keys and values"
        return
    types = {spelt: model.openapi_types[name] for name, spelt in model.attribute_map.items()}
    for key, inner in value.items():
        where = f"{path}.{key}".lstrip(".")
        if key in types:
            yield from _of_type(inner, types[key], where)
        else:
            yield f"{where}: there is no such field{near_it(str(key), types)}"


def _of_type(value: Any, kind: str, path: str) -> Iterator[str]:
    if value is None or kind == "object":
        return
    if items := _LIST.fullmatch(kind):
        yield from _of_list(value, items[1], path)
    elif values := _MAP.fullmatch(kind):
        yield from _of_map(value, values[1], path)
    elif kind in _PLAIN:
        yield from _plain(value, kind, path)
    else:
        from kubernetes import client  # noqa: PLC0415 - as above

        model = getattr(client, kind, None)
        yield from _problems(value, model, path) if model else ()


def _of_list(value: Any, kind: str, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path}: it must be a list"
        return
    for number, item in enumerate(value):
        yield from _of_type(item, kind, f"{path}.{number}")


def _of_map(value: Any, kind: str, path: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{path}: it must be a map of keys and values"
        return
    for key, item in value.items():
        yield from _of_type(item, kind, f"{path}.{key}")


def _plain(value: Any, kind: str, path: str) -> Iterator[str]:
    expected_type: Any = _PLAIN[kind]
    names = path.split(".")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if expected_type is str and is_number and _QUANTITIES & set(names[-2:]):
        return
    if not isinstance(value, expected_type) or isinstance(value, bool) != (expected_type is bool):
        yield f"{path}: it must be {_WORDS[expected_type]}"
        return
    words = _CHOICES.get(names[-1])
    if words and value not in words:
        yield f"{path}: it must be one of {', '.join(words)}{near_it(str(value), words)}"
