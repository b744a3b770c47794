"""Pods that use an image and that no workload made.

AIBrix makes the pods of its own kinds again once they are deleted. Nothing is known to make others
again, so they are left alone and named.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from devenv.base.errors import DevenvError
from devenv.base.image_names import normalise
from devenv.base.steps import step
from devenv.base.wait import Deadline, until
from devenv.facts.collect import containers_in
from devenv.facts.labels import is_ready
from devenv.facts.model import WORKLOADS, owns
from devenv.facts.objects import full_name, name_of, namespace_of, owners_of
from devenv.facts.revisions import is_lasting
from devenv.ports.clock import Clock
from devenv.ports.kube import Kube, Manifest
from devenv.ports.reporter import Reporter
from devenv.reload.expected import Expected, RunningImages, is_stale, runs_anything

# The kinds of AIBrix's that make pods: a StormService makes RoleSets, these make pods or PodSets.
_REMAKING = {"StormService", "RoleSet", "PodSet"}
# The kubelet's static pods are owned by their node.
_NODE = "Node"
# Seconds for the new pods of one owner.
_DEADLINE = 240.0


class LeftPodsError(DevenvError):
    """Pods that nothing makes again still run the old image."""


@dataclass(frozen=True)
class LoosePod:
    """A pod that no Deployment, StatefulSet or DaemonSet made."""

    pod: Manifest

    @property
    def owner(self) -> str:
        """Its owner's kind and name; "" for a bare pod."""
        for owner in owners_of(self.pod):
            return f"{owner.get('kind')} {owner.get('name')}"
        return ""

    @property
    def is_remade(self) -> bool:
        """Whether AIBrix makes it again once it is deleted."""
        return self.owner.partition(" ")[0] in _REMAKING

    @property
    def images(self) -> set[str]:
        """Names of its images, as containerd spells them."""
        containers = containers_in(self.pod["spec"])
        return {normalise(str(container.get("image"))) for container in containers}

    def is_stale(self, running_images: RunningImages, expected: Expected) -> bool:
        """Whether it runs another image than is expected."""
        is_running = runs_anything(self.pod, running_images)
        return is_running and is_stale(self.pod["spec"], self.pod, running_images, expected)

    def __str__(self) -> str:
        return f"{full_name(self.pod)} ({self.owner or 'no owner'})"


@dataclass(frozen=True)
class LoosePods:
    """Finds loose pods by image, and replaces those that AIBrix makes again."""

    cluster: str
    kube: Kube
    clock: Clock
    reporter: Reporter

    def using(self, names: Collection[str]) -> list[LoosePod]:
        """Return the loose pods that are to run on and use an image of these names."""
        candidates = [LoosePod(pod) for pod in self.kube.select("v1", "Pod") if is_lasting(pod)]
        candidates = [loose for loose in candidates if loose.images.intersection(names)]
        if not candidates:
            return []
        workloads: list[Manifest] = []
        for kind in WORKLOADS:
            workloads += self.kube.select("apps/v1", kind)
        return [loose for loose in candidates if _is_loose(loose, workloads)]

    def replace(
        self,
        names: Collection[str],
        expected: Expected,
        running_images: Callable[[], RunningImages],
    ) -> list[str]:
        """Have AIBrix make its stale pods again, those of one owner at a time.

        Returns the owners. Raises DevenvError if new pods do not become ready.
        """
        by_owner: dict[tuple[str, str], list[LoosePod]] = {}
        remade_pods = [loose for loose in self.using(names) if loose.is_remade]
        # The nodes are asked only if there is something to compare.
        images = running_images() if remade_pods else {}
        for loose in remade_pods:
            if loose.is_stale(images, expected):
                key = (namespace_of(loose.pod), loose.owner)
                by_owner.setdefault(key, []).append(loose)
        for (namespace, owner), stale_pods in by_owner.items():
            with step(self.reporter, f"restart {owner}"):
                self._replace(namespace, owner, stale_pods)
        return [owner for _, owner in by_owner]

    def _replace(self, namespace: str, owner: str, stale_pods: Sequence[LoosePod]) -> None:
        count = len(self._ready_pods(namespace, owner))
        old_uids = {loose.pod["metadata"]["uid"] for loose in stale_pods}
        for loose in stale_pods:
            self.kube.delete("v1", "Pod", namespace, name_of(loose.pod))

        def find_missing() -> str:
            pods = self._ready_pods(namespace, owner)
            new_pods = [pod for pod in pods if pod["metadata"]["uid"] not in old_uids]
            missing = max(count, 1) - len(new_pods)
            return f"{missing} ready pods of {owner}" if missing > 0 else ""

        deadline = Deadline(self.clock, _DEADLINE)
        until(f"The restart of {owner}", find_missing, deadline, "Run `devenv doctor`.")

    def _ready_pods(self, namespace: str, owner: str) -> list[Manifest]:
        pods = [pod for pod in self.kube.select("v1", "Pod", namespace) if is_lasting(pod)]
        return [pod for pod in pods if LoosePod(pod).owner == owner and is_ready(pod)]

    def refuse_left(
        self,
        names: Collection[str],
        expected: Expected,
        running_images: Callable[[], RunningImages],
    ) -> None:
        """Raise LeftPodsError if a loose pod runs another image than is expected."""
        using_pods = self.using(names)
        images = running_images() if using_pods else {}
        left = [loose for loose in using_pods if loose.is_stale(images, expected)]
        if left:
            lines = "\n".join(map(str, left))
            what = "The new image is not proven: pods that devenv can't restart run the old one."
            raise LeftPodsError(what, lines, self._advice(left))

    def _advice(self, left: Sequence[LoosePod]) -> str:
        """Return the commands that end pods, and what comes then."""
        kubectl = f"kubectl --context kind-{self.cluster}"
        commands = [
            f"`{kubectl} -n {namespace_of(loose.pod)} delete pod {name_of(loose.pod)}`"
            for loose in left
        ]
        return f"End them with {', '.join(commands)}, make them again, and repeat the reload."


def _is_loose(loose: LoosePod, workloads: Iterable[Manifest]) -> bool:
    is_static = loose.owner.partition(" ")[0] == _NODE
    return not is_static and not any(owns(workload, loose.pod) for workload in workloads)
