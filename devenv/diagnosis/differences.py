"""Objects of the profile that differ from its manifests, as far as facts hold both."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from devenv.diagnosis.changes import Change, changes_of
from devenv.diagnosis.concern import concerned
from devenv.diagnosis.model import Cause, Evidence
from devenv.facts.model import WORKLOADS, Declared, Facts
from devenv.facts.objects import full_name
from devenv.ports.kube import Manifest

# What devenv itself changes in workloads, or has codes of its own for.
_OTHERWISE_JUDGED = (".image", "spec.replicas")
# Changes of one root cause that its evidence shows.
_SHOWN = 5


@dataclass(frozen=True)
class Difference:
    """A live object, what the profile has of it, and the fields that differ."""

    declared: Declared
    live: Manifest
    changes: tuple[Change, ...]

    @property
    def source(self) -> str:
        """What evidence calls the object."""
        return f"{self.declared.kind} {full_name(self.live)}"

    @property
    def manifest(self) -> Manifest:
        """The profile's object."""
        return _manifest(self.declared)

    def evidence(self) -> Iterator[Evidence]:
        """Yield each field with its live value and the profile's."""
        for change in self.changes:
            yield Evidence(self.source, _spell(change))


def differences(facts: Facts) -> Iterator[Difference]:
    """Yield the objects that differ. A workload's image and number of pods don't count."""
    for declared in facts.declared or ():
        live = facts.one(declared.kind, declared.namespace, declared.name)
        if live is None or not declared.content:
            continue
        changes = tuple(_judged_changes(declared, live))
        if changes:
            yield Difference(declared, live, changes)


def _judged_changes(declared: Declared, live: Manifest) -> Iterator[Change]:
    for change in changes_of(_manifest(declared), live):
        is_judged_elsewhere = change.path.endswith(_OTHERWISE_JUDGED)
        if not (declared.kind in WORKLOADS and is_judged_elsewhere):
            yield change


def _manifest(declared: Declared) -> Manifest:
    metadata = {"namespace": declared.namespace, "name": declared.name}
    return {"metadata": metadata, **declared.content, "kind": declared.kind}


def _spell(change: Change) -> str:
    if change.is_hidden:
        return f"{change.path} differs from the profile"
    live, desired = change.live or "missing", change.desired or "nothing"
    return f"{change.path} is {live}; the profile has {desired}"


def with_differences(facts: Facts, cause: Cause) -> Cause:
    """Return a root cause whose evidence shows what of the objects that it is about differs."""
    root = cause.root
    shown = {(piece.source, piece.text) for piece in root.evidence}
    more: list[Evidence] = []
    for difference in differences(facts):
        if concerned(difference.manifest, root.about, facts.profile):
            more += [e for e in difference.evidence() if (e.source, e.text) not in shown]
    return replace(cause, root=replace(root, evidence=(*root.evidence, *more[:_SHOWN])))
