"""`down` of an adopted cluster: what devenv brought is taken out again, and nothing that somebody else put beside it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from devenv.disk.ballast import IN_NODE
from devenv.errors import DevenvError
from devenv.images.innode import is_own_name
from devenv.images.load import CTR, present
from devenv.lifecycle.record import Key, Record
from devenv.ports import Clock, Containers, Kube, Manifest, Node
from devenv.wait import Deadline, until

# Seconds for one object to go: a namespace waits for its pods, a GatewayClass for its controller.
_GONE = 120.0
# Seconds for what controllers made of the objects to go: a proxy drains its connections first.
_SETTLE = 60.0
_CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
_LIVING = (("v1", "Pod"), ("v1", "PersistentVolumeClaim"), ("v1", "Service"), ("apps/v1", "Deployment"),
           ("apps/v1", "StatefulSet"), ("apps/v1", "DaemonSet"))  # fmt: skip
_KEPT = (
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("networking.k8s.io/v1", "Ingress"),
)
# Their names are those of their programs, which are managers of fields.
_CONTROLLERS = {
    "Deployment",
    "StatefulSet",
    "Job",
}


@dataclass(frozen=True)
class Withdraw:
    """Takes out, in the reverse of the order in which it was brought, custom objects before what acts on them."""

    kube: Kube
    containers: Containers
    clock: Clock

    def run(self, record: Record, nodes: Sequence[Node]) -> dict[Key, str]:
        """Return what stayed, each with the reason. Raises DevenvError where an object does not go."""
        scope_keys = [k for k in record.objects if k[1] in {"Namespace", _CRD[1]}]
        groups = {crd["spec"]["group"] for crd in self.kube.select(*_CRD)}
        inner_keys = [k for k in record.objects if k not in scope_keys]
        custom_keys = [k for k in inner_keys if k[0].partition("/")[0] in groups]
        for key in reversed(custom_keys):
            self._remove(key)
        self._settle(record)
        for key in reversed([k for k in inner_keys if k not in custom_keys]):
            self._remove(key)
        # All are looked at before the first goes: with a namespace would go the objects that keep a kind.
        stayed = {
            k: f"{used} would go with it" for k in scope_keys if (used := self._used(k, record))
        }
        for key in reversed([k for k in scope_keys if k not in stayed]):
            self._remove(key)
        for node in nodes:
            own_names = [name for name in present(self.containers, node.name) if is_own_name(name)]
            for name in (*brought_images(record, node), *own_names):
                self.containers.exec(node.name, [*CTR, "remove", name])
            self.containers.exec(node.name, ["rm", "-f", IN_NODE])
        return stayed

    def _remove(self, key: Key) -> None:
        self.kube.delete(*key)

        def there() -> str:
            return "its end" if self.kube.get(*key) else ""

        until(
            f"{key[1]} {key[3]}",
            there,
            Deadline(self.clock, _GONE),
            "Look at its finalizers with kubectl.",
        )

    def _settle(self, record: Record) -> None:
        """Let controllers remove what they made of the custom objects, while they are still there to do it.

        What is left after that was put there by somebody else, and keeps its namespace.
        """
        names = [k[3] for k in record.objects if k[1] == "Namespace"]
        brought = {(kind, namespace, name) for _, kind, namespace, name in record.objects}

        def others() -> str:
            objects = [
                (kind, ns, o) for ns in names for kind, o in self._living(ns) if kind != "Pod"
            ]
            return _names(
                [
                    (kind, o)
                    for kind, ns, o in objects
                    if (kind, ns, o["metadata"]["name"]) not in brought
                ]
            )

        with suppress(DevenvError):
            until("The end of what controllers made", others, Deadline(self.clock, _SETTLE))

    def _used(self, key: Key, record: Record) -> str:
        """Return what devenv did not bring, nor what it brought made, and would go with a namespace or a kind."""
        objects = self._within(key[3]) if key[1] == "Namespace" else self._instances(key)
        return _names([(kind, o) for kind, o in objects if _foreign(kind, o, record)])

    def _living(self, namespace: str) -> list[tuple[str, Manifest]]:
        """Return what runs, listens or keeps data in the namespace, and is not about to end."""
        objects = [
            (kind, o)
            for version, kind in _LIVING
            for o in self.kube.select(version, kind, namespace)
        ]
        return [(kind, o) for kind, o in objects if "deletionTimestamp" not in o["metadata"]]

    def _within(self, namespace: str) -> list[tuple[str, Manifest]]:
        """Return all that somebody could miss in the namespace, objects of custom kinds too."""
        kinds = [*_LIVING, *_KEPT]
        kinds += [
            _served(crd)
            for crd in self.kube.select(*_CRD)
            if crd["spec"].get("scope") == "Namespaced"
        ]
        return [
            (kind, o) for version, kind in kinds for o in self.kube.select(version, kind, namespace)
        ]

    def _instances(self, key: Key) -> list[tuple[str, Manifest]]:
        definition = self.kube.get(*key)
        if definition is None:
            return []
        version, kind = _served(definition)
        return [(kind, o) for o in self.kube.select(version, kind)]


def brought_images(record: Record, node: Node) -> list[str]:
    """Return the names that devenv put into an adopted node, less those that had an image there before."""
    return [name for name in record.loaded.get(node.id, {}) if name not in record.held]


def _served(crd: Manifest) -> tuple[str, str]:
    """Return a version in which the kind can be read, and the kind."""
    spec = crd["spec"]
    version = next(
        (v["name"] for v in spec["versions"] if v.get("served", True)), spec["versions"][0]["name"]
    )
    return f"{spec['group']}/{version}", spec["names"]["kind"]


def _foreign(kind: str, obj: Manifest, record: Record) -> bool:
    """Whether somebody else put the object there: not devenv, not a controller that it brought, nobody's child."""
    meta = obj["metadata"]
    if (
        "deletionTimestamp" in meta
        or meta.get("ownerReferences")
        or meta["name"] == "kube-root-ca.crt"
    ):
        return False
    if any(key[1:] == (kind, meta.get("namespace", ""), meta["name"]) for key in record.objects):
        return False
    own_managers = {
        "devenv",
        "kube-controller-manager",
        *(name for _, kind, _, name in record.objects if kind in _CONTROLLERS),
    }
    managers = {
        f.get("manager", "") for f in meta.get("managedFields") or () if not f.get("subresource")
    }
    return not managers or not managers <= own_managers


def _names(objects: Sequence[tuple[str, Manifest]]) -> str:
    names = [f"{kind} {obj['metadata']['name']}" for kind, obj in objects]
    return f"{', '.join(names[:3])}{' and others' if names[3:] else ''}"
