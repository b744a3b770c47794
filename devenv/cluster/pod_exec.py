"""`exec`: run a command in a component's pod, beside it if its image has no shell.

An image without a shell has no tools, either. Then an ephemeral container of busybox joins the pod,
which sees the component's processes, and its files under /proc/1/root. Kubernetes can't remove such
a container from a pod, so it sleeps there and the next `exec` uses it again.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from devenv.base.errors import DevenvError, Exit
from devenv.base.wait import Deadline, until
from devenv.cluster.kubectl import Kubectl
from devenv.facts.collect import component_pods
from devenv.facts.labels import is_ready
from devenv.facts.logs import require_workloads
from devenv.facts.objects import (
    annotations_of,
    fields_of,
    items_of,
    name_of,
    namespace_of,
    status_of,
)
from devenv.ports.kube import Manifest
from devenv.ports.names import Names
from devenv.session import Session

_SHELL = "sh"
_IMAGE_NAME, _IMAGE = "busybox", "docker.io/library/busybox:stable"
_CONTAINER = "devenv-shell"
# Seconds; busybox's sleep knows no "infinity" everywhere.
_SLEEP = "2147483647"
# Seconds for an ephemeral container to run; 2 are usual if the node has the image.
_START_SECONDS = 60.0
# What kubectl and the runtimes runc and crun say of a program that an image does not have.
_NO_PROGRAM = re.compile(
    r"executable file.* not found|no such file or directory|exit code 12[67]", re.IGNORECASE
)
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_PROGRAM_LOOK = 'command -v "$1"'


@dataclass(frozen=True)
class Place:
    """Where a command runs: a container of a pod."""

    namespace: str
    pod: str
    container: str

    def exec(self, *options: str) -> list[str]:
        """Return kubectl's arguments for a command in this container, up to the command."""
        container = ["--container", self.container]
        return ["exec", "--namespace", self.namespace, self.pod, *container, *options, "--"]


