"""The profile's objects as they were before the first fault, and how they are put back.

`up` and `recover` change nothing where requests succeed, so that a case would leave its traces to the next one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tests.cluster.lab import Lab

_Object = Mapping[str, Any]
# What the API server gives an object, and refuses or ignores in a new one.
_GIVEN = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid")
# Kinds whose content is not the manifests' alone: generated certificates stand in some.
_CONTROLLED = {
    "CustomResourceDefinition",
    "Job",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Secret",
    "ValidatingWebhookConfiguration",
}
# Fields of a spec that differ once an object was created again.
_OWN_FIELDS = {"clusterIP", "clusterIPs"}


@dataclass(frozen=True)
class Originals:
    """Objects as the API server had them."""

    objects: tuple[_Object, ...]

    def put_back(self, lab: Lab) -> list[str]:
        """Put back each object whose content differs, or that is gone; return KIND/NAME of each."""
        names: list[str] = []
        for original in self.objects:
            live = _read(lab, original)
            if live is not None and _content(live) == _content(original):
                continue
            verb = "create" if live is None else "replace"
            lab.kubectl_in(json.dumps(_unborn(original)), verb, "-f", "-")
            names.append(_name(original))
        return names


def read(lab: Lab) -> Originals:
    """Return the profile's objects as they are in the cluster."""
    rendered = lab.devenv("profile", "show", str(lab.profile), "--rendered").stdout
    documents = [d for d in yaml.safe_load_all(rendered) if d and d["kind"] not in _CONTROLLED]
    return Originals(tuple(filter(None, (_read(lab, document) for document in documents))))


def _read(lab: Lab, obj: _Object) -> _Object | None:
    """Return an object as the cluster has it, None if it has not."""
    group, slash, version = obj["apiVersion"].rpartition("/")
    kind = f"{obj['kind']}.{version}.{group}" if slash else obj["kind"]
    words = ("get", kind, obj["metadata"]["name"], "--ignore-not-found", "-o", "json")
    output = lab.kubectl(*_scope(obj), *words)
    live: _Object | None = json.loads(output) if output.strip() else None
    return live


def _scope(obj: _Object) -> list[str]:
    namespace = obj["metadata"].get("namespace")
    return ["-n", namespace] if namespace else []


def _name(obj: _Object) -> str:
    return f"{obj['kind']}/{obj['metadata']['name']}"


def _content(obj: _Object) -> dict[str, Any]:
    """Return what a fault may change: not the status, nor what a restart or the API server writes."""
    content = {key: value for key, value in obj.items() if key not in {"metadata", "status"}}
    if isinstance(spec := content.get("spec"), dict):
        content["spec"] = {key: value for key, value in spec.items() if key not in _OWN_FIELDS}
        if isinstance(template := spec.get("template"), dict):
            content["spec"]["template"] = {
                **template,
                "metadata": template["metadata"].get("labels"),
            }
    return {**content, "labels": obj["metadata"].get("labels")}


def _unborn(obj: _Object) -> dict[str, Any]:
    """Return an object as it is before the API server has it."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _GIVEN}
    fields = {key: value for key, value in obj.items() if key != "status"}
    return {**fields, "metadata": metadata}
