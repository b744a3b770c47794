"""Manifests as they are applied: read, patched, and in an order that works."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from devenv import __version__
from devenv.errors import DevenvError, Exit
from devenv.facts.model import WORKLOADS, Declared
from devenv.images.load import normalise
from devenv.ports import Manifest
from devenv.profiles.merge import merge
from devenv.profiles.model import ManifestSource, Patch, Profile
from devenv.userfiles import read_manifests

# Annotation of pods.
IMAGES_NOTE = "devenv/images"
# Where a source's file or folder is.
Locate = Callable[[ManifestSource], Path]
# What others need before they can be applied.
_FIRST = ("Namespace", "CustomResourceDefinition")
# Keys of a profile that do not affect what is in the cluster.
_NOT_INSTALLED = {"budgets", "auto_prune", "protect", "keep_newer", "tests", "left_out"}
_LOOKED_FOR = ("CustomResourceDefinition", "Service", *WORKLOADS)


@dataclass(frozen=True)
class Patched:
    """An object before and after one patch."""

    patch: str
    before: Manifest
    after: Manifest


@dataclass(frozen=True)
class Rendered:
    """The objects of a profile, source by source, in the order in which they stand in their files."""

    sources: Mapping[str, tuple[Manifest, ...]]
    patched: tuple[Patched, ...] = ()

    @property
    def definitions(self) -> list[Manifest]:
        """Namespaces and CRDs of all sources."""
        return [o for objects in self.sources.values() for o in objects if o["kind"] in _FIRST]

    def rest(self, source: str) -> list[Manifest]:
        """The other objects of a source."""
        return [o for o in self.sources[source] if o["kind"] not in _FIRST]


def fingerprint(profile: Profile, locate: Locate) -> str:
    """Return what changes with any change in the profile's manifests, without reading 2 MB of YAML.

    Raises OSError where a source is not there.
    """
    parts = [__version__, profile.model_dump_json(exclude=_NOT_INSTALLED)]
    for source in profile.manifests:
        path = locate(source)
        parts += [
            hashlib.sha256(file.read_bytes()).hexdigest()
            for file in (_files(path) if path.is_dir() else [path])
        ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def render(
    profile: Profile, locate: Locate, only: Iterable[ManifestSource] | None = None
) -> Rendered:
    """Read and patch the profile's manifests, all or some. Raises DevenvError with all that is wrong with them."""
    sources: dict[str, tuple[Manifest, ...]] = {}
    patched: list[Patched] = []
    errors: list[str] = []
    codes: list[Exit] = []
    for source in profile.manifests if only is None else only:
        try:
            objects = (
                _patched(profile, source, obj, patched.append) for obj in read(locate(source))
            )
            sources[source.name] = tuple(obj for obj in objects if obj is not None)
        except DevenvError as error:
            errors.append(f"manifests.{source.name}: {error}")
            codes.append(error.exit_code)
    if only is None and not errors:
        errors += _lacking(profile, sources)
        codes += [Exit.USAGE] * bool(errors)
    if errors and min(codes) is Exit.PREREQUISITE:
        fix = f"Nothing was changed.{_without_network(profile)}"
        raise DevenvError("Manifests can't be reached.", "\n".join(errors), fix, Exit.PREREQUISITE)
    if errors:
        raise DevenvError(
            "Manifests are wrong.", "\n".join(errors), "Nothing was changed.", min(codes)
        )
    return Rendered(_once(sources), tuple(patched))


def _without_network(profile: Profile) -> str:
    """Say how a release of AIBrix's can be had without its addresses, "" for other profiles."""
    if not profile.version:
        return ""
    return (
        " Name the release's files on your disk with --manifests PATH, or its source with --checkout"
        " PATH. `--profile offline` needs no address."
    )


def declared(rendered: Rendered) -> tuple[Declared, ...]:
    """Return what a diagnosis looks for by name: definitions, Services and workloads."""
    all_objects = [o for objects in rendered.sources.values() for o in objects]
    return tuple(_declared(obj) for obj in all_objects if obj["kind"] in _LOOKED_FOR)


