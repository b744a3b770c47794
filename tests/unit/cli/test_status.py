import json

from devenv.base.errors import DevenvError, Exit
from devenv.cli.status import _watch
from tests.unit.ui.test_status import STATUS


class Reader:
    def __init__(self, *looks) -> None:
        self.looks = list(looks)

    def read(self):
        look = self.looks.pop(0)
        if isinstance(look, BaseException):
            raise look
        return look


def until_empty(reader: Reader):
    def sleep(_seconds: float) -> None:
        if not reader.looks:
            raise KeyboardInterrupt

    return sleep


def test_a_watch_goes_on_where_a_look_fails_and_ends_as_the_last_look_says(capsys):
    reader = Reader(STATUS, STATUS, DevenvError("broken", exit_code=Exit.PREREQUISITE), STATUS)
    assert _watch(reader, until_empty(reader), "json") == Exit.UNKNOWN
    results = [json.loads(line)["result"] for line in capsys.readouterr().out.splitlines()]
    assert [r.get("error", "status") for r in results] == ["status", "broken", "status"]


def test_a_watch_as_text_says_what_failed(capsys, check_message):
    reader = Reader(STATUS, DevenvError("No engine.", "why", "Start it.", Exit.PREREQUISITE))
    assert _watch(reader, until_empty(reader), "text") == Exit.PREREQUISITE
    out = capsys.readouterr().out
    check_message(out)
