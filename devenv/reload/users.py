"""The workloads that use an image, and how they get pods with the new one."""

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from devenv.base.errors import DevenvError, Exit
from devenv.base.image_names import normalise
from devenv.base.json_types import JsonObject
from devenv.base.wait import Deadline, until
from devenv.facts.collect import containers_in, is_of
from devenv.facts.labels import GATEWAY_NAME, is_controller
from devenv.facts.model import WORKLOADS
from devenv.facts.objects import fields_of
from devenv.facts.revisions import lasting_pods
from devenv.facts.trouble import Trouble
from devenv.gates import ready
from devenv.gates.outlook import Outlook
from devenv.install.manifests import IMAGES_NOTE
from devenv.ports.clock import Clock
from devenv.ports.kube import Kube, Manifest, NamespacedName
from devenv.profiles.model import Component, Profile
from devenv.reload.loose import LoosePod
from devenv.restart import restart_order

_APPS = "apps/v1"
# Seconds for the rollout of a workload without a deadline in the profile.
_DEFAULT_DEADLINE = 240.0


class NoCapacityError(DevenvError):
    """A new pod fits on no node beside the old pods that it is to replace."""


@dataclass(frozen=True)
class Workload:
    """A workload whose pods use an image. `component`: the profile's, if it is one."""

    kind: str
    obj: Manifest
    component: Component | None

    @property
    def name(self) -> str:
        """Its component's name, or NAMESPACE/NAME."""
        if self.component:
            return self.component.name
        return "/".join(self.identity)

    @property
    def made_by_gateway(self) -> bool:
        """Whether Envoy Gateway makes it, and would revert any change to it."""
        return GATEWAY_NAME in fields_of(self.obj["metadata"], "labels")

    @property
    def leads_gateway(self) -> bool:
        """Whether it is Envoy Gateway's controller, whose new pod must also lead."""
        return is_controller(self.obj)

    @property
    def images(self) -> set[str]:
        """Names of its images, as containerd spells them."""
        return {normalise(str(container.get("image"))) for container in self.containers()}

    @property
    def identity(self) -> NamespacedName:
        """Its namespace and its name."""
        meta = self.obj["metadata"]
        return meta["namespace"], meta["name"]

    @property
    def pod_spec(self) -> Manifest:
        """The spec of its pod template."""
        pod_spec: Manifest = self.obj["spec"]["template"]["spec"]
        return pod_spec

    def containers(self) -> list[Manifest]:
        """Return the containers of its pods, init containers too."""
        return containers_in(self.pod_spec)

    def containers_with_pull_policy(self, policy: str) -> dict[str, list[Manifest]]:
        """Return its containers with this policy, by the field of the pod spec that holds them."""
        fields: dict[str, list[Manifest]] = {}
        for name in ("initContainers", "containers"):
            if name in self.pod_spec:
                containers = self.pod_spec[name]
                fields[name] = [{**c, "imagePullPolicy": policy} for c in containers]
        return fields


@dataclass(frozen=True)
class PullingContainer:
    """A container of a workload that pulls its image, whatever the node has."""

    workload: Workload
    name: str


