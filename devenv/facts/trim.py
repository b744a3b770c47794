"""Cuts Kubernetes objects down to what a diagnosis may need: no managed fields, no values.

Of the annotations, only the number of a revision is kept and those by which AIBrix names a model.
Of what a pod mounts or takes variables from, only names and keys are kept. For each kind,
`python docs/check_words.py KIND` prints which fields are kept.

A variable's value may be a credential. If its name does not look so, a mark of the value is kept,
so that two looks can be compared.
"""

import hashlib
import re
from collections.abc import Iterable

from devenv.facts.labels import MODEL, SERVICE
from devenv.facts.objects import Fields, annotations_of, fields_of, items_of, labels_of, name_of
from devenv.facts.references import references_of
from devenv.facts.revisions import REVISION
from devenv.ports.kube import Manifest

METADATA = (
    "name",
    "namespace",
    "labels",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "finalizers",
    "uid",
    "ownerReferences",
)
# Keys of an event.
EVENT = (
    "reason",
    "message",
    "type",
    "count",
    "firstTimestamp",
    "lastTimestamp",
    "eventTime",
    "involvedObject",
    "series",
    "related",
    "reportingComponent",
)
# Keys of a pod's spec that decide where it may run.
PLACING = ("nodeSelector", "priorityClassName", "schedulingGates", "schedulerName")
CONTAINER = (
    "name",
    "image",
    "imagePullPolicy",
    "ports",
    "resources",
    "command",
    "args",
    "readinessProbe",
    "livenessProbe",
    "startupProbe",
)
# Of a ReplicaSet or ControllerRevision, and of its spec.
REVISION_FIELDS, REVISION_SPEC = ("revision", "status"), ("replicas",)
ENDPOINT = ("addresses", "conditions")
# Of a webhook, without where it leads.
WEBHOOK = ("name", "failurePolicy", "rules")
# The lists of containers in a pod's spec.
CONTAINER_GROUPS = ("initContainers", "containers")
# Keys of a node's status: it has the names of all its images, twice.
DROPPED_STATUS = {"images", "daemonEndpoints", "volumesInUse", "volumesAttached"}
# What the name of a variable with a credential contains.
_SECRET = re.compile(r"key|token|passw|secret|credential|auth|cert", re.IGNORECASE)
# Where the mark of a variable's value is, and its hexadecimal digits.
MARK, _DIGITS = "mark", 12
ANNOTATIONS = (MODEL, SERVICE, REVISION)
# Envoy Gateway's own settings, the one ConfigMap whose content is read.
CONFIG = "envoy-gateway-config"


def trimmed(obj: Manifest) -> Manifest:
    """Return the object without what a diagnosis does not need or must not show."""
    fields: Manifest = {"metadata": _metadata(obj)}
    if "spec" in obj:
        fields["spec"] = _spec(obj["spec"])
    if "status" in obj:
        fields["status"] = _without(obj["status"], DROPPED_STATUS)
    fields |= _picked(obj, EVENT)
    if "webhooks" in obj:
        fields["webhooks"] = list(map(_webhook, items_of(obj, "webhooks")))
    if "endpoints" in obj:
        fields["endpoints"] = list(map(_endpoint, items_of(obj, "endpoints")))
    if name_of(obj) == CONFIG:
        fields |= _picked(obj, ("data",))
    return fields


def only_metadata(obj: Manifest) -> Manifest:
    """Return an object's metadata alone, in the same form as `trimmed`."""
    return {"metadata": _metadata(obj)}


def config_map(obj: Manifest) -> Manifest:
    """Return a ConfigMap with the names of its keys: their values may be private."""
    keys = [*fields_of(obj, "data"), *fields_of(obj, "binaryData")]
    return {**trimmed(obj), "keys": sorted(keys)}


def revision(obj: Manifest) -> Manifest:
    """Return a ReplicaSet or ControllerRevision without the template that it keeps."""
    fields = {"metadata": _metadata(obj), **_picked(obj, REVISION_FIELDS)}
    if "spec" in obj:
        fields["spec"] = _picked(obj["spec"], REVISION_SPEC)
    return fields


def _picked(fields: Fields, keys: Iterable[str]) -> Manifest:
    """Return those of the keys that are there, in this order, with their values."""
    return {key: fields[key] for key in keys if key in fields}


def _without(fields: Fields, keys: Iterable[str]) -> Manifest:
    return {key: value for key, value in fields.items() if key not in keys}


def _metadata(obj: Fields) -> Manifest:
    return {**_picked(obj["metadata"], METADATA), **_annotations(obj)}


def _annotations(obj: Fields) -> Manifest:
    """Return the annotations that are kept, as an entry of metadata; nothing if there are none."""
    annotations = _picked(annotations_of(obj), ANNOTATIONS)
    return {"annotations": annotations} if annotations else {}


def _endpoint(endpoint: Fields) -> Manifest:
    return _picked(endpoint, ENDPOINT)


def _webhook(hook: Fields) -> Manifest:
    """Return what a hook asks and where; of its certificate, only whether there is one."""
    client = fields_of(hook, "clientConfig")
    certificate = "there" if client.get("caBundle") else ""
    return {
        **_picked(hook, WEBHOOK),
        "clientConfig": {"service": client.get("service"), "caBundle": certificate},
    }


def _spec(spec: Fields) -> Manifest:
    """Return a spec; pods and their templates lose the content of volumes and variables."""
    if "template" in spec:
        return {**_without(spec, {"template"}), "template": _template(spec["template"])}
    if "containers" in spec:
        return _pod(spec)
    return dict(spec)


def _template(template: Fields) -> Manifest:
    metadata = {"labels": labels_of(template), **_annotations(template)}
    return {"metadata": metadata, "spec": _pod(template["spec"])}


def _pod(spec: Fields) -> Manifest:
    fields: Manifest = {"nodeName": spec.get("nodeName", ""), **_picked(spec, PLACING)}
    fields["references"] = references_of(spec)
    for group in CONTAINER_GROUPS:
        if group in spec:
            fields[group] = list(map(_container, spec[group]))
    return fields


def _container(container: Fields) -> Manifest:
    variables = list(map(_variable, items_of(container, "env")))
    return {**_picked(container, CONTAINER), "env": variables}


def _variable(entry: Fields) -> Manifest:
    """Return a variable's name, with a mark of its value unless that may be a credential."""
    name = entry["name"]
    if "value" not in entry or names_credential(name):
        return {"name": name}
    value = str(entry["value"])
    digest = hashlib.sha256(value.encode())
    return {"name": name, MARK: digest.hexdigest()[:_DIGITS]}


def names_credential(name: str) -> bool:
    """Whether a variable of this name may hold a credential."""
    return bool(_SECRET.search(name))
