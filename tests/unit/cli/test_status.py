import json
import re

import pytest

from devenv.base.errors import DevenvError, Exit
from devenv.cli import status as command
from devenv.cluster.status_watch import Reading
from devenv.ui import watch as screens
from tests.unit.ui.test_status import NOW, STATUS

# As this machine's zone has it.
TIME = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", re.MULTILINE)
NO_ENGINE = DevenvError("No engine.", "why", "Start it.", Exit.PREREQUISITE)


class Watch:
    """Yields readings, then is interrupted, as a user does it."""

    def __init__(self, *states) -> None:
        self.states = states
        self.everything = None

    def readings(self, *, everything):
        self.everything = everything
        for state in self.states:
            yield Reading(NOW, state)
        raise KeyboardInterrupt


def test_a_watch_goes_on_where_a_look_fails_and_ends_as_the_last_look_says(capsys):
    watch = Watch(STATUS, STATUS, NO_ENGINE, STATUS)
    assert command._watch(watch, "json") == Exit.UNKNOWN
    results = [json.loads(line)["result"] for line in capsys.readouterr().out.splitlines()]
    assert ["error" in result for result in results] == [False, True, False]


def test_a_watch_in_a_pipe_says_what_failed_and_sends_no_requests(capsys, check_message):
    watch = Watch(STATUS, NO_ENGINE)
    assert command._watch(watch, "text") == Exit.PREREQUISITE
    assert watch.everything is False
    check_message(TIME.sub("TIME", capsys.readouterr().out))


def test_a_watch_that_was_interrupted_at_once_knows_nothing():
    assert command._watch(Watch(), "json") == Exit.UNKNOWN


@pytest.mark.parametrize("state", [STATUS, NO_ENGINE])
def test_a_screen_leaves_its_last_round_behind(capsys, monkeypatch, state):
    shown = []
    monkeypatch.setattr(screens, "has_screen", lambda: True)
    monkeypatch.setattr(screens, "show_screens", shown.extend)
    watch = Watch(STATUS, state)
    code = command._watch(watch, "text")
    assert watch.everything is True
    assert len(shown) == 2
    text = "No engine." if state is NO_ENGINE else "proxy"
    assert text in capsys.readouterr().out
    assert code == (Exit.PREREQUISITE if state is NO_ENGINE else Exit.UNKNOWN)
