"""The reports of `request`. The shape of `-o json` is a promise: a change here is a new version."""

import json
from dataclasses import replace

import pytest

from devenv.diagnosis.model import Diagnosis
from devenv.facts.live import remedies
from devenv.facts.telling import error_message
from devenv.gates.series import FailureCount, RouteCount, SeriesResult
from devenv.ports.gateway import HttpAnswer
from devenv.profiles.model import Route
from devenv.ui import diagnosis, requests
from devenv.ui.render import render
from tests.unit.ui.proofs import BROKEN, NO_TARGET, PROOF, PROOF_JSON

UNHEALTHY, REFUSED = "no healthy upstream", "connection refused"
URL = "http://localhost:8888"
HEALTHY = Diagnosis("c", "offline", 9e8)
DIRECT = RouteCount(Route.DIRECT, 300, 0, 0.0051, 0.0402, is_failing=False)
PLAIN = RouteCount(Route.PLAIN, 299, 0, 0.0093, 0.0617, is_failing=False)
GOOD_SERIES = SeriesResult(30.02, 1, (DIRECT, PLAIN), (), 0)
FAILURES = (
    FailureCount(Route.DIRECT, "503", 3, 4.1, 4.4, UNHEALTHY),
    FailureCount(Route.PLAIN, "503", 2, 4.0, 4.1, UNHEALTHY),
    FailureCount(Route.PLAIN, "500", 1, 4.2, 4.2, ""),
    FailureCount(Route.PLAIN, "refused", 293, 4.5, 30.0, REFUSED),
)
BAD_SERIES = SeriesResult(
    30.02,
    2,
    (replace(DIRECT, failed=3), RouteCount(Route.PLAIN, 296, 296, None, None, is_failing=True)),
    FAILURES,
    1,
)
CUT_SERIES = replace(GOOD_SERIES, duration=12.3, unfinished=1, is_interrupted=True)


def json_of(report, capsys):
    render(report, "json")
    return json.loads(capsys.readouterr().out)


def text_of(report, capsys):
    render(report, "text")
    return capsys.readouterr().out


def test_json_of_a_request(capsys):
    assert json_of(requests.request(requests.Answered(PROOF), URL), capsys) == {
        "version": 1,
        "kind": "request",
        "result": {**PROOF_JSON, "text": "hello", "hints": [], "diagnosis": None},
    }


def test_json_of_a_request_that_failed(capsys):
    answered = requests.Answered(NO_TARGET, ("a hint",), HEALTHY)
    result = json_of(requests.request(answered, URL), capsys)["result"]
    assert result["text"] == error_message(NO_TARGET.answer.body)
    assert result["hints"] == ["a hint"]
    assert result["diagnosis"] == diagnosis.diagnosis_shape(HEALTHY)


def test_an_error_prints_its_body_once(capsys):
    told = text_of(requests.request(requests.Answered(NO_TARGET), URL), capsys)
    assert told.count("selecting") == 1
    assert told.count("503") == 1


def test_a_refused_connection_is_called_that_once(capsys):
    told = text_of(requests.request(requests.Answered(BROKEN), URL), capsys)
    assert told.count("refused") == 1
    assert len(told.splitlines()) == 1


def test_an_answer_that_took_another_route_is_shown_before_its_failures(capsys, check_message):
    wrong = replace(PROOF, failures=("Envoy took the route x instead of y",))
    check_message(text_of(requests.request(requests.Answered(wrong), URL), capsys))


def test_text_says_that_the_log_lacks_the_line(capsys, check_message):
    early = replace(PROOF, line=None, failures=("the access log does not have its line yet",))
    check_message(text_of(requests.request(requests.Answered(early), URL), capsys))


def test_what_a_user_must_change_is_a_hint(capsys):
    keyless = replace(BROKEN, answer=HttpAnswer(401), failures=("401, it has no API key",))
    result = json_of(requests.request(requests.Answered(keyless), URL), capsys)["result"]
    assert result["hints"] == remedies([keyless])


def test_markup_and_control_characters_of_a_model_do_nothing(capsys):
    odd = replace(PROOF, answer=HttpAnswer(200, {}, "[bold]a[/bold]\n\x1b[31mb :smile:"))
    first, second, *_ = text_of(requests.request(requests.Answered(odd), URL), capsys).splitlines()
    assert (first, second) == ("[bold]a[/bold]", "\N{REPLACEMENT CHARACTER}[31mb :smile:")


@pytest.mark.parametrize("body", ["a\n", "a", "data: x\n\n"])
def test_the_raw_body_is_as_it_came(capfdbinary, body):
    requests.print_body(replace(PROOF, answer=HttpAnswer(200, {}, body)))
    assert capfdbinary.readouterr().out.decode() == body.removesuffix("\n") + "\n"


def test_json_of_a_series(capsys):
    assert json_of(requests.series(BAD_SERIES, HEALTHY), capsys) == {
        "version": 1,
        "kind": "requests",
        "result": {
            "ok": False,
            "seconds": 30.02,
            "concurrency": 2,
            "interrupted": False,
            "total": 596,
            "failed": 299,
            "unfinished": 1,
            "routes": [
                {"route": "direct", "total": 300, "failed": 3, "failing": False, "median": 0.0051, "slowest": 0.0402},
                {"route": "plain", "total": 296, "failed": 296, "failing": True, "median": None, "slowest": None},
            ],
            "failures": [
                {"route": "direct", "reason": "503", "count": 3, "first": 4.1, "last": 4.4, "message": UNHEALTHY},
                {"route": "plain", "reason": "503", "count": 2, "first": 4.0, "last": 4.1, "message": UNHEALTHY},
                {"route": "plain", "reason": "500", "count": 1, "first": 4.2, "last": 4.2, "message": ""},
                {"route": "plain", "reason": "refused", "count": 293, "first": 4.5, "last": 30.0, "message": REFUSED},
            ],
            "diagnosis": diagnosis.diagnosis_shape(HEALTHY),
        },
    }  # fmt: skip


def test_one_reason_on_two_routes_is_one_line(capsys):
    told = text_of(requests.series(BAD_SERIES), capsys)
    assert told.count("healthy") == 1
    assert "direct 3, plain 2" in told
