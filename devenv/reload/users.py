"""The workloads that use an image, and how they come to run the new one."""

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from devenv.errors import DevenvError, Exit
from devenv.facts.collect import containers_in, is_of
from devenv.facts.labels import is_controller
from devenv.facts.model import WORKLOADS
from devenv.facts.revisions import lasting_pods
from devenv.facts.trouble import Trouble
from devenv.gates import ready
from devenv.gates.outlook import Outlook
from devenv.images.load import normalise
from devenv.lifecycle.manifests import IMAGES_NOTE
from devenv.ports import Clock, Kube, Manifest
from devenv.profiles.model import Component, Profile
from devenv.wait import Deadline, until

_APPS = "apps/v1"
_OWNER = "gateway.envoyproxy.io/owning-gateway-name"
# Seconds for a workload that the profile gives no deadline.
_PATIENCE = 240.0


class NoRoomError(DevenvError):
    """A new pod fits no node beside the old pods that it is to replace."""


@dataclass(frozen=True)
class User:
    """A workload whose pods use an image."""

    kind: str
    obj: Manifest
    component: Component | None

    @property
    def name(self) -> str:
        """Its component's name, or NAMESPACE/NAME."""
        meta = self.obj["metadata"]
        return self.component.name if self.component else f"{meta['namespace']}/{meta['name']}"

    @property
    def made_by_gateway(self) -> bool:
        """Whether Envoy Gateway makes it, and would undo what is written into it."""
        return _OWNER in (self.obj["metadata"].get("labels") or {})

    @property
    def leads_gateway(self) -> bool:
        """Whether it is Envoy Gateway's controller, of which a ready pod is not enough: it must lead."""
        return is_controller(self.obj)

    @property
    def images(self) -> set[str]:
        """Names of its images, as containerd spells them."""
        return {normalise(str(c.get("image"))) for c in self.containers()}

    @property
    def init(self) -> set[str]:
        """Names of the containers that end before the others begin."""
        return {
            str(c["name"]) for c in self.obj["spec"]["template"]["spec"].get("initContainers") or ()
        }

    def containers(self) -> list[dict[str, Any]]:
        """Return the containers of its pods, init containers too."""
        return containers_in(self.obj["spec"]["template"]["spec"])


