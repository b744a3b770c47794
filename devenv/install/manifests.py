"""Read a profile's manifests, patch them, and put them in an order in which they can be applied."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import chain, filterfalse
from pathlib import Path
from typing import Any

import yaml

from devenv import __version__
from devenv.base.digests import sha256_of
from devenv.base.errors import DevenvError, Exit
from devenv.base.image_names import IdsByName, normalise
from devenv.base.json_types import JsonMap
from devenv.base.userfiles import read_manifests
from devenv.facts import limits
from devenv.facts.model import WORKLOADS, Declared
from devenv.facts.objects import name_of, namespace_of
from devenv.facts.trim import CONFIG, trimmed
from devenv.ports.kube import Manifest, ObjectKey
from devenv.profiles.merge import merge
from devenv.profiles.model import ManifestSource, Patch, Profile

# The annotation of pods that notes their images' IDs.
IMAGES_NOTE = "devenv/images"
# The name of a source → its objects.
ObjectsBySource = Mapping[str, tuple[Manifest, ...]]
# Returns where a source's file or folder is.
Locate = Callable[[ManifestSource], Path]
# Keys of a profile that do not affect what is in the cluster.
_NOT_INSTALLED = {"budgets", "auto_prune", "protect", "keep_newer", "tests", "left_out"}
_CRD = "CustomResourceDefinition"
# Kinds that other objects need before they can be applied.
_FIRST_KINDS = ("Namespace", _CRD)
# Kinds that facts hold, and so can be compared with what is in the cluster.
_DECLARED_KINDS = {
    _CRD,
    "Service",
    *WORKLOADS,
    "GatewayClass",
    "Gateway",
    "HTTPRoute",
    "ReferenceGrant",
    "EnvoyProxy",
    "EnvoyPatchPolicy",
    "EnvoyExtensionPolicy",
    "ClientTrafficPolicy",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
}


@dataclass(frozen=True)
class Patched:
    """An object as it was before one patch, and as the patch made it."""

    patch: str
    original: Manifest
    result: Manifest


@dataclass(frozen=True)
class Rendered:
    """The objects of a profile, source by source, in the order of their files."""

    sources: ObjectsBySource
    patched: tuple[Patched, ...] = ()

    @property
    def objects(self) -> list[Manifest]:
        """The objects of all sources."""
        return list(chain.from_iterable(self.sources.values()))

    @property
    def definitions(self) -> list[Manifest]:
        """Namespaces and CRDs of all sources."""
        return list(filter(_is_definition, self.objects))

    def rest(self, source: str) -> list[Manifest]:
        """The other objects of a source."""
        return list(filterfalse(_is_definition, self.sources[source]))


def _is_definition(obj: Manifest) -> bool:
    """Whether other objects need it before they can be applied."""
    return obj["kind"] in _FIRST_KINDS


def fingerprint(profile: Profile, locate: Locate) -> str:
    """Return a digest that changes with any change in the profile's manifests.

    It does not parse them, which are 2 MB of YAML. Raises OSError if a source does not exist.
    """
    parts = [__version__, profile.model_dump_json(exclude=_NOT_INSTALLED)]
    for source in profile.manifests:
        parts += map(_digest_of, _files_of(locate(source)))
    text = "\n".join(parts)
    return sha256_of(text)


def render(
    profile: Profile, locate: Locate, only: Iterable[ManifestSource] | None = None
) -> Rendered:
    """Read and patch the profile's manifests, all or some.

    Raises DevenvError with everything that is wrong with them.
    """
    rendering = _Rendering(profile, locate)
    if only is not None:
        rendering.add(only)
    else:
        rendering.add(profile.manifests)
        rendering.require_components()
    rendering.raise_errors()
    sources = _without_duplicates(rendering.sources)
    return Rendered(sources, tuple(rendering.patched))


@dataclass
class _Rendering:
    """The manifests that are rendered so far, and everything that is wrong with them."""

    profile: Profile
    locate: Locate
    sources: dict[str, tuple[Manifest, ...]] = field(default_factory=dict)
    patched: list[Patched] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    exit_codes: list[Exit] = field(default_factory=list)

    def add(self, sources: Iterable[ManifestSource]) -> None:
        """Render these sources; note the errors of those that are wrong."""
        for source in sources:
            try:
                self.sources[source.name] = tuple(self._render_source(source))
            except DevenvError as error:
                self._add_error(f"manifests.{source.name}: {error.as_entry}", error.exit_code)

    def _render_source(self, source: ManifestSource) -> Iterator[Manifest]:
        for obj in read(self.locate(source)):
            rendered_obj = self._apply_patches(source, obj)
            if rendered_obj is not None:
                yield rendered_obj

    def _apply_patches(self, source: ManifestSource, obj: Manifest) -> Manifest | None:
        """Return the object with all its patches, None if a patch removes it."""
        for patch in (*source.patches, *self.profile.patches):
            if not patch.enabled or not _has_target(patch, obj):
                continue
            if patch.remove:
                return None
            original, obj = obj, merge(obj, patch.merge)
            if not _is_object(obj):
                what = f"the patch {patch.name} leaves no Kubernetes object."
                raise DevenvError(what, exit_code=Exit.USAGE)
            self.patched.append(Patched(patch.name, original, obj))
        if obj["kind"] == "EnvoyProxy":
            obj = merge(obj, _node_port_patch(self.profile))
        return obj

    def require_components(self) -> None:
        """Note each component whose object is in no manifest, unless a source is wrong already.

        That happens with half of a release, or with another project's files.
        """
        if self.errors:
            return
        objects = chain.from_iterable(self.sources.values())
        # An object counts whatever the version of its kind.
        keys = {key(obj)[1:] for obj in objects}
        for component in self.profile.components:
            resource = component.resource
            if not resource.name or component.made:
                continue
            if (resource.kind, resource.namespace, resource.name) not in keys:
                problem = f"components.{component.name}: no manifest has its {resource}"
                self._add_error(problem, Exit.USAGE)

    def _add_error(self, error: str, exit_code: Exit) -> None:
        self.errors.append(error)
        self.exit_codes.append(exit_code)

    def raise_errors(self) -> None:
        """Raise DevenvError with all errors, if there are any."""
        if not self.errors:
            return
        what, next_step = "Manifests are wrong.", "Nothing was changed."
        exit_code = min(self.exit_codes)
        if exit_code is Exit.PREREQUISITE:
            what = "Manifests can't be reached."
            next_step += _offline_hint(self.profile)
        raise DevenvError(what, "\n".join(self.errors), next_step, exit_code)


def _offline_hint(profile: Profile) -> str:
    """Say how to get a release of AIBrix without its addresses, "" for other profiles."""
    if not profile.version:
        return ""
    return (
        " Name the release's files on your disk with --manifests PATH, or its source with"
        " --checkout PATH. `--profile offline` needs no address."
    )


def declared(rendered: Rendered) -> tuple[Declared, ...]:
    """Return the objects of the kinds that facts hold, and Envoy Gateway's settings."""
    return tuple(map(_declare, filter(_is_compared, rendered.objects)))


