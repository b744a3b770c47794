"""What installing reads of several Kubernetes objects, or of one object's labels."""

from collections.abc import Iterable
from itertools import filterfalse

from devenv.facts.labels import is_ready
from devenv.facts.objects import labels_of, name_of
from devenv.ports.kube import Manifest


def names_of(objects: Iterable[Manifest]) -> list[str]:
    """Return the objects' names, in their order."""
    return [name_of(obj) for obj in objects]


def label_of(obj: Manifest, label: str) -> str:
    """Return the value of a label, "" if the object does not have it."""
    return str(labels_of(obj).get(label) or "")


def unready_pods(pods: Iterable[Manifest]) -> list[Manifest]:
    """Return the pods whose condition Ready is not true."""
    return list(filterfalse(is_ready, pods))
