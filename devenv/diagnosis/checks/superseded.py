"""Pods that run on with an image whose name a newer one has taken.

A reload restarts workloads. Pods that no workload made keep the image that they started with.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from devenv.base.image_names import normalise
from devenv.diagnosis import keys
from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.commands import kubectl_command
from devenv.diagnosis.loose_pods import LoosePods, loose_pods
from devenv.diagnosis.manifests import created_at
from devenv.diagnosis.model import Command, Evidence, Finding, Subject
from devenv.diagnosis.workloads import all_workloads
from devenv.facts.model import Facts
from devenv.facts.objects import full_name, items_of, name_of, status_of
from devenv.images.nodes.containerd import kept_name
from devenv.ports.kube import Manifest


@dataclass(frozen=True)
class _RunningImage:
    """What a container runs: the image's name in the nodes, and the digest of its config."""

    name: str
    digest: str


@check
def find_superseded_images(facts: Facts) -> Iterator[Finding]:
    """DE316: a pod runs the image that had its image's name before a reload."""
    current_images = _images_of_workloads(facts)
    for pods in loose_pods(facts):
        evidence: dict[str, Evidence] = {}
        for pod in pods.pods:
            for image in _superseded_images(facts, pod):
                if image not in current_images:
                    evidence[name_of(pod)] = _evidence(pod, image)
        if evidence:
            yield _superseded(pods, evidence)


def _images_of_workloads(facts: Facts) -> set[_RunningImage]:
    """Return what the workloads' newest pods run: while an image is undone, its name moves."""
    images: set[_RunningImage] = set()
    for workload in all_workloads(facts):
        for pod in workload.newest_pods:
            images.update(_running_images(pod))
    return images


def _running_images(pod: Manifest) -> Iterator[_RunningImage]:
    digests: dict[str, str] = {}
    for status in items_of(status_of(pod), "containerStatuses"):
        digests[str(status["name"])] = str(status.get("imageID") or "")
    for container in items_of(pod["spec"], "containers"):
        digest = digests.get(str(container["name"]))
        if digest:
            yield _RunningImage(normalise(str(container.get("image"))), digest)


def _superseded_images(facts: Facts, pod: Manifest) -> Iterator[_RunningImage]:
    """Yield the images of a pod that its node keeps under a superseded image's name only.

    A node has these names for as long as a pod runs the image, or `--undo` returns to it.
    """
    names: Iterable[str] = ()
    for node in facts.nodes:
        if node.name == pod["spec"].get("nodeName"):
            names = node.images or ()
    for image in _running_images(pod):
        if image.name in names and kept_name(image.digest) in names:
            yield image


def _evidence(pod: Manifest, image: _RunningImage) -> Evidence:
    text = f"runs {image.digest}, of which the node keeps no name but {kept_name(image.digest)}"
    return Evidence(f"pod {full_name(pod)}", f"{text}; {image.name} is newer", created_at(pod))


def _superseded(pods: LoosePods, evidence: dict[str, Evidence]) -> Finding:
    """Return the finding. `evidence`: by the names of the pods."""
    names = ", ".join(evidence)
    owner = f"{pods.kind} {pods.full_name}"
    sentence = f"Pods of {owner} still run an image from before a reload: {names}."
    if pods.is_bare:
        sentence = f"{owner}, which nothing replaces, still runs an image from before a reload."
    about = frozenset({keys.object_of(pods.kind, pods.full_name)})
    return Finding(
        code="DE316",
        subject=Subject(pods.kind, pods.full_name),
        says=sentence,
        evidence=tuple(evidence.values()),
        fix=(_renewal(pods, list(evidence)),),
        about=about,
        affects=about,
    )


def _renewal(pods: LoosePods, names: list[str]) -> Command:
    """Return the command by which new pods take the place of these: an owner makes them itself."""
    if not pods.is_bare:
        return pods.kubectl("delete", "pod", *names)
    get = pods.kubectl("get", pods.target, "-o", "json")
    replace = kubectl_command(pods.facts, pods.namespace, "replace", "--force", "-f", "-")
    return Command((*get.words, "|", *replace.words))