@dataclass(frozen=True)
class Workloads:
    """Finds workloads by image, and rolls them out."""

    kube: Kube
    clock: Clock
    profile: Profile

    def using(self, names: Iterable[str]) -> list[Workload]:
        """Return the workloads that use an image of these names.

        The profile's components come first, in the order of their restart.
        """
        image_names = set(names)
        using_workloads: list[Workload] = []
        for kind in WORKLOADS:
            for obj in self.kube.select(_APPS, kind):
                workload = self._workload(kind, obj)
                if workload.images & image_names:
                    using_workloads.append(workload)
        order = restart_order(self.profile)

        def position(workload: Workload) -> tuple[int, str]:
            if workload.component:
                return order.index(workload.name), workload.name
            return len(order), workload.name

        return sorted(using_workloads, key=position)

    def _workload(self, kind: str, obj: Manifest) -> Workload:
        """Return the workload with its component, if the profile has one for it."""
        for component in self.profile.components:
            if component.resource.kind == kind and is_of(component, obj):
                return Workload(kind, obj, component)
        return Workload(kind, obj, None)

    def pulling_containers(
        self, workloads: Sequence[Workload], names: Collection[str]
    ) -> list[PullingContainer]:
        """Return the containers that always pull one of these images."""
        pulling_containers = []
        for workload in workloads:
            for container in workload.containers():
                image_name = normalise(str(container.get("image")))
                pulls_always = container.get("imagePullPolicy") == "Always"
                if image_name in names and pulls_always:
                    name = str(container["name"])
                    pulling_containers.append(PullingContainer(workload, name))
        return pulling_containers

    def refuse_pulling(self, containers: Sequence[PullingContainer]) -> None:
        """Raise DevenvError if there are any: no registry has an image that was just built."""
        if not containers:
            return
        lines = [f"{c.workload.name}, container {c.name}" for c in containers]
        what = "The pods would pull the image instead of using the loaded one."
        reason = "imagePullPolicy is Always:\n" + "\n".join(lines)
        fix = "Set IfNotPresent in the manifest, or pass --fix-pull-policy."
        raise DevenvError(what, reason, fix, Exit.USAGE)

    def fix_pull_policy(self, containers: Sequence[PullingContainer]) -> None:
        """Set IfNotPresent in the workloads of these containers.

        A merge patch replaces whole lists, so all containers are sent.
        """
        for container in containers:
            workload = container.workload
            pod_spec = workload.containers_with_pull_policy("IfNotPresent")
            self._merge(workload, {"spec": {"template": {"spec": pod_spec}}})

    def roll(self, workload: Workload, note: str) -> None:
        """Have Kubernetes replace the pods, as the workload's strategy says.

        `note`: the annotation that `up` would write, so that `up` has nothing to roll out later.
        """
        template = workload.obj["spec"]["template"]
        annotations = fields_of(fields_of(template, "metadata"), "annotations")
        annotation = note
        if annotations.get(IMAGES_NOTE) == note:
            annotation = f"{note}-{time.time_ns()}"
        metadata = {"annotations": {IMAGES_NOTE: annotation}}
        self._merge(workload, {"spec": {"template": {"metadata": metadata}}})

    def _merge(self, workload: Workload, change: JsonObject) -> None:
        """Change these fields of the workload, and leave all others."""
        namespace, name = workload.identity
        metadata = {"namespace": namespace, "name": name}
        identity = {"apiVersion": _APPS, "kind": workload.kind, "metadata": metadata}
        self.kube.merge({**identity, **change})

    def await_rollout(self, workload: Workload, began: float) -> None:
        """Return when all pods are new and ready. `began`: its start, in seconds since 1970.

        Raises DevenvError with what was missing, and NoCapacityError if a new pod fits on no node
        beside the old ones.
        """
        outlook = Outlook(self.kube, self.clock, fresh=True)
        obj = workload.obj

        def find_missing() -> str:
            nonlocal obj
            obj = self._read(workload)
            shortfall = _rollout_shortfall(workload.kind, obj)
            if shortfall:
                self._check_outlook(workload, outlook, obj)
            return shortfall

        seconds = workload.component.deadline if workload.component else _DEFAULT_DEADLINE
        try:
            until(f"The rollout of {workload.name}", find_missing, Deadline(self.clock, seconds))
        except DevenvError as error:
            trouble = Trouble(self.kube).lines(obj, began)
            lines = filter(None, (error.why, *trouble))
            error.why = "\n".join(lines)
            raise

    def _check_outlook(self, workload: Workload, outlook: Outlook, obj: Manifest) -> None:
        """Raise DevenvError if waiting can't help: NoCapacityError if ending an old pod could."""
        verdict = outlook.verdict(workload.kind, obj)
        if not verdict:
            return
        what = f"{workload.name} can't run the new image."
        if outlook.no_room and self._can_replace_first(workload):
            raise NoCapacityError(what, verdict)
        raise DevenvError(what, verdict)

    def _can_replace_first(self, workload: Workload) -> bool:
        """Whether a new pod could take an old pod's place if that ended first."""
        if workload.kind != "Deployment":
            return False
        strategy = fields_of(workload.obj["spec"], "strategy")
        is_rolling = strategy.get("type") != "Recreate"
        return is_rolling and any(map(_node_of, self.pods(workload)))

    @contextmanager
    def replacing_first(self, workload: Workload) -> Iterator[None]:
        """End old pods before new ones are ready, during the block.

        Only for Deployments with the strategy RollingUpdate.
        """
        strategy = fields_of(self._read(workload)["spec"], "strategy")
        rolling_update = fields_of(strategy, "rollingUpdate")
        previous_limits = {
            "maxUnavailable": rolling_update.get("maxUnavailable"),
            "maxSurge": rolling_update.get("maxSurge"),
        }
        self._merge(workload, _rolling_update({"maxUnavailable": "100%", "maxSurge": 0}))
        try:
            yield
        finally:
            self._merge(workload, _rolling_update(previous_limits))

    def pods(self, workload: Workload, nodes: Collection[str] | None = None) -> list[Manifest]:
        """Return its pods that have not ended; with `nodes`, those on them and unscheduled ones."""
        namespace, _ = workload.identity
        all_pods = self.kube.select("v1", "Pod", namespace)
        pods = lasting_pods(workload.obj, all_pods)
        if nodes is None:
            return list(pods)
        return [pod for pod in pods if _node_of(pod) in {*nodes, None}]

    def _read(self, workload: Workload) -> Manifest:
        """Return the workload as it is now."""
        obj = self.kube.get(_APPS, workload.kind, *workload.identity)
        if obj is None:
            raise DevenvError(f"{workload.name} no longer exists.", "It was deleted meanwhile.")
        return obj


def find_unused(names: Iterable[str], users: Iterable[Workload | LoosePod]) -> list[str]:
    """Return those image names that none of the workloads and pods uses."""
    used_names: set[str] = set()
    for user in users:
        used_names |= user.images
    return [name for name in names if name not in used_names]


def _rollout_shortfall(kind: str, obj: Manifest) -> str:
    """Return what the rollout still lacks, "" if it is over."""
    if kind == "DaemonSet":
        return ready.daemon(obj)
    return ready.workload(obj)


def _node_of(pod: Manifest) -> str | None:
    """Return the name of the pod's node, None if it has none yet."""
    node: str | None = fields_of(pod, "spec").get("nodeName")
    return node


def _rolling_update(limits: JsonObject) -> JsonObject:
    return {"spec": {"strategy": {"rollingUpdate": limits}}}
