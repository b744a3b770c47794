"""`down` of an adopted cluster: what devenv brought is taken out again, and nothing that somebody else put beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

from devenv.images.load import CTR
from devenv.lifecycle import incluster
from devenv.lifecycle.record import Key, Record
from devenv.ports import Clock, Containers, Kube, Node
from devenv.wait import Deadline, until

_GONE = 120.0  # seconds for one object to go: a namespace waits for its pods, a GatewayClass for its controller
_CRD = "CustomResourceDefinition"
_LIVING = (("v1", "Pod"), ("v1", "PersistentVolumeClaim"), ("v1", "Service"), ("apps/v1", "Deployment"),
           ("apps/v1", "StatefulSet"), ("apps/v1", "DaemonSet"))  # fmt: skip


@dataclass(frozen=True)
class Withdraw:
    """Takes out, in the reverse of the order in which it was brought."""

    kube: Kube
    containers: Containers
    clock: Clock

    def run(self, record: Record, nodes: Sequence[Node]) -> dict[Key, str]:
        """Return what stayed, each with the reason. Raises DevenvError where an object does not go."""
        last = [k for k in record.objects if k[1] in {"Namespace", _CRD}]
        stayed = {}
        for wanted in [*reversed([k for k in record.objects if k not in last]), *reversed(last)]:
            if reason := self._in_use(wanted):
                stayed[wanted] = reason
            else:
                self._remove(wanted)
        for node in nodes:
            for name in record.loaded.get(node.id, {}):
                self.containers.exec(node.name, [*CTR, "remove", name])
        if not stayed:
            incluster.remove(self.kube)
        return stayed

    def _remove(self, wanted: Key) -> None:
        self.kube.delete(*wanted)
        name = f"{wanted[1]} {wanted[3]}"

        def there() -> str:
            return "its end" if self.kube.get(*wanted) else ""

        until(name, there, Deadline(self.clock, _GONE), "Look at its finalizers with kubectl.")

    def _in_use(self, wanted: Key) -> str:
        """Why a namespace or a kind has to stay: with it would go what devenv did not bring."""
        _, kind, _, name = wanted
        if kind == "Namespace":
            found = [(k, o) for v, k in _LIVING for o in self.kube.select(v, k, name)]
        elif kind == _CRD and (definition := self.kube.get(*wanted)):
            spec = definition["spec"]
            version = next(v["name"] for v in spec["versions"] if v["storage"])
            found = [(spec["names"]["kind"], o) for o in self.kube.select(f"{spec['group']}/{version}", spec["names"]["kind"])]
        else:
            return ""
        others = [f"{k} {o['metadata']['name']}" for k, o in found]
        return f"{', '.join(others[:3])}{' and others' if others[3:] else ''} would go with it" if others else ""
