"""Replace proxies that would wait long for their controller after the start of a node.

Envoy starts before CoreDNS and its controller do. It tries again after a growing time, up to 30 s,
and is ready only then: in four starts of six, 10 to 26 s after everything else. A pod that is made
once the controller is ready is itself ready after 3 s. Restarting the container instead would not
help: the kubelet counts the start of the node as its first restart, and waits 15 s before the
second.
"""

from contextlib import suppress
from dataclasses import dataclass

from devenv.base.errors import DevenvError
from devenv.base.wait import Deadline, until
from devenv.facts.collect import is_proxy
from devenv.facts.labels import is_controller
from devenv.facts.objects import name_of, namespace_of
from devenv.gates.rollout import live
from devenv.install.objects import names_of, unready_pods
from devenv.ports.clock import Clock
from devenv.ports.kube import Kube, Manifest
from devenv.profiles.model import Profile

# Seconds for the controller; 1 to 5 are usual.
_CONTROLLER_SECONDS = 60.0
# Seconds in which an Envoy that reaches its controller becomes ready.
_PROXY_SECONDS = 2.0
# One second is enough: no request has reached the proxy since its start.
_GRACE_SECONDS = 1


@dataclass(frozen=True)
class Reconnect:
    """Makes the proxies of the profile's Gateway connect to their controller again."""

    profile: Profile
    kube: Kube
    clock: Clock

    def run(self, note: list[str]) -> None:
        """Replace each proxy that is not ready soon after its controller.

        If anything fails here, the proxy becomes ready by itself, only later.
        """
        with suppress(DevenvError):
            deadline = Deadline(self.clock, _CONTROLLER_SECONDS)
            until(
                "Envoy Gateway", lambda: ", ".join(names_of(self._unready_controllers())), deadline
            )
            self._await_proxies_a_while()
            for pod in self._unready_proxies():
                name = name_of(pod)
                self.kube.delete("v1", "Pod", namespace_of(pod), name, grace=_GRACE_SECONDS)
                note.append(f"replaced {name}")

    def _await_proxies_a_while(self) -> None:
        deadline = Deadline(self.clock, _PROXY_SECONDS)
        with suppress(DevenvError):
            until("Envoy", lambda: ", ".join(names_of(self._unready_proxies())), deadline)

    def _unready_controllers(self) -> list[Manifest]:
        return list(filter(is_controller, self._unready_pods()))

    def _unready_proxies(self) -> list[Manifest]:
        return [pod for pod in self._unready_pods() if is_proxy(self.profile, pod)]

    def _unready_pods(self) -> list[Manifest]:
        pods = live(self.kube.select("v1", "Pod"))
        return unready_pods(pods)
