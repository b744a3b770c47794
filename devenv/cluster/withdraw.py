"""`down` of an adopted cluster: remove what devenv brought, and nothing that others put there."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

from devenv.base.errors import DevenvError
from devenv.base.json_types import JsonMap
from devenv.base.partition import partition
from devenv.base.wait import Deadline, until
from devenv.disk.ballast import IN_NODE
from devenv.facts.objects import items_of, name_of, namespace_of
from devenv.images.nodes.containerd import is_own_name
from devenv.images.nodes.image_import import CTR, image_names
from devenv.ports.clock import Clock
from devenv.ports.containers import Containers, Node
from devenv.ports.kube import KindKey, Kube, Manifest, ObjectKey
from devenv.state.record import Record

# Seconds for one object to go: a namespace waits for its pods, a GatewayClass for its controller.
# On a machine with a load of 20 a namespace took over 120.
_REMOVAL_SECONDS = 300.0
# Seconds for what controllers made of the objects to go. A proxy drains its connections first.
_CONTROLLERS_SECONDS = 60.0
_CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
# What runs, listens or keeps data.
_ACTIVE_KINDS = (
    ("v1", "Pod"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Service"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
)
# What else a user would miss.
_PASSIVE_KINDS = (
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("networking.k8s.io/v1", "Ingress"),
)
# How many objects a reason names.
_NAMED_OBJECTS = 3
# Kinds whose objects are named like the programs in them, which appear as managers of fields.
_CONTROLLER_KINDS = {"Deployment", "StatefulSet", "Job"}
_STANDARD_MANAGERS = {"devenv", "kube-controller-manager"}


@dataclass(frozen=True)
class _Object:
    """An object of a list, with its kind, which the objects of a list don't have."""

    kind: str
    manifest: Manifest

    @property
    def key(self) -> tuple[str, str, str]:
        """Kind, namespace, name."""
        return self.kind, namespace_of(self.manifest), name_of(self.manifest)

    @property
    def is_ending(self) -> bool:
        """Whether it was deleted, and waits for its finalizers."""
        return "deletionTimestamp" in self.manifest["metadata"]

    def __str__(self) -> str:
        return f"{self.kind} {name_of(self.manifest)}"


@dataclass(frozen=True)
class Withdraw:
    """Removes objects in the reverse of the order in which they came.

    Custom objects go before the controllers that act on them; namespaces and definitions go last.
    """

    kube: Kube
    containers: Containers
    clock: Clock

    def run(self, record: Record, nodes: Sequence[Node]) -> dict[ObjectKey, str]:
        """Return what stayed, each with the reason. Raises DevenvError if an object does not go."""
        scope_keys, inner_keys = partition(record.objects, _is_scope)
        custom_groups = {crd["spec"]["group"] for crd in self.kube.select(*_CRD)}
        custom_keys, other_keys = partition(inner_keys, lambda key: _group_of(key) in custom_groups)
        self._remove_all(custom_keys)
        self._await_controllers(record)
        self._remove_all(other_keys)
        stayed = self._find_occupied(scope_keys, record)
        empty_keys = [key for key in scope_keys if key not in stayed]
        self._remove_all(empty_keys)
        for node in nodes:
            self._clear_node(node, record)
        return stayed

    def _remove_all(self, keys: Sequence[ObjectKey]) -> None:
        for key in reversed(keys):
            self._remove(key)

    def _remove(self, key: ObjectKey) -> None:
        """Delete an object, and wait until it is gone: the next one may end finalizers."""
        self.kube.delete(*key)

        def find_missing() -> str:
            return "its end" if self.kube.get(*key) else ""

        _, kind, _, name = key
        deadline = Deadline(self.clock, _REMOVAL_SECONDS)
        until(f"{kind} {name}", find_missing, deadline, "Look at its finalizers with kubectl.")

    def _clear_node(self, node: Node, record: Record) -> None:
        """Remove devenv's images and its ballast from a node."""
        names_in_node = image_names(self.containers, node.name)
        own_names = filter(is_own_name, names_in_node)
        for name in (*brought_images(record, node), *own_names):
            self.containers.exec(node.name, [*CTR, "remove", name])
        self.containers.exec(node.name, ["rm", "-f", IN_NODE])

    def _await_controllers(self, record: Record) -> None:
        """Wait a while until controllers have removed what they made of the custom objects.

        The controllers themselves must still run for that. What remains afterwards is another
        tool's or user's, and keeps its namespace.
        """
        namespaces = _names_of_kinds(record.objects, {"Namespace"})
        brought_keys = _brought_keys(record)

        def is_made_by_controller(obj: _Object) -> bool:
            return obj.kind != "Pod" and obj.key not in brought_keys

        def find_missing() -> str:
            active_objects = chain.from_iterable(map(self._active_objects, namespaces))
            return _describe(list(filter(is_made_by_controller, active_objects)))

        deadline = Deadline(self.clock, _CONTROLLERS_SECONDS)
        with suppress(DevenvError):
            until("The end of what controllers made", find_missing, deadline)

    def _find_occupied(
        self, scope_keys: Iterable[ObjectKey], record: Record
    ) -> dict[ObjectKey, str]:
        """Return the namespaces and definitions that must stay, each with the reason.

        All are looked at before the first is removed: the objects that keep a definition might go
        with a namespace.
        """
        occupied = {}
        for key in scope_keys:
            foreign_objects = [obj for obj in self._objects_in(key) if _is_foreign(obj, record)]
            if foreign_objects:
                occupied[key] = f"{_describe(foreign_objects)} would go with it"
        return occupied

    def _objects_in(self, key: ObjectKey) -> list[_Object]:
        """Return the objects that would go with a namespace or a definition."""
        _, kind, _, name = key
        if kind == "Namespace":
            return self._objects_in_namespace(name)
        definition = self.kube.get(*key)
        if definition is None:
            return []
        return self._list(*_served_kind(definition))

    def _objects_in_namespace(self, namespace: str) -> list[_Object]:
        """Return all that a user could miss in the namespace, objects of custom kinds too."""
        crds = [c for c in self.kube.select(*_CRD) if c["spec"].get("scope") == "Namespaced"]
        kinds = [*_ACTIVE_KINDS, *_PASSIVE_KINDS, *map(_served_kind, crds)]
        return self._list_kinds(kinds, namespace)

    def _active_objects(self, namespace: str) -> list[_Object]:
        """Return what runs, listens or keeps data in the namespace, and is not about to end."""
        objects = self._list_kinds(_ACTIVE_KINDS, namespace)
        return [obj for obj in objects if not obj.is_ending]

    def _list_kinds(self, kinds: Iterable[KindKey], namespace: str) -> list[_Object]:
        objects = []
        for version, kind in kinds:
            objects += self._list(version, kind, namespace)
        return objects

    def _list(self, version: str, kind: str, namespace: str = "") -> list[_Object]:
        return [_Object(kind, obj) for obj in self.kube.select(version, kind, namespace)]


