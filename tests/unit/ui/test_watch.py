"""A watch in a pipe."""

import json

from devenv.ui.render import print_changes
from devenv.ui.watch import watch


def test_a_watch_in_a_pipe_prints_changes_alone(capsys):
    watch([["a", "b"], ["a", "b"], ["a", "c"]])
    assert capsys.readouterr().out == "a\nb\na\nc\n"
    print_changes("status", [{"n": 1}, {"n": 1}, {"n": 2}])
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["result"]["n"] for line in lines] == [1, 2]
