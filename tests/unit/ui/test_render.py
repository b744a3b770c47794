"""The shape of `-o json` is a promise. A change here is a new version."""

import json

from devenv.ui import console, render


def test_every_result_comes_in_one_envelope():
    assert json.loads(render.envelope("x", {"a": 1})) == {
        "version": 1,
        "kind": "x",
        "result": {"a": 1},
    }


def test_a_pipe_cuts_nothing(capsys):
    console.result().print("x" * 400)
    assert capsys.readouterr().out == "x" * 400 + "\n"