def _is_compared(obj: Manifest) -> bool:
    """Whether facts hold the object, so that a diagnosis can compare it."""
    return obj["kind"] in _DECLARED_KINDS or (obj["kind"], name_of(obj)) == ("ConfigMap", CONFIG)


def _declare(obj: Manifest) -> Declared:
    """Return what facts need of an object; a definition and a Service say a little more."""
    spec = _as_map(obj.get("spec"))
    selector: JsonMap = {}
    defined_kind = ""
    if obj["kind"] == "Service":
        selector = _as_map(spec.get("selector"))
    if obj["kind"] == _CRD:
        names = _as_map(spec.get("names"))
        defined_kind = str(names.get("kind") or "")
    return Declared(
        kind=obj["kind"],
        namespace=namespace_of(obj),
        name=name_of(obj),
        selector={str(label): str(value) for label, value in selector.items()},
        defines=defined_kind,
        content=_content(obj),
        limit=limits.limit_of(obj["kind"], obj),
    )


def _content(obj: Manifest) -> Manifest:
    """Return an object as facts hold a live one; {} for a definition, which is long.

    The API server refuses an object whose form is wrong, so that none can be compared with it.
    """
    if obj["kind"] == _CRD:
        return {}
    try:
        return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], **trimmed(obj)}
    except (LookupError, TypeError, ValueError, AttributeError):
        return {}


