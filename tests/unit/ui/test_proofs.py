"""The shape of `-o json` is a promise. A change here is a new version."""

from dataclasses import replace

from devenv.profiles.model import Route
from devenv.ui import console, proofs
from tests.unit.ui.proofs import BROKEN, NO_TARGET, PROOF, PROOF_JSON


def test_shape_of_a_request_whose_line_is_not_there_yet(check_message):
    shape = proofs.proof_shape(BROKEN)
    assert shape["access_log"] is None
    assert shape["ok"] is False
    assert shape["answer"]["obstacle"] == "refused"
    check_message("\n".join(shape["failures"]))


def test_shape_of_a_proof():
    assert proofs.proof_shape(PROOF) == PROOF_JSON


def test_one_cause_for_three_routes_is_one_line(capsys, check_message):
    routes = (Route.DIRECT, Route.PLAIN, Route.MODELS)
    refused = [replace(BROKEN, name=route.value, route=route) for route in routes]
    proofs.print_proofs(console.result(), [*refused, PROOF])
    check_message(capsys.readouterr().out)


def test_an_error_is_told_with_its_body(check_message):
    check_message(proofs.proof_line([NO_TARGET]))