@dataclass(frozen=True)
class Users:
    """Finds workloads by image, and rolls them out."""

    kube: Kube
    clock: Clock
    profile: Profile

    def of(self, names: Iterable[str]) -> list[User]:
        """Return the workloads that use an image of these names, in the profile's order; others after them."""
        image_names = set(names)
        order = list(
            TopologicalSorter({c.name: c.after for c in self.profile.components}).static_order()
        )
        users = []
        for kind in WORKLOADS:
            for obj in self.kube.select(_APPS, kind):
                component = next(
                    (
                        c
                        for c in self.profile.components
                        if c.resource.kind == kind and is_of(c, obj)
                    ),
                    None,
                )
                user = User(kind, obj, component)
                if user.images & image_names:
                    users.append(user)
        return sorted(
            users, key=lambda u: (order.index(u.name) if u.component else len(order), u.name)
        )

    def always_pulling(self, users: Sequence[User], names: Iterable[str]) -> list[tuple[User, str]]:
        """Return those whose containers pull the image whatever is in the node, with the container's name."""
        image_names = set(names)
        return [
            (u, str(c["name"]))
            for u in users
            for c in u.containers()
            if normalise(str(c.get("image"))) in image_names
            and c.get("imagePullPolicy") == "Always"
        ]

    def refuse_always(self, containers: Sequence[tuple[User, str]]) -> None:
        """Raise DevenvError where a workload would pull: no registry has what was just built."""
        if containers:
            lines = "\n".join(
                f"{u.name}, container {c}: imagePullPolicy is Always" for u, c in containers
            )
            fix = "Set IfNotPresent in the manifest, or say --fix-pull-policy."
            raise DevenvError(
                "The pods would not use the image that is loaded.", lines, fix, Exit.USAGE
            )

    def fix_pull_policy(self, containers: Sequence[tuple[User, str]]) -> None:
        """Set IfNotPresent. A list's items are merged by nobody but the API server's own patches, so all are sent."""
        for user, _ in containers:
            spec = user.obj["spec"]["template"]["spec"]
            groups = [g for g in ("initContainers", "containers") if g in spec]
            fixed = {g: [{**c, "imagePullPolicy": "IfNotPresent"} for c in spec[g]] for g in groups}
            self._merge(user, {"spec": {"template": {"spec": fixed}}})

    def roll(self, user: User, note: str) -> None:
        """Have new pods made, one by one as the workload's strategy says. `note`: what `up` would write, so that it rests."""
        annotations = (user.obj["spec"]["template"].get("metadata") or {}).get("annotations") or {}
        annotation = f"{note}-{time.time_ns()}" if annotations.get(IMAGES_NOTE) == note else note
        self._merge(
            user, {"spec": {"template": {"metadata": {"annotations": {IMAGES_NOTE: annotation}}}}}
        )

    def _merge(self, user: User, change: dict[str, Any]) -> None:
        meta = {k: user.obj["metadata"][k] for k in ("namespace", "name")}
        self.kube.merge({"apiVersion": _APPS, "kind": user.kind, "metadata": meta, **change})

    def await_rollout(self, user: User, began: float) -> None:
        """Return when all pods are new and ready. `began`: when it was rolled out, in seconds since 1970.

        Raises DevenvError with what was missing; NoRoomError where a new pod fits no node beside the old ones.
        """
        seconds = user.component.deadline if user.component else _PATIENCE
        outlook = Outlook(self.kube, self.clock, fresh=True)
        obj = user.obj

        def missing() -> str:
            nonlocal obj
            obj = self._now(user)
            problem = ready.daemon(obj) if user.kind == "DaemonSet" else ready.workload(obj)
            if problem and (verdict := outlook.verdict(user.kind, obj)):
                kind = (
                    NoRoomError
                    if outlook.no_room and self._can_replace_first(user)
                    else DevenvError
                )
                raise kind(f"{user.name} can't run the new image.", verdict)
            return problem

        try:
            until(f"The rollout of {user.name}", missing, Deadline(self.clock, seconds))
        except DevenvError as error:
            trouble = Trouble(self.kube).lines(obj, began)
            error.why = "\n".join(line for line in (error.why, *trouble) if line)
            raise

    def _can_replace_first(self, user: User) -> bool:
        """Whether a new pod could take the room of an old one, if that ended first."""
        rolls = (user.obj["spec"].get("strategy") or {}).get("type") != "Recreate"
        has_old = any((p.get("spec") or {}).get("nodeName") for p in self.pods(user))
        return user.kind == "Deployment" and rolls and has_old

    @contextmanager
    def replacing_first(self, user: User) -> Iterator[None]:
        """Have old pods end before new ones are there, as long as this lasts. For Deployments that roll."""
        strategy = self._now(user)["spec"].get("strategy") or {}
        rolling = strategy.get("rollingUpdate") or {}
        previous_limits = {
            "maxUnavailable": rolling.get("maxUnavailable"),
            "maxSurge": rolling.get("maxSurge"),
        }
        self._merge(user, _rolling({"maxUnavailable": "100%", "maxSurge": 0}))
        try:
            yield
        finally:
            self._merge(user, _rolling(previous_limits))

    def pods(self, user: User, nodes: Collection[str] | None = None) -> list[Manifest]:
        """Return its pods that are to run on; with `nodes`, those on them and those that are on none yet."""
        all_pods = self.kube.select("v1", "Pod", user.obj["metadata"]["namespace"])
        pods = lasting_pods(user.obj, all_pods)
        return [
            p
            for p in pods
            if nodes is None or (p.get("spec") or {}).get("nodeName") in {*nodes, None}
        ]

    def _now(self, user: User) -> Manifest:
        meta = user.obj["metadata"]
        workload = self.kube.get(_APPS, user.kind, meta["namespace"], meta["name"])
        if workload is None:
            raise DevenvError(f"{user.name} is gone.", "Somebody has deleted it.")
        return workload


def _rolling(limits: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"strategy": {"rollingUpdate": limits}}}