def _without_duplicates(sources: ObjectsBySource) -> ObjectsBySource:
    """Keep an object that several sources have only in the last of them.

    If both were applied, the two sources would overwrite each other for ever.
    """
    last_sources: dict[ObjectKey, str] = {}
    for name, objects in sources.items():
        last_sources.update(dict.fromkeys(map(key, objects), name))
    unique_objects: dict[str, tuple[Manifest, ...]] = {}
    for name, objects in sources.items():
        unique_objects[name] = tuple(obj for obj in objects if last_sources[key(obj)] == name)
    return unique_objects


def read(path: Path) -> list[Manifest]:
    """Return the objects in a YAML file, or in all files of a folder.

    Raises DevenvError if a document is not a Kubernetes object.
    """
    if not path.is_dir():
        return _read_file(path)
    files = _files_of(path)
    for file in files:
        if file.stem == "kustomization":
            fix = f"Name it as one: manifests: [{{name: …, kustomize: {file.parent}}}]"
            raise DevenvError(f"{path} is a kustomize folder.", "", fix, Exit.USAGE)
    if not files:
        what = f"{path} has no manifests: no .yaml, .yml or .json file."
        raise DevenvError(what, exit_code=Exit.USAGE)
    return list(chain.from_iterable(map(_read_file, files)))


def _files_of(path: Path) -> list[Path]:
    """Return the manifest files of a folder, in their order, or the file itself."""
    if not path.is_dir():
        return [path]
    paths = sorted(path.rglob("*"))
    return list(filter(_is_manifest_file, paths))


def _is_manifest_file(path: Path) -> bool:
    return path.suffix in {".yaml", ".yml", ".json"} and path.is_file()


def _digest_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _read_file(path: Path) -> list[Manifest]:
    """Return the objects of one file. Raises DevenvError if a document is not an object."""
    try:
        documents = filter(None, read_manifests(path))
        objects = list(chain.from_iterable(map(_items, documents)))
        # YAML has values that JSON can't have, such as sets.
        json.dumps(objects)
    except FileNotFoundError as error:
        raise DevenvError(f"{path} does not exist.", exit_code=Exit.USAGE) from error
    except (ValueError, TypeError, RecursionError) as error:
        what = f"{path} has a value that JSON can't have: {error}."
        raise DevenvError(what, exit_code=Exit.USAGE) from error
    for number, obj in enumerate(objects, 1):
        if not _is_object(obj):
            what = f"{path}: document {number} is not a Kubernetes object."
            raise DevenvError(what, exit_code=Exit.USAGE)
    return objects


def _items(document: Any) -> list[Any]:
    """Return a document's objects: `kubectl get -o yaml` writes several of them as one list."""
    if not isinstance(document, dict) or document.get("kind") != "List":
        return [document]
    items = document.get("items")
    return list(items) if isinstance(items, list) else [document]


def _is_object(document: Any) -> bool:
    """Whether it has what every object has: apiVersion, kind and a name."""
    if not isinstance(document, dict):
        return False
    meta = document.get("metadata")
    if not isinstance(meta, dict):
        return False
    for text in (document.get("apiVersion"), document.get("kind"), meta.get("name")):
        if not isinstance(text, str) or not text:
            return False
    return isinstance(meta.get("namespace", ""), str)


def key(obj: Manifest) -> ObjectKey:
    """Return what the API server finds the object by."""
    return (obj["apiVersion"], obj["kind"], namespace_of(obj), name_of(obj))


