"""Objects of the profile that differ from its manifests, where nothing else explains a failure.

A user may have changed an object on purpose, so that a difference alone is no fault.
"""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

from devenv.diagnosis import keys
from devenv.diagnosis.commands import recover
from devenv.diagnosis.differences import Difference, differences
from devenv.diagnosis.keys import Key
from devenv.diagnosis.model import Cause, Confidence, Finding, Joint, Place, Subject
from devenv.diagnosis.roles import effects_of_failure
from devenv.diagnosis.workloads import Workload
from devenv.facts.labels import asked_models
from devenv.facts.model import WORKLOADS, Declared, Facts
from devenv.facts.objects import full_name
from devenv.ports.kube import Manifest
from devenv.profiles.model import Route

# Codes of failures that only show that something before them is wrong.
SYMPTOMS = frozenset({"DE410", "DE411", "DE413", "DE414", "DE501", "DE601", "DE605"})
# What may fail with an object that all requests may need.
_EVERYTHING = keys.ALL_ROUTES | keys.FILTERED | keys.PATCHED
_PLACES = {
    "EnvoyPatchPolicy": Place.ROUTE,
    "EnvoyExtensionPolicy": Place.FILTER,
    "HTTPRoute": Place.ROUTE,
    "Service": Place.ROUTE,
}


def drifted_objects(facts: Facts, causes: Iterable[Cause]) -> Iterator[Finding]:
    """DE419: an object on the way of a failure that nothing explains is not the profile's.

    `causes`: the root causes without these findings.
    """
    about: set[Key] = set()
    named: set[Key] = set()
    for cause in causes:
        if cause.root.code in SYMPTOMS:
            about |= cause.root.about
        else:
            named |= cause.root.about
    if not about:
        return
    for difference in differences(facts):
        declared, live = difference.declared, difference.live
        # A root cause is about it already.
        is_named = keys.object_of(declared.kind, full_name(live)) in named
        affected = _affected(facts, declared, live)
        if affected & about and not is_named:
            yield _finding(facts, difference, affected)


def _affected(facts: Facts, declared: Declared, live: Manifest) -> AbstractSet[Key]:
    """Return the keys of what may fail with an object."""
    kind = declared.kind
    if kind == "EnvoyPatchPolicy":
        return keys.PATCHED
    if kind == "EnvoyExtensionPolicy":
        return keys.FILTERED
    if kind == "HTTPRoute" and (models := asked_models(dict(declared.content))):
        routes = keys.routes((Route.DIRECT, Route.PLAIN))
        return routes.union(*map(keys.through_http_route, models))
    if kind in WORKLOADS:
        effects = effects_of_failure(Workload(facts, kind, live))
        # The difference may hide what the workload does for requests.
        return effects if effects & keys.ALL_ROUTES else effects | _EVERYTHING
    return _EVERYTHING


def _finding(facts: Facts, difference: Difference, affected: AbstractSet[Key]) -> Finding:
    kind, name = difference.declared.kind, full_name(difference.live)
    source, rest = difference.source, "and nothing else explains the failure."
    return Finding(
        code="DE419",
        subject=Subject(kind, name),
        says=f"{source} is not as the profile has it, {rest}",
        joint=Joint(source, f"{{}} are not as the profile has them, {rest}"),
        evidence=tuple(difference.evidence()),
        fix=recover(facts),
        confidence=Confidence.LIKELY,
        about=frozenset({keys.object_of(kind, name)}),
        affects=frozenset(affected),
        place=_PLACES.get(kind),
    )
