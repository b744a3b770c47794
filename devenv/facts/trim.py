"""Kubernetes objects cut down to what a diagnosis may need: no managed fields, no values.

Of annotations the number of a revision is kept, and by what AIBrix names a model.

A variable's value may be a credential. Of one that does not look so, a mark is kept, so that two looks can be compared.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from devenv.facts.labels import MODEL, SERVICE
from devenv.facts.revisions import REVISION
from devenv.ports import Manifest

_META = (
    "name",
    "namespace",
    "labels",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "uid",
    "ownerReferences",
)
_CONTAINER = (
    "name", "image", "imagePullPolicy", "ports", "resources", "command", "args", "readinessProbe", "livenessProbe",
    "startupProbe",
)  # fmt: skip
# In the name of a variable.
_SECRET = re.compile(r"key|token|passw|secret|credential|auth|cert", re.IGNORECASE)
# Hexadecimal digits.
_MARK = 12
# No others are kept.
_ANNOTATIONS = (MODEL, SERVICE, REVISION)
_CONFIG = (
    # Envoy Gateway's own settings, the one ConfigMap whose content is read.
    "envoy-gateway-config"
)


def trimmed(obj: Manifest) -> Manifest:
    """Return the object without what nobody needs and what nobody should see."""
    meta = obj["metadata"]
    fields: Manifest = {"metadata": _metadata(meta)}
    if "spec" in obj:
        fields["spec"] = _spec(obj["spec"])
    if "status" in obj:
        fields["status"] = _status(obj["status"])
    for name in (
        "reason",
        "message",
        "type",
        "count",
        "firstTimestamp",
        "lastTimestamp",
        "eventTime",
        "involvedObject",
    ):
        if name in obj:
            fields[name] = obj[name]
    if "webhooks" in obj:
        fields["webhooks"] = [_webhook(w) for w in obj["webhooks"] or ()]
    if "endpoints" in obj:
        fields["endpoints"] = [
            {k: e[k] for k in ("addresses", "conditions") if k in e} for e in obj["endpoints"] or ()
        ]
    if meta["name"] == _CONFIG and "data" in obj:
        fields["data"] = obj["data"]
    return fields


def revision(obj: Manifest) -> Manifest:
    """Return a ReplicaSet or ControllerRevision without the template that it keeps."""
    fields: Manifest = {"metadata": _metadata(obj["metadata"])}
    if "revision" in obj:
        fields["revision"] = obj["revision"]
    return fields


def _metadata(meta: Mapping[str, Any]) -> dict[str, Any]:
    return {k: meta[k] for k in _META if k in meta} | _annotations(meta)


def _annotations(meta: Mapping[str, Any]) -> dict[str, Any]:
    annotations = meta.get("annotations") or {}
    names = {key: annotations[key] for key in _ANNOTATIONS if key in annotations}
    return {"annotations": names} if names else {}


def _webhook(hook: Mapping[str, Any]) -> dict[str, Any]:
    """Whom it asks about what; of the certificate only whether there is one."""
    client = hook.get("clientConfig") or {}
    fields = {k: hook[k] for k in ("name", "failurePolicy", "rules") if k in hook}
    return {
        **fields,
        "clientConfig": {
            "service": client.get("service"),
            "caBundle": "there" if client.get("caBundle") else "",
        },
    }


def _spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Pods and their templates lose their volumes and the values of their variables."""
    if "template" in spec:
        template = spec["template"]
        meta = template.get("metadata") or {}
        labels = {"labels": meta.get("labels") or {}}
        inner = {"metadata": labels | _annotations(meta), "spec": _pod(template["spec"])}
        return {**{k: v for k, v in spec.items() if k != "template"}, "template": inner}
    return _pod(spec) if "containers" in spec else dict(spec)


def _pod(spec: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {"nodeName": spec.get("nodeName", "")}
    for group in ("initContainers", "containers"):
        if group in spec:
            fields[group] = [_container(c) for c in spec[group]]
    return fields


def _container(container: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{k: container[k] for k in _CONTAINER if k in container},
        "env": [_variable(e) for e in container.get("env") or ()],
    }


def _variable(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A variable by its name, with a mark of its value where that is no credential."""
    fields: dict[str, Any] = {"name": entry["name"]}
    if "value" in entry and not _SECRET.search(entry["name"]):
        fields["mark"] = hashlib.sha256(str(entry["value"]).encode()).hexdigest()[:_MARK]
    return fields


def _status(status: Mapping[str, Any]) -> dict[str, Any]:
    """A node's status has the names of all its images, twice."""
    return {
        k: v
        for k, v in status.items()
        if k not in {"images", "daemonEndpoints", "volumesInUse", "volumesAttached"}
    }
