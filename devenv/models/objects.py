"""The Kubernetes objects of a model that devenv adds, and how devenv recognises them."""

from devenv.base.json_types import JsonObject
from devenv.facts.labels import LABEL_VALUE, MODEL, PORT, SERVICE
from devenv.facts.mock import MOCK
from devenv.install.manifests import IMAGES_NOTE
from devenv.models.model import NewModel
from devenv.ports.kube import KindKey, Manifest

# Each is an apiVersion and a kind.
DEPLOYMENT = ("apps/v1", "Deployment")
SERVICE_KIND = ("v1", "Service")
HTTP_ROUTE = ("gateway.networking.k8s.io/v1", "HTTPRoute")
REFERENCE_GRANT = ("gateway.networking.k8s.io/v1beta1", "ReferenceGrant")

MOCK_IMAGE = f"{MOCK}:reference"
_OWNER_LABELS = {"app.kubernetes.io/managed-by": "devenv"}
# Annotation with the model's name, which a label can't always hold.
_ADDED_MODEL = "devenv/model"
_DEFAULT_PORT = "8000"
# What AIBrix's controller writes into each route; without it, Envoy Gateway cuts an answer at 15 s.
ROUTE_TIMEOUT = "120s"
_PATHS = ("/v1/completions", "/v1/chat/completions", "/v1/embeddings")


def added_model(obj: Manifest) -> str | None:
    """Return the model for which devenv made an object, None if devenv did not make the object."""
    annotations = obj["metadata"].get("annotations") or {}
    if _ADDED_MODEL not in annotations:
        return None
    return str(annotations[_ADDED_MODEL])


def labelled_port(deployment: Manifest) -> str:
    """Return the port at which AIBrix looks for a Deployment's model."""
    labels = deployment["metadata"].get("labels") or {}
    return str(labels.get(PORT, _DEFAULT_PORT))


def deployment(model: NewModel, *, is_visible: bool) -> Manifest:
    """Return the model's Deployment.

    `is_visible`: whether AIBrix's controller is to see a model in it.
    """
    labels, annotations = _discovery_keys(model, is_visible=is_visible)
    spec = {
        "replicas": model.replicas,
        "selector": {"matchLabels": {"app": model.slug}},
        "template": _pod_template(model, labels, annotations),
    }
    obj = _object(DEPLOYMENT, model.slug, model.namespace, model, spec)
    meta = obj["metadata"]
    meta["labels"] |= labels
    meta["annotations"] |= annotations
    if not is_visible:
        # The controller would create a route to a Service that can't exist, beside devenv's own.
        meta["labels"].pop(MODEL, None)
        meta["annotations"].pop(MODEL, None)
    return obj


def service(model: NewModel) -> Manifest:
    """Return the Service that leads to the model's pods."""
    ports = [{"name": "http", "port": model.port, "targetPort": model.port}]
    spec = {"selector": {"app": model.slug}, "ports": ports}
    return _object(SERVICE_KIND, model.slug, model.namespace, model, spec)


def route_and_grant(model: NewModel, gateway: str, system_namespace: str) -> list[Manifest]:
    """Return the objects that AIBrix's controller would create: a route and its grant.

    The grant lets the route lead into another namespace; within its own namespace it needs none.
    """
    model_header = {"headers": [{"name": "model", "value": model.name}]}
    backend = {"name": model.slug, "namespace": model.namespace, "port": model.port}
    rule = {
        "matches": [_path_match(path) | model_header for path in _PATHS],
        "backendRefs": [backend],
        "timeouts": {"request": ROUTE_TIMEOUT},
    }
    spec = {"parentRefs": [{"name": gateway}], "rules": [rule]}
    route = _object(HTTP_ROUTE, model.route_name, system_namespace, model, spec)
    if model.namespace == system_namespace:
        return [route]
    return [route, _grant(model.namespace, system_namespace)]


def _path_match(prefix: str) -> JsonObject:
    return {"path": {"type": "PathPrefix", "value": prefix}}


def _grant(namespace: str, system_namespace: str) -> Manifest:
    """Return what lets the routes of the system namespace use Services of another one.

    All models of a namespace share it, so it bears no model's annotation and is never removed.
    """
    version, kind = REFERENCE_GRANT
    route_source = {
        "group": "gateway.networking.k8s.io",
        "kind": "HTTPRoute",
        "namespace": system_namespace,
    }
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {
            "name": f"{system_namespace}-reserved-referencegrant-in-{namespace}",
            "namespace": namespace,
        },
        "spec": {"from": [route_source], "to": [{"group": "", "kind": "Service"}]},
    }


def _object(
    kind: KindKey, name: str, namespace: str, model: NewModel, spec: JsonObject
) -> Manifest:
    meta = {
        "name": name,
        "namespace": namespace,
        "labels": dict(_OWNER_LABELS),
        "annotations": {_ADDED_MODEL: model.name},
    }
    return {"apiVersion": kind[0], "kind": kind[1], "metadata": meta, "spec": spec}


def _discovery_keys(model: NewModel, *, is_visible: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Return the labels and the annotations by which AIBrix finds the model and its Service."""
    labels: dict[str, str] = {PORT: str(model.port)}
    annotations: dict[str, str] = {}
    if LABEL_VALUE.fullmatch(model.name):
        labels[MODEL] = model.name
    else:
        annotations[MODEL] = model.name
    if is_visible and not model.has_own_name:
        annotations[SERVICE] = model.slug
    return labels, annotations


def _pod_template(
    model: NewModel, labels: dict[str, str], annotations: dict[str, str]
) -> JsonObject:
    """Return the pod template; the ID of the image is noted as `up` notes it."""
    meta: JsonObject = {"labels": {"app": model.slug, **labels}}
    pod_annotations = dict(annotations)
    if model.image_id:
        pod_annotations[IMAGES_NOTE] = model.image_id
    if pod_annotations:
        meta["annotations"] = pod_annotations
    return {"metadata": meta, "spec": {"containers": [_container(model)]}}


def _container(model: NewModel) -> JsonObject:
    """Return the model server's container; without an image of the user's, the mock."""
    container: JsonObject = {
        "name": "llm-engine",
        "image": model.image or MOCK_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": model.port}],
        "readinessProbe": {"tcpSocket": {"port": model.port}, "periodSeconds": 2},
    }
    if not model.image:
        pod_name = {"fieldRef": {"fieldPath": "metadata.name"}}
        container["env"] = [
            {"name": "MODEL_NAME", "value": model.name},
            {"name": "POD_NAME", "valueFrom": pod_name},
        ]
        # Envoy learns a moment later that the pod ends.
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": 3}}}
    return container
