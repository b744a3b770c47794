"""Whether something in the way of a program harms anything, or nothing needs it now."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from http import HTTPStatus

from devenv.diagnosis import keys
from devenv.diagnosis.failed_requests import all_failures
from devenv.diagnosis.keys import Key
from devenv.diagnosis.workloads import Workload
from devenv.facts.labels import is_ready
from devenv.facts.live import UNPROVEN
from devenv.facts.model import Facts
from devenv.facts.traffic import Maker


def suffers(facts: Facts, program: Workload | None, requests: AbstractSet[Key]) -> bool:
    """Whether a program is not ready, or none of the requests through it succeeds.

    `program`: None for the clients. `requests`: keys of routes or models.
    """
    if program is not None and not all(map(is_ready, program.newest_pods)):
        return True
    outcomes = list(_outcomes(facts, requests))
    if any(outcomes):
        # Some requests came through.
        return False
    return bool(outcomes) or _users_suffer(facts, requests)


def _outcomes(facts: Facts, requests: AbstractSet[Key]) -> Iterator[bool]:
    """Yield of each live request among `requests` whether it proved its route."""
    for proof, request in zip(facts.proofs, facts.profile.requests, strict=False):
        route, model = proof.route, request.model
        own_keys = {keys.route(route), keys.route(route, model), keys.model(model)}
        was_judged = proof.failures != (UNPROVEN,) and not proof.lasting
        if was_judged and own_keys & requests:
            yield proof.ok


def _users_suffer(facts: Facts, requests: AbstractSet[Key]) -> bool:
    for failures in all_failures(facts):
        is_fault = failures.group.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        own_keys = failures.keys | keys.models(failures.models)
        is_lasting = failures.maker is not Maker.CLIENT and not failures.is_over
        if is_fault and is_lasting and own_keys & requests:
            return True
    return False
