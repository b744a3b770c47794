import pytest

from devenv.errors import DevenvError, LockedError, NotReachableError
from devenv.wait import Deadline, StoppableClock, locked, until
from tests.fakes.world import FakeClock


def test_it_ends_as_soon_as_nothing_is_missing():
    clock, answers = FakeClock(), iter(["a", "b", ""])
    until("it", lambda: next(answers), Deadline(clock, 60), pause=0.5)
    assert clock.time == 1001.0


def test_it_says_what_was_missing_last_and_how_to_look():
    clock, looks = FakeClock(), []

    def missing():
        looks.append(clock.time)
        return f"the policy, look {len(looks)}"

    with pytest.raises(DevenvError) as caught:
        until("The gateway", missing, Deadline(clock, 2), "kubectl describe it", pause=1)
    assert caught.value.what == "The gateway was not ready within 2 s."
    assert caught.value.why == f"Still missing: the policy, look {len(looks)}"
    assert caught.value.next_step == "kubectl describe it"
    assert looks == [1000, 1001, 1002]


def test_work_that_was_given_up_is_waited_for_no_longer():
    clock = StoppableClock(FakeClock())

    def missing():
        clock.stop()
        return "much"

    with pytest.raises(DevenvError, match="Given up"):
        until("it", missing, Deadline(clock, 10_000))


def test_it_looks_once_even_when_no_time_is_left():
    until("it", lambda: "", Deadline(FakeClock(), 0))


def test_a_server_that_does_not_answer_is_still_missing():
    answers = iter([NotReachableError("no answer"), ""])

    def missing():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    until("it", missing, Deadline(FakeClock(), 60))


def test_a_lock_is_waited_for_and_its_holder_told_once(fakes, monkeypatch):
    said, free, real = [], iter([False, False, True]), fakes.host.lock

    def lock(name):
        if not next(free):
            raise LockedError("x is being changed by process 7.")
        return real(name)

    monkeypatch.setattr(fakes.host, "lock", lock)
    with locked(fakes.host, fakes.clock, "x", said.append):
        assert fakes.log == ["lock x"]
    assert fakes.log == ["lock x", "unlock x"]
    assert said == ["x is being changed by process 7. Waiting until that is done."]
