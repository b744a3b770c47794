"""What a recovery is about to do, from a look at the cluster or from facts alone."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from devenv.diagnosis.model import Diagnosis
from devenv.disk.prune import Proposal as RoomProposal
from devenv.facts.collect import API, CRD
from devenv.facts.model import Declared, Facts
from devenv.ports.kube import Manifest
from devenv.profiles.model import Profile
from devenv.recovery.drift import Drift, ReadObject, concerning, to_put_back
from devenv.recovery.plan import Kind, Plan, plan


@dataclass(frozen=True)
class Proposal:
    """What is about to be done: the plan, and exactly what its steps delete and put back."""

    diagnosis: Diagnosis
    plan: Plan
    # One for each step that frees space, in the plan's order; none if only facts were asked.
    room: tuple[RoomProposal, ...] = ()
    drifts: tuple[Drift, ...] = ()
    # Whether the objects could be compared with the profile's manifests.
    is_compared: bool = True

    def removals_on(self, node: str) -> RoomProposal:
        """Return what the step that frees space on a node deletes."""
        return self.room[self.plan.targets(Kind.ROOM).index(node)]


def of_facts(facts: Facts, diagnosis: Diagnosis) -> Proposal:
    """Return what `recover` would do, as far as the facts tell. Pure.

    They hold no values of variables and no volumes, and not who has written to an object. Facts of
    older versions do not hold what the manifests say, so that only missing objects show.
    """
    declared = [d for d in facts.declared or () if d.kind in facts.objects and facts.knows(d.kind)]
    owned_deployments = [_where(d) for d in facts.declares("Deployment")]

    def read(_: str, kind: str, namespace: str, name: str) -> Manifest | None:
        return facts.one(kind, namespace, name)

    repair_plan, drifts = planned(
        diagnosis,
        facts.profile,
        owned_deployments if facts.knows(API) else (),
        read,
        lambda: list(map(_manifest, declared)),
    )
    is_compared = any(d.content for d in declared)
    return Proposal(diagnosis, repair_plan, (), drifts, is_compared)


def planned(
    diagnosis: Diagnosis,
    profile: Profile,
    owned_deployments: Iterable[str],
    read: ReadObject,
    manifests: Callable[[], Sequence[Manifest]],
) -> tuple[Plan, tuple[Drift, ...]]:
    """Return the plan and what it puts back.

    Only a plan that may put something back reads the objects; it then is made again, since some
    repairs depend on what has drifted.
    """
    owned = frozenset(owned_deployments)
    first_plan = plan(diagnosis, profile, owned, lambda _: True)
    if not first_plan.targets(Kind.PUT_BACK):
        return plan(diagnosis, profile, owned), ()
    roots = [cause.root for cause in diagnosis.causes]
    drifts = to_put_back(read, manifests(), roots, profile)
    return plan(diagnosis, profile, owned, concerning(drifts, profile)), drifts


def _where(declared: Declared) -> str:
    return f"{declared.namespace}/{declared.name}"


def _manifest(declared: Declared) -> Manifest:
    """Return an object of the manifests, as far as facts hold it."""
    metadata = {"namespace": declared.namespace, "name": declared.name}
    manifest: Manifest = {"apiVersion": "", "kind": declared.kind, "metadata": metadata}
    if declared.kind == CRD:
        group = declared.name.partition(".")[2]
        return {**manifest, "spec": {"group": group, "names": {"kind": declared.defines}}}
    return {**manifest, **declared.content}
