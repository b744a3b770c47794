"""The shapes of Kubernetes' own kinds, as its client library knows them.

Only names and types are checked, and the words that a few fields allow. Nothing is said of a kind
that the library does not know.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from devenv.base.userfiles import near_it
from devenv.ports.kube import Manifest

# How the library spells the types of lists and maps.
_LIST = re.compile(r"[Ll]ist\[(.+)\]")
_MAP = re.compile(r"[Dd]ict[(\[]str, (.+)[)\]]")
# Python's types of the library's types that are neither.
_PLAIN_TYPES = {
    "str": str,
    "int": int,
    "bool": bool,
    "float": (int, float),
    "datetime": str,
    "date": str,
}
_TYPE_NAMES = {
    str: "a string",
    int: "a whole number",
    bool: "true or false",
    (int, float): "a number",
}
# Quantities: fields of strings, or of maps of them, in which the API server takes numbers as well.
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
# Groups that end like Kubernetes' own, and whose kinds the library does not have.
_FOREIGN_GROUPS = {"gateway.networking.k8s.io", "apiextensions.k8s.io"}


class BuiltinSchemas:
    """Kubernetes' own kinds."""

    def problems(self, manifest: Manifest) -> list[str]:
        """Return what is wrong with an object, each with its field."""
        model = _model_of(manifest["apiVersion"], manifest["kind"])
        if not model:
            return []
        return list(_object_problems(manifest, model, ""))


def _model_of(api_version: str, kind: str) -> Any:
    """Return the library's class of a kind, None if it does not have one."""
    from kubernetes import client  # noqa: PLC0415 - takes 0.3 s, and most commands need none

    group, _, version = api_version.rpartition("/")
    is_custom = "." in group and not group.endswith(".k8s.io")
    if is_custom or group in _FOREIGN_GROUPS:
        return None
    return getattr(client, f"{version[:1].upper()}{version[1:]}{kind}", None)


def _object_problems(value: Any, model: Any, path: str) -> Iterator[str]:
    """Yield what is wrong with a map: fields that do not exist, and values of a wrong type."""
    if value is None:
        return
    if not isinstance(value, Mapping):
        yield f"{path}: it must be a map of keys and values"
        return
    types = {key: model.openapi_types[name] for name, key in model.attribute_map.items()}
    for key, inner_value in value.items():
        inner_path = f"{path}.{key}".lstrip(".")
        if key in types:
            yield from _problems(inner_value, types[key], inner_path)
        else:
            yield f"{inner_path}: this field does not exist{near_it(str(key), types)}"


def _problems(value: Any, type_name: str, path: str) -> Iterator[str]:
    """Yield what is wrong with a value. `type_name` is its type as the library spells it."""
    if value is None or type_name == "object":
        return
    if item_type := _LIST.fullmatch(type_name):
        yield from _list_problems(value, item_type[1], path)
    elif value_type := _MAP.fullmatch(type_name):
        yield from _map_problems(value, value_type[1], path)
    elif type_name in _PLAIN_TYPES:
        yield from _plain_problems(value, type_name, path)
    else:
        from kubernetes import client  # noqa: PLC0415 - takes 0.3 s, and most commands need none

        if model := getattr(client, type_name, None):
            yield from _object_problems(value, model, path)


def _list_problems(value: Any, item_type: str, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path}: it must be a list"
        return
    for number, item in enumerate(value):
        yield from _problems(item, item_type, f"{path}.{number}")


def _map_problems(value: Any, value_type: str, path: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{path}: it must be a map of keys and values"
        return
    for key, item in value.items():
        yield from _problems(item, value_type, f"{path}.{key}")


def _plain_problems(value: Any, type_name: str, path: str) -> Iterator[str]:
    """Yield what is wrong with a text, a number or a flag. A quantity may be a number, too."""
    expected_type: Any = _PLAIN_TYPES[type_name]
    names = path.split(".")
    # The field itself, or the map that the field is in.
    is_quantity = not _QUANTITIES.isdisjoint(names[-2:])
    if expected_type is str and is_quantity and _is_number(value):
        return
    if not _is_of_type(value, expected_type):
        yield f"{path}: it must be {_TYPE_NAMES[expected_type]}"
        return
    choices = _CHOICES.get(names[-1])
    if choices and value not in choices:
        yield f"{path}: it must be one of {', '.join(choices)}{near_it(str(value), choices)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_of_type(value: Any, expected_type: Any) -> bool:
    """Whether a value is of a type; to Python, but not here, true and false are whole numbers."""
    if isinstance(value, bool):
        return expected_type is bool
    return isinstance(value, expected_type)
