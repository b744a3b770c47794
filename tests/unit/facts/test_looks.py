from threading import Event

import pytest

from devenv.adapters.clock import SystemClock
from devenv.base.errors import DevenvError, NotReachableError
from devenv.facts.looks import Looks


def test_what_hangs_is_unknown_and_keeps_nobody_waiting():
    never, looks = Event(), Looks(SystemClock(), 5, 0.05)
    looks.begin("hangs", never.wait)
    looks.begin("answers", lambda: 42)
    assert looks.get("hangs", None) is None
    assert looks.get("answers", 0) == 42
    assert set(looks.unknown) == {"hangs"}
    never.set()


def test_a_look_may_have_a_limit_of_its_own():
    slow, looks = Event(), Looks(SystemClock(), 5, 0.01)
    looks.begin("slow", lambda: slow.wait(0.05) or 42, 5)
    assert looks.get("slow", 0) == 42


def test_all_together_have_one_limit():
    never, looks = Event(), Looks(SystemClock(), 0.05, 60)
    looks.begin("hangs", never.wait)
    assert looks.get("hangs", "nothing") == "nothing"
    never.set()


@pytest.mark.parametrize(
    "error",
    [
        DevenvError("refused", "because"),
        NotReachableError("silent"),
        KeyError("shape"),
        ValueError("shape"),
    ],
)
def test_what_fails_is_unknown_with_the_reason(error):
    def fail() -> int:
        raise error

    looks = Looks(SystemClock(), 5, 5)
    looks.begin("fails", fail)
    assert looks.get("fails", 0) == 0
    assert any(word in looks.unknown["fails"] for word in ("refused: because", "silent", "shape"))
