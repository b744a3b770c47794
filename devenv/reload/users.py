"""The workloads that use an image, and how they come to run the new one."""

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from devenv.errors import DevenvError, Exit
from devenv.facts.collect import is_of
from devenv.facts.model import WORKLOADS, owns
from devenv.facts.trouble import Trouble
from devenv.gates import ready
from devenv.images.load import normalise
from devenv.lifecycle.manifests import IMAGES_NOTE
from devenv.ports import Clock, Kube, Manifest
from devenv.profiles.model import Component, Profile
from devenv.wait import Deadline, until

_APPS = "apps/v1"
_OWNER = "gateway.envoyproxy.io/owning-gateway-name"
_NEVER = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "ErrImageNeverPull", "InvalidImageName"}
_CRASHES = 2
_PATIENCE = 240.0  # seconds for a workload that the profile gives no deadline


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
    def images(self) -> set[str]:
        """Names of its images, as containerd spells them."""
        return {normalise(str(c.get("image"))) for c in self.containers()}

    @property
    def init(self) -> set[str]:
        """Names of the containers that end before the others begin."""
        return {str(c["name"]) for c in self.obj["spec"]["template"]["spec"].get("initContainers") or ()}

    def containers(self) -> list[dict[str, Any]]:
        """Return the containers of its pods, init containers too."""
        spec = self.obj["spec"]["template"]["spec"]
        return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


@dataclass(frozen=True)
class Users:
    """Finds workloads by image, and rolls them out."""

    kube: Kube
    clock: Clock
    profile: Profile

    def of(self, names: Iterable[str]) -> list[User]:
        """Return the workloads that use an image of these names, in the profile's order; others after them."""
        wanted = set(names)
        order = list(TopologicalSorter({c.name: c.after for c in self.profile.components}).static_order())
        found = []
        for kind in WORKLOADS:
            for obj in self.kube.select(_APPS, kind):
                component = next((c for c in self.profile.components if c.resource.kind == kind and is_of(c, obj)), None)
                user = User(kind, obj, component)
                if user.images & wanted:
                    found.append(user)
        return sorted(found, key=lambda u: (order.index(u.name) if u.component else len(order), u.name))

    def always_pulling(self, users: Sequence[User], names: Iterable[str]) -> list[tuple[User, str]]:
        """Return those whose containers pull the image whatever is in the node, with the container's name."""
        wanted = set(names)
        return [
            (u, str(c["name"]))
            for u in users
            for c in u.containers()
            if normalise(str(c.get("image"))) in wanted and c.get("imagePullPolicy") == "Always"
        ]

    def refuse_always(self, found: Sequence[tuple[User, str]]) -> None:
        """Raise DevenvError where a workload would pull: no registry has what was just built."""
        if found:
            lines = "\n".join(f"{u.name}, container {c}: imagePullPolicy is Always" for u, c in found)
            fix = "Set IfNotPresent in the manifest, or say --fix-pull-policy."
            raise DevenvError("The pods would not use the image that is loaded.", lines, fix, Exit.USAGE)

    def fix_pull_policy(self, found: Sequence[tuple[User, str]]) -> None:
        """Set IfNotPresent. A list's items are merged by nobody but the API server's own patches, so all are sent."""
        for user, _ in found:
            spec = user.obj["spec"]["template"]["spec"]
            groups = [g for g in ("initContainers", "containers") if g in spec]
            fixed = {g: [{**c, "imagePullPolicy": "IfNotPresent"} for c in spec[g]] for g in groups}
            self._merge(user, {"spec": {"template": {"spec": fixed}}})

    def roll(self, user: User, note: str) -> None:
        """Have new pods made, one by one as the workload's strategy says. `note`: what `up` would write, so that it rests."""
        has = (user.obj["spec"]["template"].get("metadata") or {}).get("annotations") or {}
        new = f"{note}-{time.time_ns()}" if has.get(IMAGES_NOTE) == note else note
        self._merge(user, {"spec": {"template": {"metadata": {"annotations": {IMAGES_NOTE: new}}}}})

    def _merge(self, user: User, change: dict[str, Any]) -> None:
        meta = {k: user.obj["metadata"][k] for k in ("namespace", "name")}
        self.kube.merge({"apiVersion": _APPS, "kind": user.kind, "metadata": meta, **change})

    def await_rollout(self, user: User) -> None:
        """Return when all pods are new and ready. Raises DevenvError with what was missing."""
        seconds = user.component.deadline if user.component else _PATIENCE
        look = "`devenv doctor` has the cause. --rollback returns to the old image."

        def missing() -> str:
            obj = self._now(user)
            lacks = ready.daemon(obj) if user.kind == "DaemonSet" else ready.workload(obj)
            if lacks and (hopeless := _hopeless(self.pods(user))):
                raise DevenvError(f"{user.name} can't run the new image.", hopeless, look)
            return lacks

        try:
            until(f"The rollout of {user.name}", missing, Deadline(self.clock, seconds), look)
        except DevenvError as error:
            error.why = "\n".join([error.why, *Trouble(self.kube).lines(user.obj)])
            raise

    def pods(self, user: User, nodes: Collection[str] | None = None) -> list[Manifest]:
        """Return its pods, without those on their way out; with `nodes`, those on them and those that are on none yet."""
        found = self.kube.select("v1", "Pod", user.obj["metadata"]["namespace"])
        mine = [p for p in found if owns(user.obj, p) and "deletionTimestamp" not in p["metadata"]]
        return [p for p in mine if nodes is None or (p.get("spec") or {}).get("nodeName") in {*nodes, None}]

    def _now(self, user: User) -> Manifest:
        meta = user.obj["metadata"]
        found = self.kube.get(_APPS, user.kind, meta["namespace"], meta["name"])
        if found is None:
            raise DevenvError(f"{user.name} is gone.", "Somebody has deleted it.")
        return found


def _hopeless(pods: Sequence[Manifest]) -> str:
    """Return why no pod will ever be ready, "" where one may: waiting for that would be in vain."""
    for pod in pods:
        status = pod.get("status") or {}
        for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
            waiting = (container.get("state") or {}).get("waiting") or {}
            again = waiting.get("reason") == "CrashLoopBackOff" and container.get("restartCount", 0) >= _CRASHES
            if again or waiting.get("reason") in _NEVER:
                last = (container.get("lastState") or {}).get("terminated") or {}
                told = waiting.get("message") or last.get("message") or last.get("reason", "")
                return f"{pod['metadata']['name']}, container {container['name']}: {waiting['reason']}: {told}"
    return ""
