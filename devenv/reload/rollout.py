"""Has workloads run the images that their nodes have, and proves that they do.

A reload and a return to an earlier image end the same way: what does not run the image is restarted in the profile's order,
each gated before the next; every pod's running image is compared with what was put into its node; the live requests follow.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from devenv.errors import DevenvError
from devenv.facts.live import Proof
from devenv.gates.live import Prober
from devenv.images.load import normalise
from devenv.lifecycle.manifests import images_note
from devenv.lifecycle.proven import ProvenImages
from devenv.lifecycle.record import Records
from devenv.lifecycle.restart import Restart
from devenv.lifecycle.settled import RolledOut
from devenv.lifecycle.steps import prove, step
from devenv.ports import Clock, Containers, Host, Kube, Manifest, Reporter
from devenv.profiles.model import Profile
from devenv.reload.users import NoRoomError, User, Users
from devenv.wait import Deadline, until

# Seconds for the live requests.
_PROOF = 60.0
# Seconds for the last old container to be gone.
_PODS = 60.0

# node → name in the node → digest of the config of the image that its pods are to run
Expected = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Renewed:
    """What a rollout came to. `restarted`: names of workloads; `pods`: those whose running image was compared."""

    restarted: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()
    proofs: tuple[Proof, ...] = ()


@dataclass(frozen=True)
class Rollout:
    """Rolls out what is in the nodes of one cluster.

    `replace_first` is asked whether old pods may end before new ones are ready, once these find no room beside them.
    """

    cluster: str
    profile: Profile
    host: Host
    clock: Clock
    containers: Containers
    kube: Kube
    reporter: Reporter
    restart: Restart
    prober: Prober
    replace_first: Callable[[DevenvError], bool] = lambda _: False

    @property
    def users(self) -> Users:
        """Who uses images."""
        return Users(self.kube, self.clock, self.profile)

    @property
    def proven(self) -> ProvenImages:
        """What was proven in the cluster."""
        return ProvenImages(
            self.cluster, Records(self.host), self.containers, self.clock, self.reporter
        )

    def run(self, users: Sequence[User], expected: Expected) -> Renewed:
        """Restart what does not run the expected images, and prove it. Raises DevenvError at the first that fails."""
        restarted = [user for user in users if self._restart(user, expected)]
        self.restart.settled.run([RolledOut.of(u.kind, u.obj, u.component) for u in restarted])
        pods = self._compare(users, expected) if users else ()
        proofs = prove(self.reporter, self.prober, _PROOF, "Look at it with `devenv doctor`.")
        return Renewed(tuple(user.name for user in restarted), pods, tuple(proofs))

    def _restart(self, user: User, expected: Expected) -> bool:
        """Restart a workload, and return whether it had to be, once its gate is open."""
        if not self._stale_pods(user, expected):
            return False
        digests = {name: digest for images in expected.values() for name, digest in images.items()}
        # As `up` notes them, so that it has nothing to roll out afterwards.
        ids = digests | Records(self.host).ids(self.cluster, self.profile)
        if user.component and (user.made_by_gateway or user.leads_gateway):
            self.restart.run([user.component])
        else:
            self._roll(user, images_note(user.obj, ids))
        return True

    def _roll(self, user: User, note: str) -> None:
        began = self.clock.now()
        with step(self.reporter, f"restart {user.name}"):
            self.users.roll(user, note)
            try:
                self.users.await_rollout(user, began)
            except NoRoomError as error:
                if not self.replace_first(error):
                    raise
                with self.users.replacing_first(user):
                    self.users.await_rollout(user, began)

    def _stale_pods(self, user: User, expected: Expected) -> list[str]:
        """Return the user's pods on these nodes that don't run the expected images, or run nothing."""
        by_pod = self.proven.running_images()
        pods = self.users.pods(user, expected)
        return [p["metadata"]["name"] for p in pods if _is_stale(user, p, by_pod, expected)]

    def _compare(self, users: Sequence[User], expected: Expected) -> tuple[str, ...]:
        """Return the pods whose running containers have the expected images. Raises DevenvError where one has not."""

        def missing() -> str:
            return ", ".join(pod for user in users for pod in self._stale_pods(user, expected))

        with step(self.reporter, "compare running images") as note:
            until(
                "The expected image in every pod",
                missing,
                Deadline(self.clock, _PODS),
                "See `devenv doctor`.",
            )
            pods = [
                p["metadata"]["name"] for user in users for p in self.users.pods(user, expected)
            ]
            note.append(f"{len(pods)} pods run it")
        return tuple(pods)


def _is_stale(
    user: User, pod: Manifest, by_pod: Mapping[tuple[str, str], str], expected: Expected
) -> bool:
    """Whether one of the pod's containers runs another image than is expected, or nothing."""
    node = (pod.get("spec") or {}).get("nodeName")
    all_digests = {name: digest for images in expected.values() for name, digest in images.items()}
    digests = expected.get(node, {}) if node else all_digests
    for container in user.containers():
        name = normalise(str(container.get("image")))
        running = by_pod.get((pod["metadata"]["uid"], container["name"]))
        has_ended = running is None and container["name"] in user.init
        if name in digests and running != digests[name] and not has_ended:
            return True
    return False
