from devenv.base.errors import Exit, LockedError, NotReachableError
from devenv.base.wait import Deadline, StoppableClock, locked, until
from tests.fakes.world import FakeClock


def test_it_ends_as_soon_as_nothing_is_missing():
    clock, answers = FakeClock(), iter(["a", "b", ""])
    until("it", lambda: next(answers), Deadline(clock, 60), pause=0.5)
    assert clock.time == 1001.0


def test_it_says_what_was_missing_last_and_how_to_look(expect_error):
    clock, looks = FakeClock(), []

    def missing():
        looks.append(clock.time)
        return f"the policy, look {len(looks)}"

    with expect_error(Exit.FAILED):
        until("The gateway", missing, Deadline(clock, 2), "kubectl describe it", pause=1)
    assert looks == [1000, 1001, 1002]


def test_work_that_was_given_up_is_waited_for_no_longer(expect_error):
    clock = StoppableClock(FakeClock())

    def missing():
        clock.stop()
        return "much"

    with expect_error(Exit.FAILED):
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


def test_a_lock_is_waited_for_and_its_holder_told_once(fakes, monkeypatch, check_message):
    said, free, real = [], iter([False, False, True]), fakes.host.lock

    def lock(name):
        if not next(free):
            raise LockedError("Locked.")
        return real(name)

    monkeypatch.setattr(fakes.host, "lock", lock)
    with locked(fakes.host, fakes.clock, "x", said.append):
        assert fakes.log == ["lock x"]
    assert fakes.log == ["lock x", "unlock x"]
    (notice,) = said
    check_message(notice)
