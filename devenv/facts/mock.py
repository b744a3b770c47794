"""devenv's mock model: it may be asked anything, since its answers cost no tokens."""

from collections.abc import Iterable

from devenv.facts.collect import containers_in, repository
from devenv.facts.objects import fields_of
from devenv.ports.kube import Manifest

# Its image, without the tag (images/vllm-mock).
MOCK = "devenv.local/vllm-mock"


def is_mock(pods: Iterable[Manifest]) -> bool:
    """Whether each of a model's pods runs devenv's mock, and there is at least one."""
    checks = [_runs_mock(pod) for pod in pods]
    return bool(checks) and all(checks)


def _runs_mock(pod: Manifest) -> bool:
    images = [
        str(container.get("image")) for container in containers_in(dict(fields_of(pod, "spec")))
    ]
    return any(repository(image) == MOCK for image in images)