def _declared(obj: Manifest) -> Declared:
    spec, meta = _map(obj.get("spec")), obj["metadata"]
    selector = _map(spec.get("selector")) if obj["kind"] == "Service" else {}
    return Declared(
        kind=obj["kind"],
        namespace=meta.get("namespace", ""),
        name=meta["name"],
        selector={str(k): str(v) for k, v in selector.items()},
        defines=str(_map(spec.get("names")).get("kind") or "")
        if obj["kind"] == "CustomResourceDefinition"
        else "",
    )


def _lacking(profile: Profile, sources: Mapping[str, tuple[Manifest, ...]]) -> list[str]:
    """Return which components stand on an object that no manifest has: half of a release, or another project's files."""
    present_keys = {key(obj)[1:] for objects in sources.values() for obj in objects}
    return [
        f"components.{c.name}: no manifest has its {c.resource}"
        for c in profile.components
        if c.resource.name
        and not c.made
        and (c.resource.kind, c.resource.namespace, c.resource.name) not in present_keys
    ]


def _once(sources: Mapping[str, tuple[Manifest, ...]]) -> dict[str, tuple[Manifest, ...]]:
    """Of two sources with the same object keep the later one's: applied by both, they would never agree."""
    last_source = {key(obj): name for name, objects in sources.items() for obj in objects}
    return {
        name: tuple(obj for obj in objects if last_source[key(obj)] == name)
        for name, objects in sources.items()
    }


def read(path: Path) -> list[Manifest]:
    """Return the objects in a YAML file, or in all of a folder. Raises DevenvError where one is no Kubernetes object."""
    if not path.is_dir():
        return _read_file(path)
    files = _files(path)
    if kustomize := [p for p in files if p.stem == "kustomization"]:
        fix = f"Name it as one: manifests: [{{name: …, kustomize: {kustomize[0].parent}}}]"
        raise DevenvError(f"{path} is a kustomize folder.", "", fix, Exit.USAGE)
    if not files:
        raise DevenvError(
            f"{path} has no manifests: no .yaml, .yml or .json file.", exit_code=Exit.USAGE
        )
    return [obj for file in files for obj in _read_file(file)]


def _files(folder: Path) -> list[Path]:
    return sorted(
        p for p in folder.rglob("*") if p.suffix in {".yaml", ".yml", ".json"} and p.is_file()
    )


def _read_file(path: Path) -> list[Manifest]:
    try:
        documents = [o for d in read_manifests(path) if d for o in _items(d)]
        # What YAML has and JSON has not, such as sets.
        json.dumps(documents)
    except FileNotFoundError as error:
        raise DevenvError(f"There is no {path}.", exit_code=Exit.USAGE) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise DevenvError(
            f"{path} has a value that JSON can't have: {error}.", exit_code=Exit.USAGE
        ) from error
    for number, document in enumerate(documents, 1):
        if not _is_object(document):
            raise DevenvError(
                f"{path}: document {number} is no Kubernetes object.", exit_code=Exit.USAGE
            )
    return documents


def _items(document: Any) -> list[Any]:
    """What `kubectl get -o yaml` writes for several objects is one list of them."""
    if (
        isinstance(document, dict)
        and document.get("kind") == "List"
        and isinstance(document.get("items"), list)
    ):
        return list(document["items"])
    return [document]


def _is_object(document: Any) -> bool:
    """Whether it has what every object has: apiVersion, kind and a name."""
    if not isinstance(document, dict) or not isinstance(document.get("metadata"), dict):
        return False
    words = (document.get("apiVersion"), document.get("kind"), document["metadata"].get("name"))
    namespace = document["metadata"].get("namespace", "")
    return all(isinstance(word, str) and word for word in words) and isinstance(namespace, str)


def key(obj: Manifest) -> tuple[str, str, str, str]:
    """Return that by which the API server finds it: apiVersion, kind, namespace, name."""
    meta = obj["metadata"]
    return (obj["apiVersion"], obj["kind"], meta.get("namespace", ""), meta["name"])