def images_in(obj: Any) -> Iterator[str]:
    """Yield every image that the object names, anywhere in it, as containerd spells it."""
    if isinstance(obj, Mapping):
        image = obj.get("image")
        if isinstance(image, str):
            yield normalise(image)
        # An image volume.
        reference = _as_map(image).get("reference")
        if isinstance(reference, str):
            yield normalise(reference)
        for value in obj.values():
            yield from images_in(value)
    elif isinstance(obj, list):
        for value in obj:
            yield from images_in(value)


def secrets_in(obj: Manifest) -> list[str]:
    """Return the names of the Secrets without which a workload's pods cannot start."""
    spec = _as_map(obj.get("spec"))
    template = _as_map(spec.get("template"))
    pod_spec = _as_map(template.get("spec"))
    volumes = pod_spec.get("volumes")
    names = []
    for volume in volumes if isinstance(volumes, list) else ():
        secret = _as_map(_as_map(volume).get("secret"))
        name = secret.get("secretName")
        if isinstance(name, str) and not secret.get("optional"):
            names.append(name)
    return names


def _as_map(value: Any) -> JsonMap:
    """Return the value if it is a map, else {}. The API server refuses anything else itself."""
    if isinstance(value, Mapping):
        return value
    return {}


def stamped(obj: Manifest, ids: IdsByName) -> Manifest:
    """Return a workload whose pod template notes the IDs of its images.

    So its pods are replaced when another image takes the same name. `ids` maps names as containerd
    spells them to the IDs that the engine has.
    """
    note = images_note(obj, ids)
    has_template = "template" in _as_map(obj.get("spec"))
    # A Job's pods cannot be changed.
    if not note or not has_template or obj["kind"] == "Job":
        return obj
    template = {"metadata": {"annotations": {IMAGES_NOTE: note}}}
    patch = {"spec": {"template": template}}
    return dict(merge(obj, patch))


def images_note(obj: Manifest, ids: IdsByName) -> str:
    """Return the note on the images that an object names, "" if it names none in `ids`."""
    image_ids = {ids[name] for name in images_in(obj) if name in ids}
    if not image_ids:
        return ""
    text = repr(sorted(image_ids))
    digest = sha256_of(text)
    return digest[:16]


def _has_target(patch: Patch, obj: Manifest) -> bool:
    """Whether the patch is meant for the object. A target's name may be a pattern."""
    target = patch.target
    if target.kind and target.kind != obj["kind"]:
        return False
    if target.namespace and target.namespace != namespace_of(obj):
        return False
    return not target.name or fnmatchcase(name_of(obj), target.name)


def _node_port_patch(profile: Profile) -> Manifest:
    """Return the patch that gives Envoy a NodePort, which kind maps to the host.

    So no port-forward process is needed, which could die (docs/facts/gateway.md).
    """
    port = {
        "name": "http-80",
        "port": 80,
        "protocol": "TCP",
        "nodePort": profile.gateway.node_port,
    }
    patch = {"type": "StrategicMerge", "value": {"spec": {"ports": [port]}}}
    service = {"type": "NodePort", "externalTrafficPolicy": "Cluster", "patch": patch}
    provider = {"type": "Kubernetes", "kubernetes": {"envoyService": service}}
    return {"spec": {"provider": provider}}


def node_configs(profile: Profile) -> Sequence[JsonMap]:
    """Return the nodes that the profile has kind make: one control plane if it names none."""
    return profile.cluster.kind.get("nodes") or [{"role": "control-plane"}]


def kind_config(profile: Profile) -> str:
    """Return kind's config. The first node maps the gateway's port to the host's loopback."""
    nodes = [dict(node) for node in node_configs(profile)]
    gateway = profile.gateway
    mapping = {
        "containerPort": gateway.node_port,
        "hostPort": gateway.host_port,
        "listenAddress": "127.0.0.1",
        "protocol": "TCP",
    }
    first_node = nodes[0]
    own_mappings = first_node.get("extraPortMappings", [])
    first_node["extraPortMappings"] = [*own_mappings, mapping]
    return yaml.safe_dump({**profile.cluster.kind, "nodes": nodes}, sort_keys=False)
