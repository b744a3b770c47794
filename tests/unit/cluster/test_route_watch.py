"""The live requests of `status --watch`."""

from dataclasses import replace
from types import SimpleNamespace

from devenv.base.errors import NotReachableError
from devenv.cluster.route_watch import RouteWatch
from tests.unit.ui.proofs import BROKEN, PROOF


class Prober:
    profile = SimpleNamespace(requests=())

    def __init__(self, *rounds) -> None:
        self.rounds = list(rounds)

    def probe(self, _requests, timeout):
        assert timeout > 0
        answer = self.rounds.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def answered(seconds):
    return replace(PROOF, answer=replace(PROOF.answer, seconds=seconds))


def test_each_route_has_its_latencies_and_failures():
    watch = RouteWatch(Prober([answered(0.1), BROKEN], [answered(0.3), BROKEN], [answered(0.2)]))
    assert watch.routes == ()
    for _ in range(3):
        watch.probe()
    extension, direct = watch.routes
    assert (extension.sent, extension.failed, extension.median, extension.worst) == (3, 0, 0.2, 0.3)
    assert extension.proof.answer.seconds == 0.2
    assert (direct.sent, direct.failed, direct.latencies, direct.worst) == (2, 2, (), 0.0)


def test_a_round_that_could_not_be_sent_is_told_until_the_next():
    watch = RouteWatch(Prober(NotReachableError("No API server."), [PROOF]))
    watch.probe()
    assert watch.problem == "No API server."
    watch.probe()
    assert (watch.problem, len(watch.routes)) == ("", 1)


def test_a_watch_that_was_stopped_sends_nothing():
    watch = RouteWatch(Prober())
    watch.stop()
    watch._repeat()
