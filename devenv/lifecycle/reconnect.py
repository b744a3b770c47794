"""Envoy after the start of a node: replaced where it would wait long before it asks its controller again.

Envoy starts before CoreDNS and its controller do. It asks again after a growing time, up to 30 s, and
is ready only then (seen in four starts of six: 10 to 26 s after all else). A pod that is made once the
controller is ready is ready after 3 s. To restart the container would not do: the kubelet counts the
start of the node as its first restart, and waits 15 s before the second.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from devenv.errors import DevenvError
from devenv.facts.collect import is_proxy
from devenv.facts.labels import is_controller, is_ready
from devenv.gates.rollout import live
from devenv.ports import Clock, Kube, Manifest
from devenv.profiles.model import Profile
from devenv.wait import Deadline, until

# Seconds for the controller; 1 to 5 are usual.
_CONTROLLER = 60.0
# Seconds in which an Envoy that reaches its controller is ready.
_BY_ITSELF = 2.0
# second: no request has reached it since its start.
_GRACE = 1


@dataclass(frozen=True)
class Reconnect:
    """Has the proxies of the profile's Gateway ask their controller anew."""

    profile: Profile
    kube: Kube
    clock: Clock

    def run(self, note: list[str]) -> None:
        """Replace each proxy that is not ready soon after its controller.

        Whatever fails here, the proxy gets ready by itself, only later.
        """
        with suppress(DevenvError):
            until("Envoy Gateway", self._controllers_missing, Deadline(self.clock, _CONTROLLER))
            with suppress(DevenvError):
                until("Envoy", self._proxies_missing, Deadline(self.clock, _BY_ITSELF))
            for pod in self._waiting_proxies():
                meta = pod["metadata"]
                self.kube.delete("v1", "Pod", meta["namespace"], meta["name"], grace=_GRACE)
                note.append(f"replaced {meta['name']}")

    def _pods(self) -> list[Manifest]:
        return live(self.kube.select("v1", "Pod"))

    def _controllers_missing(self) -> str:
        controllers = [p for p in self._pods() if is_controller(p)]
        return _names(p for p in controllers if not is_ready(p))

    def _waiting_proxies(self) -> list[Manifest]:
        return [p for p in self._pods() if is_proxy(self.profile, p) and not is_ready(p)]

    def _proxies_missing(self) -> str:
        return _names(self._waiting_proxies())


def _names(pods: Iterable[Manifest]) -> str:
    return ", ".join(p["metadata"]["name"] for p in pods)
