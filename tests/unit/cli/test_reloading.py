"""Rounds of `reload-image --watch`."""

import json

import pytest

from devenv.base.errors import DevenvError, Exit
from devenv.cli.reloading import watch
from devenv.reload.reload import Result
from devenv.reload.rollout import Renewed

RESULT = Result("c", (), Renewed((), ()), {"move": 1.0})
FAILURE = DevenvError("broken", exit_code=Exit.PREREQUISITE)


class Changes:
    """A world in which one file changes twice."""

    def changes(self, _paths):
        yield from ([], ["a.go"])


@pytest.fixture
def run(capsys):
    def call(*rounds, output):
        outcomes = iter(rounds)

        def reload():
            outcome = next(outcomes)
            if isinstance(outcome, DevenvError):
                raise outcome
            return outcome

        code = watch(Changes(), reload, [], output)
        return code, *capsys.readouterr()

    return call


def test_each_round_is_a_line_of_json_and_one_that_fails_too(run):
    code, out, err = run(FAILURE, RESULT, output="json")
    documents = [json.loads(line) for line in out.splitlines()]
    assert [document["kind"] for document in documents] == ["error", "reload-image"]
    assert documents[0]["result"]["error"] == "broken"
    assert documents[1]["result"]["changed"] == ["a.go"]
    assert (code, err) == (Exit.OK, "")


def test_the_last_round_gives_the_exit_code(run):
    code, out, err = run(RESULT, FAILURE, output="text")
    assert code == Exit.PREREQUISITE
    assert "broken" in err
    assert len(out.splitlines()) == 1
