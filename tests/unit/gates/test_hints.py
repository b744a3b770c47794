"""What a user is told to change in a request that gateway-plugins refuses."""

import pytest

from devenv.base.errors import NotReachableError
from devenv.data import root
from devenv.gates.hints import Hints
from devenv.ports.gateway import HttpAnswer
from devenv.profiles.load import load
from devenv.profiles.model import LiveRequest, Route
from devenv.profiles.variant import Variant

PROFILES = root() / "profiles"
MODEL = "llama2-7b"
# As AIBrix from v0.6.0 on, and as it did before.
UNKNOWN = HttpAnswer(400, {"x-error-routing": "true"}, "incorrect routing strategy x")
UNKNOWN_EARLY = HttpAnswer(400, {"x-error-invalid-routing-strategy": "x"}, "")
NO_TARGET = HttpAnswer(503, {"x-error-routing": "true"}, "error on selecting target pod")


def asked(strategy, route=Route.EXTENSION):
    return LiveRequest(route=route, model=MODEL, strategy=strategy)


@pytest.fixture
def hints(fakes):
    """Hints of a profile: those for AIBrix's releases by their version."""

    def of(profile="aibrix", version=""):
        return Hints(fakes.kube, load(profile, PROFILES, Variant(version=version)))

    return of


@pytest.mark.parametrize("answer", [UNKNOWN, UNKNOWN_EARLY])
def test_an_unknown_strategy_lists_those_of_the_version(hints, answer, check_message):
    (hint,) = hints(version="v0.3.0").of(asked("pd"), answer)
    check_message(hint)


def test_the_stand_in_has_one_strategy(hints, check_message):
    (hint,) = hints("offline").of(asked("pd"), UNKNOWN)
    check_message(hint)


def test_without_a_list_the_strategy_of_all_versions_is_named(hints, check_message):
    of_profile = hints("offline")
    bare = of_profile.profile.model_copy(update={"strategies": ()})
    (hint,) = Hints(of_profile.kube, bare).of(asked("x"), UNKNOWN)
    check_message(hint)


def test_pd_without_prefill_pods(hints, check_message):
    (hint,) = hints().of(asked("pd"), NO_TARGET)
    check_message(hint)


@pytest.fixture
def prefill_pods(fakes, monkeypatch):
    """Pods that the API server lists for the label of prefill, by the models that they name."""
    models = []

    def select(api_version, kind, namespace="", selector=""):
        assert (kind, selector) == ("Pod", "role-name=prefill")
        labels = [{"model.aibrix.ai/name": model} for model in models]
        return [{"metadata": {"name": "p", "labels": each}} for each in labels]

    monkeypatch.setattr(fakes.kube, "select", select)
    return models


@pytest.mark.parametrize(("models", "count"), [([], 1), (["other"], 1), ([MODEL, "other"], 0)])
def test_pd_with_prefill_pods_failed_for_another_reason(hints, prefill_pods, models, count):
    prefill_pods += models
    assert len(hints().of(asked("pd"), NO_TARGET)) == count


def test_what_can_not_be_read_is_not_blamed(hints, fakes, monkeypatch):
    def fail(*_, **__):
        raise NotReachableError("no answer")

    monkeypatch.setattr(fakes.kube, "select", fail)
    assert hints().of(asked("pd"), NO_TARGET) == []


@pytest.mark.parametrize(
    ("live", "answer"),
    [
        (asked("random"), NO_TARGET),
        (asked("pd"), HttpAnswer(503, {}, "no healthy upstream")),
        (asked("random"), HttpAnswer(400, {}, "model x does not exist")),
        (asked("random"), HttpAnswer(200, {}, "incorrect routing strategy")),
        (asked("random", Route.PLAIN), UNKNOWN),
    ],
)
def test_other_failures_have_no_hint(hints, live, answer):
    assert hints().of(live, answer) == []
