"""`down` of an adopted cluster: what devenv brought is taken out again, and nothing that somebody else put beside it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from devenv.errors import DevenvError
from devenv.images.load import CTR
from devenv.lifecycle import incluster
from devenv.lifecycle.record import Key, Record
from devenv.ports import Clock, Containers, Kube, Manifest, Node
from devenv.wait import Deadline, until

_GONE = 120.0  # seconds for one object to go: a namespace waits for its pods, a GatewayClass for its controller
_SETTLE = 60.0  # seconds for what controllers made of the objects to go: a proxy drains its connections first
_COLLECTED = 15.0  # seconds for the pods of a Deployment that is gone to be asked to go
_CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
_LIVING = (("v1", "Pod"), ("v1", "PersistentVolumeClaim"), ("v1", "Service"), ("apps/v1", "Deployment"),
           ("apps/v1", "StatefulSet"), ("apps/v1", "DaemonSet"))  # fmt: skip


@dataclass(frozen=True)
class Withdraw:
    """Takes out, in the reverse of the order in which it was brought, custom objects before what acts on them."""

    kube: Kube
    containers: Containers
    clock: Clock

    def run(self, record: Record, nodes: Sequence[Node]) -> dict[Key, str]:
        """Return what stayed, each with the reason. Raises DevenvError where an object does not go."""
        last = [k for k in record.objects if k[1] in {"Namespace", _CRD[1]}]
        groups = {crd["spec"]["group"] for crd in self.kube.select(*_CRD)}
        rest = [k for k in record.objects if k not in last]
        custom = [k for k in rest if k[0].partition("/")[0] in groups]
        for wanted in reversed(custom):
            self._remove(wanted)
        self._settle(record)
        for wanted in reversed([k for k in rest if k not in custom]):
            self._remove(wanted)
        stayed = {k: reason for k in reversed(last) if (reason := self._remove_unless_used(k))}
        for node in nodes:
            for name in record.loaded.get(node.id, {}):
                self.containers.exec(node.name, [*CTR, "remove", name])
        if not stayed:
            incluster.remove(self.kube)
        return stayed

    def _remove(self, wanted: Key) -> None:
        self.kube.delete(*wanted)

        def there() -> str:
            return "its end" if self.kube.get(*wanted) else ""

        until(f"{wanted[1]} {wanted[3]}", there, Deadline(self.clock, _GONE), "Look at its finalizers with kubectl.")

    def _settle(self, record: Record) -> None:
        """Let controllers remove what they made of the custom objects, while they are still there to do it.

        What is left after that was put there by somebody else, and keeps its namespace.
        """
        names = [k[3] for k in record.objects if k[1] == "Namespace"]
        brought = {(kind, namespace, name) for _, kind, namespace, name in record.objects}

        def others() -> str:
            found = [(kind, ns, o) for ns in names for kind, o in self._living(ns) if kind != "Pod"]
            return _names([(kind, o) for kind, ns, o in found if (kind, ns, o["metadata"]["name"]) not in brought])

        with suppress(DevenvError):
            until("The end of what controllers made", others, Deadline(self.clock, _SETTLE))

    def _remove_unless_used(self, wanted: Key) -> str:
        """Remove a namespace or a kind. Return why it has to stay, where what devenv did not bring would go with it."""

        def used() -> str:
            return _names(self._living(wanted[3]) if wanted[1] == "Namespace" else self._instances(wanted))

        try:
            until(wanted[3], used, Deadline(self.clock, _COLLECTED))
        except DevenvError:
            return f"{used()} would go with it"
        self._remove(wanted)
        return ""

    def _living(self, namespace: str) -> list[tuple[str, Manifest]]:
        """Return what runs, listens or keeps data in the namespace, and is not about to end."""
        found = [(kind, o) for version, kind in _LIVING for o in self.kube.select(version, kind, namespace)]
        return [(kind, o) for kind, o in found if "deletionTimestamp" not in o["metadata"]]

    def _instances(self, wanted: Key) -> list[tuple[str, Manifest]]:
        definition = self.kube.get(*wanted)
        if definition is None:
            return []
        spec = definition["spec"]
        version = next(v["name"] for v in spec["versions"] if v["storage"])
        kind = spec["names"]["kind"]
        return [(kind, o) for o in self.kube.select(f"{spec['group']}/{version}", kind)]


def _names(found: Sequence[tuple[str, Manifest]]) -> str:
    names = [f"{kind} {obj['metadata']['name']}" for kind, obj in found]
    return f"{', '.join(names[:3])}{' and others' if names[3:] else ''}"