def brought_images(record: Record, node: Node) -> list[str]:
    """Return the names that devenv loaded into an adopted node.

    Names that had an image there before are left out.
    """
    return [name for name in record.loaded.get(node.id, {}) if name not in record.held]


def _is_scope(key: ObjectKey) -> bool:
    """Whether other objects go with it: it is a namespace or a definition."""
    _, kind, _, _ = key
    return kind in {"Namespace", _CRD[1]}


def _group_of(key: ObjectKey) -> str:
    """Return the API group; for Kubernetes' core, which has none, its version."""
    api_version, _, _, _ = key
    return api_version.partition("/")[0]


def _served_kind(crd: Manifest) -> KindKey:
    """Return (apiVersion, kind), in a version in which objects of the kind can be read."""
    spec = crd["spec"]
    group, kind = spec["group"], spec["names"]["kind"]
    version = _served_version(spec["versions"])
    return f"{group}/{version}", kind


def _served_version(versions: Sequence[JsonMap]) -> str:
    """Return the first version that is served, else the first one."""
    for version in versions:
        if version.get("served", True):
            return str(version["name"])
    return str(versions[0]["name"])


def _is_foreign(obj: _Object, record: Record) -> bool:
    """Whether another tool or user put the object there.

    That is, neither devenv nor a controller that devenv brought made it, and no other object owns
    it.
    """
    meta = obj.manifest["metadata"]
    if obj.is_ending or meta.get("ownerReferences"):
        return False
    # Kubernetes puts this ConfigMap into every namespace.
    if meta["name"] == "kube-root-ca.crt":
        return False
    if obj.key in _brought_keys(record):
        return False
    writers = items_of(meta, "managedFields")
    managers = {w.get("manager", "") for w in writers if not w.get("subresource")}
    return not managers or not managers <= _own_managers(record)


def _brought_keys(record: Record) -> set[tuple[str, str, str]]:
    """Return kind, namespace and name of each object that devenv brought."""
    return {key[1:] for key in record.objects}


def _own_managers(record: Record) -> set[str]:
    """Return the names under which devenv and what it brought manage fields of objects."""
    programs = _names_of_kinds(record.objects, _CONTROLLER_KINDS)
    return _STANDARD_MANAGERS.union(programs)


def _names_of_kinds(keys: Iterable[ObjectKey], kinds: Collection[str]) -> list[str]:
    """Return the names of the objects that are of one of these kinds."""
    return [name for _, kind, _, name in keys if kind in kinds]


def _describe(objects: Sequence[_Object]) -> str:
    """Name the first objects, "" if there are none."""
    text = ", ".join(map(str, objects[:_NAMED_OBJECTS]))
    if len(objects) > _NAMED_OBJECTS:
        return f"{text} and others"
    return text
