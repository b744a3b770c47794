"""The request of `devenv request`."""

import pytest

from devenv import data
from devenv.base.errors import DevenvError, Exit
from devenv.gates.single import Question, requests_by_all_routes, single_request
from devenv.profiles.load import load
from devenv.profiles.model import Route
from devenv.profiles.variant import Variant

PROFILES = data.root() / "profiles"


def ask(profile, route, model=None, headers=None):
    question = Question(model or "", headers=headers or {}, stream=True)
    return single_request(profile, route, question)


def test_it_asks_the_profiles_first_model():
    live = ask(load("offline", PROFILES), Route.EXTENSION)
    assert (live.model, live.strategy, live.stream) == ("llama2-7b", "random", True)
    assert ask(load("offline", PROFILES), Route.DIRECT, "other").model == "other"


def test_the_list_of_models_needs_a_request_of_the_profile():
    with pytest.raises(DevenvError) as error:
        ask(load("offline", PROFILES), Route.MODELS)
    assert error.value.exit_code == Exit.USAGE
    with_service = load("aibrix", PROFILES, Variant(options=("metadata-service",)))
    assert ask(with_service, Route.MODELS).route is Route.MODELS


def test_a_series_asks_by_the_routes_of_the_profile():
    offline = load("offline", PROFILES)
    three = [Route.DIRECT, Route.EXTENSION, Route.PLAIN]
    live = requests_by_all_routes(offline, Question("other", "pd"))
    assert [each.route for each in live] == three
    assert {(each.model, each.strategy) for each in live} == {("other", "pd")}
    with_service = load("aibrix", PROFILES, Variant(options=("metadata-service",)))
    live = requests_by_all_routes(with_service, Question())
    assert {each.route for each in live} == {*three, Route.MODELS}
