"""By what AIBrix finds models, and what a pod says of itself: read in one way by whoever looks."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from devenv.ports import Manifest

MODEL, PORT = "model.aibrix.ai/name", "model.aibrix.ai/port"
# annotation: the Service, where it can't be named like the model.
SERVICE = "model.aibrix.ai/service-name"
# Label of a StormService's pods.
STORM_SERVICE = "storm-service-name"
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
# What `-router` may follow.
ROUTE_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def model_label(obj: Mapping[str, Any]) -> str:
    """Return the model that an object's label names, or a pod template's; "" where it names none."""
    return str(((obj.get("metadata") or {}).get("labels") or {}).get(MODEL) or "")


def model_name(obj: Mapping[str, Any], *, annotated: bool) -> str:
    """Return the model that an object names, or a pod template; "" where it names none.

    `annotated`: whether the AIBrix in question reads annotations too (Profile.model_annotations).
    A label comes first, as in AIBrix's main (docs/facts/aibrix.md).
    """
    return model_label(obj) or (_annotation(obj, MODEL) if annotated else "")


def service_name(obj: Mapping[str, Any]) -> str:
    """Return the Service that an object's annotation names; "" where it names none."""
    return _annotation(obj, SERVICE)


def _annotation(obj: Mapping[str, Any], key: str) -> str:
    return str(((obj.get("metadata") or {}).get("annotations") or {}).get(key) or "")


def asked_models(route: Manifest) -> set[str]:
    """Return the models whose header a route matches on: such a route is a model's own."""
    matches = [m for rule in route["spec"].get("rules") or () for m in rule.get("matches") or ()]
    return {
        str(h.get("value"))
        for m in matches
        for h in m.get("headers") or ()
        if h.get("name") == "model"
    }


def route_of(model: str, routes: Iterable[Manifest], namespace: str) -> Manifest | None:
    """Return the HTTPRoute that leads to a model, None where there is none.

    It is found by the header that it matches on: main hashes names that can't be a route's. The
    route of the usual name comes first, since a user may have made another for the same header.
    """
    usual = f"{model}-router"
    candidates = [r for r in routes if r["metadata"].get("namespace", namespace) == namespace]
    by_name = [r for r in candidates if r["metadata"]["name"] == usual]
    by_match = [r for r in candidates if model in asked_models(r)]
    return next(iter((*by_name, *by_match)), None)


def by_storm_service(pods: Iterable[Manifest]) -> bool:
    """Whether a StormService made all of these: AIBrix makes no route for one."""
    labels = [pod["metadata"].get("labels") or {} for pod in pods]
    return bool(labels) and all(STORM_SERVICE in pod_labels for pod_labels in labels)


def is_controller(obj: Manifest) -> bool:
    """Whether a workload, or a pod, is Envoy Gateway's own controller."""
    return (obj["metadata"].get("labels") or {}).get("control-plane") == "envoy-gateway"


def is_ready(pod: Manifest) -> bool:
    """Whether a pod takes requests."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
