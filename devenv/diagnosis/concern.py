"""Which objects of the profile a root cause is about."""

from collections.abc import Set as AbstractSet

from devenv.diagnosis import keys
from devenv.diagnosis.keys import Key
from devenv.facts.labels import model_name
from devenv.facts.objects import full_name, name_of, namespace_of
from devenv.ports.kube import Manifest
from devenv.profiles.model import Component, Profile

# Kinds from which Envoy Gateway makes its proxy.
_PROXY_KINDS = {"EnvoyProxy", "GatewayClass", "Gateway"}


def concerned(manifest: Manifest, about: AbstractSet[Key], profile: Profile) -> bool:
    """Whether root causes are about an object.

    `about`: their keys, which name objects, components or models.
    """
    kind, where = manifest["kind"], full_name(manifest)
    keys_of_manifest = {
        keys.object_of(kind, where),
        # Of a Deployment.
        keys.object_of(kind.lower(), where),
        *_component_keys(manifest, profile),
        *_model_keys(manifest, profile),
    }
    return bool(keys_of_manifest & about)


def _component_keys(manifest: Manifest, profile: Profile) -> set[Key]:
    """Return the keys of the components that an object belongs to."""
    components = [c.name for c in profile.components if _belongs_to(manifest, c)]
    return keys.components(components)


def _belongs_to(manifest: Manifest, component: Component) -> bool:
    """Whether an object is the component's own, or the component follows from it.

    The proxy follows from the objects that Envoy Gateway makes it from, and patch policies follow
    from Envoy Gateway's settings.
    """
    kind, resource = manifest["kind"], component.resource
    place = (namespace_of(manifest), name_of(manifest))
    if (resource.kind, (resource.namespace, resource.name)) == (kind, place):
        return True
    if kind in _PROXY_KINDS:
        return "owning-gateway" in resource.selector
    return kind == "ConfigMap" and resource.kind == "EnvoyPatchPolicy"


def _model_keys(manifest: Manifest, profile: Profile) -> set[Key]:
    """Return the keys of the profile's models that an object serves or routes to."""
    models = {request.model for request in profile.requests}
    return keys.models(model for model in models if _is_of_model(manifest, model, profile))


def _is_of_model(manifest: Manifest, model: str, profile: Profile) -> bool:
    if manifest["kind"] == "ReferenceGrant":
        return True
    name = name_of(manifest)
    if name in {model, f"{model}-router"}:
        return True
    return model_name(manifest, annotated=profile.model_annotations) == model
