"""The labels and annotations by which AIBrix finds models, and what pods say of themselves."""

import re
from collections.abc import Iterable

from devenv.facts.objects import (
    Fields,
    annotations_of,
    conditions_of,
    is_true,
    items_of,
    labels_of,
    name_of,
)
from devenv.ports.kube import Manifest

MODEL, PORT = "model.aibrix.ai/name", "model.aibrix.ai/port"
# An annotation with the name of the Service, if that can't be the model's name.
SERVICE = "model.aibrix.ai/service-name"
# A label of a StormService's pods.
STORM_SERVICE = "storm-service-name"
# Labels by which Envoy Gateway marks what it makes for a Gateway.
GATEWAY_NAME = "gateway.envoyproxy.io/owning-gateway-name"
GATEWAY_NAMESPACE = "gateway.envoyproxy.io/owning-gateway-namespace"
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
# A name that `-router` may follow.
ROUTE_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def selects_proxy(selector: str) -> bool:
    """Whether a selector is for what Envoy Gateway makes for a Gateway: its proxy."""
    return f"{GATEWAY_NAME}=" in selector


def model_label(obj: Fields) -> str:
    """Return the model that the label of an object or a pod template names, "" if none."""
    return str(labels_of(obj).get(MODEL) or "")


def model_name(obj: Fields, *, annotated: bool) -> str:
    """Return the model that an object or a pod template names, "" if it names none.

    `annotated`: whether the AIBrix in question reads annotations too (Profile.model_annotations).
    A label comes first, as in AIBrix's main (docs/facts/aibrix.md).
    """
    label = model_label(obj)
    if label or not annotated:
        return label
    return str(annotations_of(obj).get(MODEL) or "")


def service_name(obj: Fields) -> str:
    """Return the Service that an object's annotation names, "" if it names none."""
    return str(annotations_of(obj).get(SERVICE) or "")


def asked_models(route: Manifest) -> set[str]:
    """Return the models whose header a route matches on: such a route is a model's own."""
    models: set[str] = set()
    for rule in items_of(route["spec"], "rules"):
        for match in items_of(rule, "matches"):
            for header in items_of(match, "headers"):
                if header.get("name") == "model":
                    models.add(str(header.get("value")))
    return models


def route_of(model: str, routes: Iterable[Manifest], namespace: str) -> Manifest | None:
    """Return the HTTPRoute that leads to a model, or None.

    It is found by the header that it matches on, since AIBrix's main hashes names that can't be a
    route's. The route of the usual name comes first: a user may have made another one for the same
    header.
    """
    candidates = [r for r in routes if r["metadata"].get("namespace", namespace) == namespace]
    for route in candidates:
        if name_of(route) == f"{model}-router":
            return route
    for route in candidates:
        if model in asked_models(route):
            return route
    return None


def by_storm_service(pods: Iterable[Manifest]) -> bool:
    """Whether a StormService made all of these pods: AIBrix makes no route for one."""
    pod_labels = list(map(labels_of, pods))
    return bool(pod_labels) and all(STORM_SERVICE in labels for labels in pod_labels)


def is_controller(obj: Manifest) -> bool:
    """Whether a workload or a pod is Envoy Gateway's own controller."""
    return labels_of(obj).get("control-plane") == "envoy-gateway"


def is_ready(pod: Manifest) -> bool:
    """Whether a pod takes requests."""
    return is_true(conditions_of(pod), "Ready")
