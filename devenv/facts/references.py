"""Lists what a pod needs before it can start: what it mounts, takes variables from or names.

Only names and keys are listed, never content.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from devenv.facts.objects import Fields, fields_of, items_of
from devenv.ports.kube import Manifest

SECRET, CONFIG_MAP, CLAIM = "Secret", "ConfigMap", "PersistentVolumeClaim"
# What `by` says of a Secret that is needed only to pull the pod's images.
PULL = "imagePullSecrets"
# The kinds of a volume's or a variable's source: (its key, where its name stands, kind).
_VOLUMES = (
    ("secret", "secretName", SECRET),
    ("configMap", "name", CONFIG_MAP),
    ("persistentVolumeClaim", "claimName", CLAIM),
)
_PROJECTED = (("secret", "name", SECRET), ("configMap", "name", CONFIG_MAP))
_VARIABLES = (("secretKeyRef", "name", SECRET), ("configMapKeyRef", "name", CONFIG_MAP))
_VARIABLE_SETS = (("secretRef", "name", SECRET), ("configMapRef", "name", CONFIG_MAP))
_Source = tuple[str, str, str]
# What a pod's spec names directly: (key, kind).
_NAMED = (
    ("serviceAccountName", "ServiceAccount"),
    ("priorityClassName", "PriorityClass"),
    ("runtimeClassName", "RuntimeClass"),
)


def references_of(spec: Fields) -> list[Manifest]:
    """Return the objects that a pod needs, each as kind, name and by what the pod names it.

    `key` names the one key that is needed of a Secret or ConfigMap; `optional` is there only if the
    pod starts without the object.
    """
    references = [*_of_volumes(spec), *_of_variables(spec), *_of_pull_secrets(spec)]
    for key, kind in _NAMED:
        if name := spec.get(key):
            references.append({"kind": kind, "name": str(name), "by": key})
    return references


def _of_volumes(spec: Fields) -> Iterator[Manifest]:
    for volume in items_of(spec, "volumes"):
        by = f"volume {volume.get('name')}"
        yield from _of_sources(volume, _VOLUMES, by)
        for source in items_of(fields_of(volume, "projected"), "sources"):
            yield from _of_sources(source, _PROJECTED, by)


def _of_variables(spec: Fields) -> Iterator[Manifest]:
    for container in chain(items_of(spec, "initContainers"), items_of(spec, "containers")):
        for variable in items_of(container, "env"):
            by = f"variable {variable.get('name')}"
            yield from _of_sources(fields_of(variable, "valueFrom"), _VARIABLES, by)
        for source in items_of(container, "envFrom"):
            yield from _of_sources(source, _VARIABLE_SETS, "envFrom")


def _of_pull_secrets(spec: Fields) -> Iterator[Manifest]:
    for secret in items_of(spec, PULL):
        if name := secret.get("name"):
            yield {"kind": SECRET, "name": str(name), "by": PULL}


def _of_sources(holder: Fields, sources: Iterable[_Source], by: str) -> Iterator[Manifest]:
    """Yield a reference for each source that the holder has."""
    for source_key, name_key, kind in sources:
        source = fields_of(holder, source_key)
        name = source.get(name_key)
        if not name:
            continue
        for key in _keys_of(source):
            yield _reference(kind, str(name), by, key, optional=bool(source.get("optional")))


def _keys_of(source: Fields) -> Sequence[str]:
    """Return the keys that a source needs, "" if it takes whatever there is."""
    if "key" in source:
        return [str(source["key"])]
    return [str(item.get("key") or "") for item in items_of(source, "items")] or [""]


def _reference(kind: str, name: str, by: str, key: str, *, optional: bool) -> Manifest:
    reference: Manifest = {"kind": kind, "name": name, "by": by}
    if key:
        reference["key"] = key
    if optional:
        reference["optional"] = True
    return reference
