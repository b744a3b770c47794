"""The shape of `-o json` is a promise. A change here is a new version."""

import json

from devenv.ui import proofs
from devenv.ui.render import render
from tests.unit.ui.proofs import BROKEN, PROOF, PROOF_JSON


def test_shape_of_a_request_whose_line_is_not_there_yet(check_message):
    shape = proofs.proof_shape(BROKEN)
    assert shape["access_log"] is None
    assert shape["ok"] is False
    check_message("\n".join(shape["failures"]))


def test_text_says_that_the_log_lacks_the_line(capsys, check_message):
    render(proofs.request(BROKEN, "http://localhost:8888"), "text")
    told = capsys.readouterr().out
    check_message(told)


def test_json_says_the_same(capsys):
    render(proofs.request(PROOF, "http://localhost:8888"), "json")
    assert json.loads(capsys.readouterr().out) == {
        "version": 1,
        "kind": "request",
        "result": PROOF_JSON,
    }
