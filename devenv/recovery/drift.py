"""What of the profile's manifests is missing in the cluster, or was changed there by somebody else."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from devenv.diagnosis.model import Finding
from devenv.facts.labels import model_name
from devenv.lifecycle.manifests import key
from devenv.ports import Kube, Manifest
from devenv.profiles.model import Profile

_CRD = "CustomResourceDefinition"
_SKIPPED = {
    "Namespace",
    "Job",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "ServiceAccount",
}
_OURS = ("devenv", "devenv-reload")
# fields.
_SHOWN = 3
_CONTROLLERS = ("kube-controller-manager", "envoy-gateway", "kubelet", "kube-scheduler")


@dataclass(frozen=True)
class Drift:
    """One object: whether it is missing, who else has written to it, and which fields are not as the manifest has them."""

    manifest: Manifest
    missing: bool = False
    by: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        _, kind, namespace, name = key(self.manifest)
        where = f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
        if self.missing:
            return f"{where}: missing"
        who = f"changed by {', '.join(self.by)}" if self.by else "changed"
        return f"{where}: {who}{': ' + ', '.join(self.fields[:_SHOWN]) if self.fields else ''}"


def to_put_back(
    kube: Kube, manifests: Sequence[Manifest], roots: Sequence[Finding], profile: Profile
) -> tuple[Drift, ...]:
    """Return what these roots are about and is not as it should be, and what they affect and is gone.

    What was changed elsewhere is left as it is: somebody may have wanted it so.
    """
    about = {key for root in roots for key in root.about}
    affected = {key for root in roots for key in root.affects}
    kinds = _kinds_without_definition(manifests, about)
    candidates = [
        m for m in manifests if concerned(m, about | affected, profile) or _group_kind(m) in kinds
    ]
    return tuple(
        d for d in drift(kube, candidates) if d.missing or concerned(d.manifest, about, profile)
    )


def _kinds_without_definition(
    manifests: Sequence[Manifest], about: AbstractSet[str]
) -> set[tuple[str, str]]:
    """Return the kinds, as (API group, kind), whose definition is gone, and all objects with it."""
    definitions = [m for m in manifests if m["kind"] == _CRD]
    gone = [m["spec"] for m in definitions if f"{_CRD}/{m['metadata']['name']}" in about]
    return {(str(spec["group"]), str(spec["names"]["kind"])) for spec in gone}


def _group_kind(manifest: Manifest) -> tuple[str, str]:
    return manifest["apiVersion"].rpartition("/")[0], manifest["kind"]


def drift(kube: Kube, manifests: Iterable[Manifest]) -> list[Drift]:
    """Return the objects that are missing, those in which others than devenv own fields of the spec, and those that differ."""
    drifts = []
    for manifest in manifests:
        if manifest["kind"] in _SKIPPED:
            continue
        live = kube.get(*key(manifest))
        if live is None:
            drifts.append(Drift(manifest, missing=True))
            continue
        # The API server fills in much of it.
        if manifest["kind"] == _CRD:
            continue
        by, fields = _others(live), tuple(_differing(manifest, live))
        if by or fields:
            drifts.append(Drift(manifest, by=by, fields=fields))
    return drifts


def _differing(desired: Any, live: Any, path: str = "") -> Iterator[str]:
    """Yield the fields that the manifest has and the object has not, or has otherwise. `kubectl scale` leaves no name."""
    if isinstance(desired, Mapping):
        for key_, value in desired.items():
            if path or key_ in {"spec", "data"}:
                inner = live.get(key_) if isinstance(live, Mapping) else None
                yield from _differing(value, inner, f"{path}.{key_}" if path else str(key_))
    elif isinstance(desired, list):
        if not isinstance(live, list) or len(live) != len(desired):
            yield path
        else:
            for number, (item, live_item) in enumerate(zip(desired, live, strict=True)):
                yield from _differing(item, live_item, f"{path}[{number}]")
    elif str(desired) != str(live) and not (desired is None and live is None):
        yield path


def _others(obj: Manifest) -> tuple[str, ...]:
    """As the API server notes them, field by field (managedFields)."""
    managers = {
        str(entry.get("manager"))
        for entry in obj["metadata"].get("managedFields") or ()
        if entry.get("manager") not in {*_OURS, *_CONTROLLERS}
        and entry.get("subresource") != "status"
        and {"f:spec", "f:data"} & set(entry.get("fieldsV1") or ())
    }
    return tuple(sorted(managers))


def concerned(manifest: Manifest, about: AbstractSet[str], profile: Profile) -> bool:
    """Whether roots are about an object: by its own key, as a component, as a model's, or as Envoy Gateway's settings."""
    _, kind, namespace, name = key(manifest)
    where = f"{namespace}/{name}" if namespace else name
    keys = {
        f"{kind}/{where}",
        f"{kind.lower()}/{where}",
        *_components(manifest, profile),
        *_models(manifest, profile),
    }
    return bool(keys & about)


def _components(manifest: Manifest, profile: Profile) -> set[str]:
    """A component's own object; for the proxy, what Envoy Gateway makes it from; for patches, its settings too."""
    _, kind, namespace, name = key(manifest)
    keys = {
        f"component/{c.name}"
        for c in profile.components
        if (c.resource.kind, c.resource.namespace, c.resource.name) == (kind, namespace, name)
    }
    if kind in {"EnvoyProxy", "GatewayClass", "Gateway"}:
        keys |= {
            f"component/{c.name}"
            for c in profile.components
            if "owning-gateway" in c.resource.selector
        }
    if kind == "ConfigMap":
        keys |= {
            f"component/{c.name}"
            for c in profile.components
            if c.resource.kind == "EnvoyPatchPolicy"
        }
    return keys


def _models(manifest: Manifest, profile: Profile) -> set[str]:
    name = manifest["metadata"]["name"]
    served = model_name(manifest, annotated=profile.model_annotations)
    models = {r.model for r in profile.requests}
    if manifest["kind"] == "ReferenceGrant":
        return {f"model/{m}" for m in models}
    return {f"model/{m}" for m in models if m == served or name in {m, f"{m}-router"}}