@dataclass(frozen=True)
class PodExec:
    """Runs commands in the pods of one cluster's components."""

    session: Session
    kubectl: Kubectl

    def run(self, component: str, command: Names, *, has_terminal: bool) -> int:
        """Run a command, or without one a shell, with this process's streams.

        Returns its exit code. `has_terminal`: whether the streams are a terminal. Raises
        DevenvError if the component is not a workload, has no pod that runs, or can't be reached.
        """
        require_workloads(self.session.profile, [component])
        pod = self._pod(component)
        place = Place(namespace_of(pod), name_of(pod), _container_of(pod))
        if not self._has_program(place, _SHELL):
            place = self._place_beside(component, pod, place, command)
        options = ["--stdin", "--tty"] if has_terminal else ["--stdin"]
        arguments = [*place.exec(*options), *(command or [_SHELL])]
        return self.kubectl.attach(arguments, has_terminal=has_terminal)

    def _pod(self, name: str) -> Manifest:
        """Return a pod of the component that runs, a ready one if there is any."""
        profile, kube = self.session.profile, self.session.kube
        component = next(each for each in profile.components if each.name == name)
        kind, version = component.resource.kind, component.resource.api_version
        objects = {
            kind: tuple(kube.select(version, kind)),
            "Pod": tuple(kube.select("v1", "Pod")),
        }
        pairs = component_pods(profile, objects)
        pods = [pod for owner, pod in pairs if owner.name == name and _is_running(pod)]
        if not pods:
            cluster = self.session.cluster
            raise DevenvError(
                f"The component {name} has no pod that runs.",
                next_step=f"`devenv status --name {cluster}` shows what it is waiting for.",
                exit_code=Exit.FAILED,
            )
        return max(pods, key=is_ready)

    def _has_program(self, place: Place, program: str) -> bool:
        """Whether a container can run a program. Raises DevenvError if that can't be told."""
        completed = self.kubectl.run([*place.exec(), program, "-c", ":"])
        if not completed.failed:
            return True
        if _NO_PROGRAM.search(completed.output):
            return False
        raise DevenvError(
            f"Nothing can be run in the pod {place.namespace}/{place.pod}.",
            completed.output.strip(),
            f"`devenv doctor --name {self.session.cluster}` finds out why.",
        )

    def _place_beside(self, component: str, pod: Manifest, place: Place, command: Names) -> Place:
        """Return the ephemeral container, unless only the component's image has the program."""
        beside = self._ephemeral_place(pod, place)
        if command and not self._finds(beside, command[0]):
            return place
        self.session.reporter.say(
            f"The image of {component} has no shell, so this runs in a container of busybox in the"
            f" same pod. It sees {component}'s processes, and its files under /proc/1/root."
        )
        return beside

    def _finds(self, place: Place, program: str) -> bool:
        """Whether a container with a shell has a program. Its name is an argument, not a script."""
        look = [_SHELL, "-c", _PROGRAM_LOOK, _SHELL, program]
        return not self.kubectl.run([*place.exec(), *look]).failed

    def _ephemeral_place(self, pod: Manifest, place: Place) -> Place:
        """Return an ephemeral container beside the component's that runs; add one if needed."""
        names = _ephemeral_names(pod)
        for name in names:
            if not _ephemeral_trouble(pod, name):
                return Place(place.namespace, place.pod, name)
        name = f"{_CONTAINER}-{len(names) + 1}"
        self._add(place, name)
        new_place = Place(place.namespace, place.pod, name)
        self._await(new_place)
        return new_place

    def _add(self, place: Place, name: str) -> None:
        images = [image.ref for image in self.session.profile.images if image.name == _IMAGE_NAME]
        arguments = [
            "debug",
            f"--namespace={place.namespace}",
            place.pod,
            f"--image={next(iter(images), _IMAGE)}",
            "--image-pull-policy=IfNotPresent",
            f"--target={place.container}",
            f"--container={name}",
            "--profile=general",
            "--attach=false",
            "--quiet",
        ]
        completed = self.kubectl.run([*arguments, "--", "sleep", _SLEEP])
        if completed.failed:
            what = f"The pod {place.namespace}/{place.pod} refused an ephemeral container."
            fix = f"Look at it: `devenv kubectl -n {place.namespace} describe pod {place.pod}`."
            raise DevenvError(what, completed.output.strip(), fix)

    def _await(self, place: Place) -> None:
        session = self.session

        def find_missing() -> str:
            pod = session.kube.get("v1", "Pod", place.namespace, place.pod)
            return _ephemeral_trouble(pod, place.container) if pod else "the pod"

        deadline = Deadline(session.clock, _START_SECONDS)
        hint = f"`devenv up --name {session.cluster}` loads the image if the node lacks it."
        until(f"The ephemeral container {place.container}", find_missing, deadline, hint)


def _is_running(pod: Manifest) -> bool:
    return status_of(pod).get("phase") == "Running"


def _container_of(pod: Manifest) -> str:
    """Return the container that kubectl would choose, too."""
    default = annotations_of(pod).get(_DEFAULT_CONTAINER)
    if default:
        return str(default)
    containers: Sequence[Manifest] = items_of(fields_of(pod, "spec"), "containers")
    return str(containers[0]["name"])


def _ephemeral_names(pod: Manifest) -> list[str]:
    """Return the names of devenv's ephemeral containers in a pod, running or not."""
    containers: Iterable[Manifest] = items_of(fields_of(pod, "spec"), "ephemeralContainers")
    names = [str(container["name"]) for container in containers]
    return [name for name in names if name.startswith(_CONTAINER)]


def _ephemeral_trouble(pod: Manifest, name: str) -> str:
    """Return why an ephemeral container does not run, "" if it does."""
    for status in items_of(status_of(pod), "ephemeralContainerStatuses"):
        if status.get("name") != name:
            continue
        state = fields_of(status, "state")
        if "running" in state:
            return ""
        details = fields_of(state, "waiting") or fields_of(state, "terminated")
        words = (str(details.get("reason") or ""), str(details.get("message") or ""))
        return ": ".join(filter(None, words)) or "its start"
    return "its start"
