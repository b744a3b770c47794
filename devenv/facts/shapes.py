"""The shape of Kubernetes objects, as far as a diagnosis reads them.

A saved file may have been edited, cut or written by another program, but checks and pages rely on
the shape that the API server gives. Here an object from a file gets that shape: what does not fit
is left out and noted, and null is the same as missing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from devenv.facts.model import WORKLOADS
from devenv.ports.kube import Manifest

_LARGEST = 1 << 62


Note = Callable[[str], None]


class OddError(ValueError):
    """A value does not have its required shape. The text is the path to it."""


@dataclass(frozen=True)
class Text:
    """A text that is not empty where it is `needed` in a map."""


@dataclass(frozen=True)
class Number:
    """A whole number, at most of 63 bits."""


@dataclass(frozen=True)
class Flag:
    """True or false."""


@dataclass(frozen=True)
class Texts:
    """A map of texts, such as labels."""


@dataclass(frozen=True)
class Each:
    """A list whose items have one shape."""

    item: "Shape"


@dataclass(frozen=True)
class Fields:
    """A map. `needed` keys must be there; keys that are not in `fields` may hold anything."""

    fields: Mapping[str, "Shape"] = field(default_factory=dict)
    needed: tuple[str, ...] = ()


Shape = Text | Number | Flag | Texts | Each | Fields

_TEXT, _NUMBER, _FLAG, _TEXTS, _MAP = Text(), Number(), Flag(), Texts(), Fields()


def _texts(*names: str) -> dict[str, Shape]:
    return dict.fromkeys(names, _TEXT)


def _numbers(*names: str) -> dict[str, Shape]:
    return dict.fromkeys(names, _NUMBER)


_CONDITION = Fields(
    {
        **_texts("type", "status", "reason", "message", "lastTransitionTime", "lastUpdateTime"),
        **_numbers("observedGeneration"),
    },
    ("type", "status"),
)
_CONDITIONS = Each(_CONDITION)
_STATE = Fields({
    "waiting": Fields(_texts("reason", "message")),
    "running": Fields(_texts("startedAt")),
    "terminated": Fields({
        **_texts("reason", "message", "startedAt", "finishedAt"),
        **_numbers("exitCode", "signal"),
    }),
})  # fmt: skip
_CONTAINER_STATUS = Fields(
    {
        **_texts("name", "image", "imageID", "containerID"),
        "state": _STATE, "lastState": _STATE, "ready": _FLAG, "restartCount": _NUMBER,
    },
    ("name",),
)  # fmt: skip
_PORT = Fields(_texts("name", "protocol"))
_CONTAINER = Fields(
    {
        **_texts("name", "image", "imagePullPolicy"),
        "env": Each(Fields(_texts("name"), ("name",))),
        "ports": Each(_PORT),
        "resources": Fields({"limits": _MAP, "requests": _MAP}),
        "command": Each(_TEXT),
        "args": Each(_TEXT),
    },
    ("name",),
)
_NEEDED_OBJECT = Fields(
    {**_texts("kind", "name", "by", "key"), "optional": _FLAG},
    ("kind", "name"),
)
_POD: dict[str, Shape] = {
    **_texts("nodeName", "priorityClassName", "schedulerName"),
    "nodeSelector": _TEXTS,
    "schedulingGates": Each(Fields(_texts("name"))),
    "references": Each(_NEEDED_OBJECT),
    "containers": Each(_CONTAINER),
    "initContainers": Each(_CONTAINER),
}
_TEMPLATE = Fields(
    {
        "metadata": Fields({"labels": _TEXTS, "annotations": _TEXTS}),
        "spec": Fields(_POD),
    },
    ("metadata", "spec"),
)
_BACKEND = Fields(_texts("name", "namespace", "kind", "group"), ("name",))
_BACKENDS = Each(_BACKEND)
_REFERENCE = Fields(_texts("name", "namespace", "kind", "group"))
_MATCH = Fields({
    "headers": Each(Fields(_texts("name", "value", "type"))),
    "path": Fields(_texts("value", "type")),
})  # fmt: skip
_RULE = Fields({"matches": Each(_MATCH), "backendRefs": _BACKENDS, "filters": Each(_MAP)})
_SELECTOR = Fields({
    "matchLabels": _TEXTS,
    "matchExpressions": Each(
        Fields({**_texts("key", "operator"), "values": Each(_TEXT)}, ("key", "operator"))
    ),
})  # fmt: skip
_NETWORK_PEERS = Each(Fields({
    "podSelector": _SELECTOR,
    "namespaceSelector": _SELECTOR,
    "ipBlock": Fields({"cidr": _TEXT, "except": Each(_TEXT)}, ("cidr",)),
}))  # fmt: skip
# What a NetworkPolicy allows. The port has a number or a name.
_NETWORK_RULES = Each(Fields({
    "from": _NETWORK_PEERS,
    "to": _NETWORK_PEERS,
    "ports": Each(Fields({"protocol": _TEXT, **_numbers("endPort")})),
}))  # fmt: skip
_SPEC: dict[str, Shape] = {
    **_POD,
    **_texts("gatewayClassName", "holderIdentity", "renewTime", "type", "clusterIP"),
    **_texts("storageClassName", "volumeName"),
    **_numbers("replicas", "leaseDurationSeconds"),
    "unschedulable": _FLAG,
    "hard": _MAP,
    "finalizers": Each(_TEXT),
    "selector": _MAP,
    "template": _TEMPLATE,
    "updateStrategy": Fields({"type": _TEXT, "rollingUpdate": _MAP}),
    "rules": Each(_RULE),
    "parentRefs": Each(Fields(_texts("name", "namespace", "kind"), ("name",))),
    "targetRef": _REFERENCE,
    "targetRefs": Each(_REFERENCE),
    "extProc": Each(Fields({"backendRefs": _BACKENDS})),
    "jsonPatches": Each(Fields({"operation": _MAP})),
    "from": Each(Fields(_texts("kind", "namespace"))),
    "to": Each(Fields(_texts("kind", "name"))),
    "listeners": Each(_MAP),
    "ports": Each(_PORT),
    "taints": Each(Fields(_texts("key", "value", "effect"))),
    "podCIDRs": Each(_TEXT),
    "podSelector": _SELECTOR,
    "policyTypes": Each(_TEXT),
    "ingress": _NETWORK_RULES,
    "egress": _NETWORK_RULES,
}
_STATUS: dict[str, Shape] = {
    **_texts("phase", "podIP", "reason", "message", "updateRevision", "nominatedNodeName"),
    **_numbers(
        "replicas", "readyReplicas", "updatedReplicas", "availableReplicas", "observedGeneration",
        "desiredNumberScheduled", "numberAvailable", "updatedNumberScheduled",
    ),
    "conditions": _CONDITIONS,
    "ancestors": Each(Fields({"ancestorRef": _REFERENCE, "conditions": _CONDITIONS})),
    "parents": Each(Fields({"parentRef": _REFERENCE, "conditions": _CONDITIONS})),
    "containerStatuses": Each(_CONTAINER_STATUS),
    "initContainerStatuses": Each(_CONTAINER_STATUS),
    "nodeInfo": Fields(_texts("kubeletVersion")),
    **dict.fromkeys(("allocatable", "capacity", "hard", "used"), _MAP),
}  # fmt: skip
_ADDRESSES = Each(Fields(_texts("type", "address"), ("address",)))
_OWNER = Fields(_texts("kind", "name", "uid", "apiVersion"))
_METADATA: dict[str, Shape] = {
    **_texts("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp"),
    "generation": _NUMBER,
    "labels": _TEXTS,
    "annotations": _TEXTS,
    "ownerReferences": Each(_OWNER),
    "finalizers": Each(_TEXT),
}
_SERVICE = Fields(_texts("name", "namespace"), ("name", "namespace"))
_WEBHOOK = Fields({
    **_texts("name", "failurePolicy"),
    "clientConfig": Fields({"service": _SERVICE, "caBundle": _TEXT}),
    "rules": Each(Fields({"resources": Each(_TEXT)})),
})  # fmt: skip
_ENDPOINT = Fields({
    "addresses": Each(_TEXT),
    "conditions": Fields(dict.fromkeys(("ready", "serving", "terminating"), _FLAG)),
})  # fmt: skip
_INVOLVED = Fields(_texts("kind", "namespace", "name", "uid", "fieldPath"))
_REST: dict[str, Shape] = {
    **_texts("reason", "message", "type", "firstTimestamp", "lastTimestamp", "eventTime"),
    **_texts("reportingComponent"),
    **_numbers("count", "revision"),
    "involvedObject": _INVOLVED,
    "related": _INVOLVED,
    "series": Fields({**_texts("lastObservedTime"), **_numbers("count")}),
    "keys": Each(_TEXT),
    "webhooks": Each(_WEBHOOK),
    "endpoints": Each(_ENDPOINT),
    "data": _TEXTS,
}
# Kinds without a namespace.
_CLUSTERED = {
    "Node", "GatewayClass", "CustomResourceDefinition", "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration", "Namespace", "StorageClass", "PriorityClass",
}  # fmt: skip
# Kinds that tell nothing without a spec.
_SPECIFIED = {
    *WORKLOADS, "Pod", "Service", "HTTPRoute", "Gateway", "EnvoyExtensionPolicy",
    "EnvoyPatchPolicy", "ReferenceGrant",
}  # fmt: skip


def shape_of(kind: str) -> Fields:
    """Return the shape of a kind's objects."""
    metadata = Fields(_METADATA, ("name",) if kind in _CLUSTERED else ("name", "namespace"))
    parts: dict[str, Shape] = {
        **_REST,
        "metadata": metadata,
        "spec": _spec_shape(kind),
        "status": _status_shape(kind),
    }
    return Fields(parts, ("metadata", "spec") if kind in _SPECIFIED else ("metadata",))


