"""The shape of `-o json` is a promise. A change here is a new version."""

import json
from pathlib import Path

from devenv.ui.bugreport import archive, archive_shape, contents_text
from devenv.ui.render import render
from devenv.workstation.bugreport import Collected, MissingPart

COLLECTED = Collected("c", 1.8e9, {"b": "é", "a": ""}, (MissingPart("logs.txt", "no answer"),))
CONTENTS = {
    "contents": [{"name": "a", "size": 0}, {"name": "b", "size": 2}],
    "missing": [{"name": "logs.txt", "why": "no answer"}],
}


def test_shape_of_bugreport():
    assert archive_shape(COLLECTED, Path("x.tar.gz"), 9) == {
        "file": "x.tar.gz",
        "size": 9,
        **CONTENTS,
    }


def test_the_list_in_the_archive():
    document = json.loads(contents_text(COLLECTED))
    assert document["kind"] == "bugreport-contents"
    result = document["result"]
    assert sorted(result) == ["cluster", "contents", "devenv", "missing", "time"]
    assert {key: result[key] for key in CONTENTS} == CONTENTS


def test_what_is_missing_is_told_beside_the_name(capsys, check_message):
    render(archive(COLLECTED, Path("x.tar.gz"), 9), "text")
    out, err = capsys.readouterr()
    assert out == "x.tar.gz\n"
    check_message(err)