def images_in(obj: Any) -> Iterator[str]:
    """Yield every image that the object names, wherever it stands, as containerd spells it."""
    if isinstance(obj, Mapping):
        if isinstance(obj.get("image"), str):
            yield normalise(obj["image"])
        elif isinstance(volume := obj.get("image"), Mapping) and isinstance(
            volume.get("reference"), str
        ):
            yield normalise(volume["reference"])
        for value in obj.values():
            yield from images_in(value)
    elif isinstance(obj, list):
        for value in obj:
            yield from images_in(value)


def secrets_in(obj: Manifest) -> list[str]:
    """Return the Secrets without which a workload's pods cannot start."""
    volumes = _map(_map(_map(obj.get("spec")).get("template")).get("spec")).get("volumes")
    mounted = [_map(_map(v).get("secret")) for v in volumes] if isinstance(volumes, list) else []
    return [
        s["secretName"]
        for s in mounted
        if isinstance(s.get("secretName"), str) and not s.get("optional")
    ]


def _map(value: Any) -> Mapping[str, Any]:
    """The value if it is a map: what is none is for the API server to refuse, in its own words."""
    return value if isinstance(value, Mapping) else {}


def stamped(obj: Manifest, ids: Mapping[str, str]) -> Manifest:
    """Return a workload with its images' IDs noted in its pods: where the same name holds another image, they are replaced.

    `ids` maps names as containerd spells them to the IDs that the engine has.
    """
    note = images_note(obj, ids)
    # A Job's pods cannot be changed.
    if not note or "template" not in _map(obj.get("spec")) or obj["kind"] == "Job":
        return obj
    return dict(
        merge(obj, {"spec": {"template": {"metadata": {"annotations": {IMAGES_NOTE: note}}}}})
    )


def images_note(obj: Manifest, ids: Mapping[str, str]) -> str:
    """Return the note on the images that an object names, "" where it names none of these."""
    used = sorted({ids[name] for name in images_in(obj) if name in ids})
    return hashlib.sha256(repr(used).encode()).hexdigest()[:16] if used else ""


def _patched(
    profile: Profile, source: ManifestSource, obj: Manifest, note: Callable[[Patched], None]
) -> Manifest | None:
    for patch in (*source.patches, *profile.patches):
        if patch.enabled and _fits(patch, obj):
            if patch.remove:
                return None
            original, obj = obj, merge(obj, patch.merge)
            if not _is_object(obj):
                raise DevenvError(
                    f"the patch {patch.name} leaves no Kubernetes object.", exit_code=Exit.USAGE
                )
            note(Patched(patch.name, original, obj))
    return merge(obj, _node_port(profile)) if obj["kind"] == "EnvoyProxy" else obj


def _fits(patch: Patch, obj: Manifest) -> bool:
    meta, target = obj["metadata"], patch.target
    pairs = ((target.kind, obj["kind"]), (target.namespace, meta.get("namespace")))
    fits = all(not expected or expected == actual for expected, actual in pairs)
    return fits and (not target.name or fnmatchcase(meta["name"], target.name))


def _node_port(profile: Profile) -> Manifest:
    """A NodePort that kind maps to the host: no port-forward process that can die (docs/facts/gateway.md)."""
    port = {"name": "http-80", "port": 80, "protocol": "TCP", "nodePort": profile.gateway.node_port}
    patch = {"type": "StrategicMerge", "value": {"spec": {"ports": [port]}}}
    service = {"type": "NodePort", "externalTrafficPolicy": "Cluster", "patch": patch}
    return {"spec": {"provider": {"type": "Kubernetes", "kubernetes": {"envoyService": service}}}}


def kind_config(profile: Profile) -> str:
    """Return kind's config with the gateway's port mapped to the host's loopback, on the first node."""
    nodes = [
        dict(node) for node in profile.cluster.kind.get("nodes") or [{"role": "control-plane"}]
    ]
    gateway = profile.gateway
    mapping = {
        "containerPort": gateway.node_port,
        "hostPort": gateway.host_port,
        "listenAddress": "127.0.0.1",
        "protocol": "TCP",
    }
    nodes[0]["extraPortMappings"] = [*nodes[0].get("extraPortMappings", []), mapping]
    return yaml.safe_dump({**profile.cluster.kind, "nodes": nodes}, sort_keys=False)