def _spec_shape(kind: str) -> Fields:
    if kind == "Service":
        return Fields({**_SPEC, "selector": _TEXTS})
    if kind in WORKLOADS:
        return Fields(_SPEC, ("template",))
    return Fields(_SPEC)


def _status_shape(kind: str) -> Fields:
    if kind == "Node":
        return Fields({**_STATUS, "addresses": _ADDRESSES})
    return Fields(_STATUS)


def shaped(obj: Any, kind: str, note: Note) -> Manifest:
    """Return an object without the values that do not have their kind's shape.

    `note` gets the path of each such value. Raises OddError if the object lacks what it must have.
    """
    fitted: Manifest = _fit(obj, shape_of(kind), "", note)
    return fitted


def _fit(value: Any, shape: Shape, path: str, note: Note) -> Any:
    """Return the part of a value that fits the shape. Raises OddError if the value does not fit."""
    if isinstance(shape, Fields):
        return _fit_fields(value, shape, path, note)
    if isinstance(shape, Each):
        return _fit_items(value, shape.item, path, note)
    if isinstance(shape, Texts):
        return _fit_pairs(value, path, note)
    if not _is_scalar(value, shape):
        raise OddError(path)
    return value


def _is_scalar(value: Any, shape: Text | Number | Flag) -> bool:
    # For Python, a truth value is an int too.
    if isinstance(shape, Flag) or isinstance(value, bool):
        return isinstance(shape, Flag) and isinstance(value, bool)
    if isinstance(shape, Text):
        return isinstance(value, str)
    return isinstance(value, int) and abs(value) <= _LARGEST


