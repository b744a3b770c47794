"""Which places on a request's way live requests came through."""

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.diagnosis.model import Place, PlaceState
from devenv.facts.live import REACHED
from devenv.facts.model import parse
from devenv.profiles.model import Route
from tests.paths import INCIDENTS

HEALTHY = parse((INCIDENTS / "healthy" / "facts.json").read_text())
LOGGED = {Place.CLIENT, Place.PORT, Place.ENVOY}
(DIRECT,) = [proof for proof in HEALTHY.proofs if proof.route is Route.DIRECT]


def proven(**changed):
    """The places that one live request proves."""
    proof = DIRECT.__class__(**{**vars(DIRECT), **changed})
    return diagnose(HEALTHY.model_copy(update={"proofs": (proof,)})).proven


@pytest.mark.parametrize(
    ("route", "passed_by"),
    [
        (Route.DIRECT, {Place.FILTER, Place.PLUGINS}),
        (Route.EXTENSION, set()),
        (Route.PLAIN, set()),
        (Route.MODELS, {Place.MODEL}),
    ],
)
def test_a_proof_proves_its_own_way(route, passed_by):
    assert proven(route=route) == set(Place) - passed_by


def answer(**headers):
    return DIRECT.answer.__class__(**{**vars(DIRECT.answer), "headers": headers})


def test_a_failed_request_proves_how_far_it_came():
    failed = {"failures": ("x",), "line": None, "answer": answer()}
    assert proven(**failed) == set()
    assert proven(**{**failed, "line": DIRECT.line}) == LOGGED
    assert proven(**{**failed, "answer": answer(**{REACHED: "true"})}) == LOGGED | {Place.FILTER}


def test_where_something_is_broken_is_broken_though_a_request_came_through():
    diagnosis = diagnose(parse((INCIDENTS / "aibrix-wrong-port" / "facts.json").read_text()))
    assert Place.MODEL in diagnosis.proven
    assert diagnosis.state_of(Place.MODEL) is PlaceState.BROKEN
    assert diagnosis.state_of(Place.FILTER) is PlaceState.PROVEN
