"""Whether pods run the images that their nodes got."""

from collections.abc import Mapping

from devenv.base.image_names import DigestsByName, normalise
from devenv.facts.collect import containers_in
from devenv.facts.objects import fields_of, items_of
from devenv.ports.kube import ContainerKey, Manifest

# Node → image name in the node → config digest of the image that its pods must run.
Expected = Mapping[str, DigestsByName]
# What every running container runs, as ProvenImages.running_images returns it.
RunningImages = Mapping[ContainerKey, str]


def all_digests(expected: Expected) -> DigestsByName:
    """Return the expected digest of each image name, whatever the node."""
    digests: dict[str, str] = {}
    for node_digests in expected.values():
        digests |= node_digests
    return digests


def _expected_digests(pod: Manifest, expected: Expected) -> DigestsByName:
    """Return the digests that are expected on the pod's node; of a pod without one, of any node."""
    node = fields_of(pod, "spec").get("nodeName")
    if node:
        return expected.get(node, {})
    return all_digests(expected)


def is_stale(
    spec: Manifest, pod: Manifest, running_images: RunningImages, expected: Expected
) -> bool:
    """Whether one of the pod's containers runs another image than is expected, or nothing.

    `spec`: the pod's, or the newest one in its workload's template.
    """
    digests = _expected_digests(pod, expected)
    init_names = {str(container["name"]) for container in items_of(spec, "initContainers")}
    for container in containers_in(spec):
        name = normalise(str(container.get("image")))
        running_digest = running_images.get((pod["metadata"]["uid"], container["name"]))
        has_ended = container["name"] in init_names and running_digest is None
        if name not in digests or has_ended:
            continue
        if running_digest != digests[name]:
            return True
    return False


def runs_anything(pod: Manifest, running_images: RunningImages) -> bool:
    """Whether any container of the pod runs."""
    return any(uid == pod["metadata"]["uid"] for uid, _ in running_images)