def _fit_fields(value: Any, shape: Fields, path: str, note: Note) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise OddError(path)
    fitted = {key: inner for key, inner in value.items() if key not in shape.fields}
    for key, inner_shape in shape.fields.items():
        if value.get(key) is None:
            continue
        try:
            fitted[key] = _fit(value[key], inner_shape, _joined(path, key), note)
        except OddError as error:
            if key in shape.needed:
                raise
            note(str(error))
    _require(shape.needed, fitted, path)
    # In the order of the file.
    return {key: fitted[key] for key in value if key in fitted}


def _require(keys: Iterable[str], fitted: Mapping[str, Any], path: str) -> None:
    """Raise OddError if a needed key is missing or empty. An empty map is enough."""
    for key in keys:
        if not fitted.get(key) and not isinstance(fitted.get(key), dict):
            raise OddError(_joined(path, key))


def _fit_items(items: Any, shape: Shape, path: str, note: Note) -> list[Any]:
    if not isinstance(items, list):
        raise OddError(path)
    fitted: list[Any] = []
    for number, item in enumerate(items):
        try:
            fitted.append(_fit(item, shape, _joined(path, str(number)), note))
        except OddError as error:
            note(str(error))
    return fitted


def _fit_pairs(content: Any, path: str, note: Note) -> dict[str, str]:
    if not isinstance(content, Mapping):
        raise OddError(path)
    fitted: dict[str, str] = {}
    for key, value in content.items():
        if isinstance(value, str):
            fitted[str(key)] = value
        elif value is not None:
            note(_joined(path, str(key)))
    return fitted


def _joined(path: str, key: str) -> str:
    if not path:
        return key
    return f"{path}.{key}"
