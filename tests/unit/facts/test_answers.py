import json

import pytest

from devenv.facts.answers import outcome, readable_text
from devenv.ports.gateway import HttpAnswer, Obstacle

STREAM = {"content-type": "text/event-stream"}


def completion(*texts):
    return json.dumps({"choices": [{"message": {"content": text}} for text in texts]})


def stream(*pieces):
    events = [{"choices": [{"delta": {"content": piece}}]} for piece in pieces]
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (HttpAnswer(200, {}, completion("a\nb")), "a\nb"),
        (HttpAnswer(200, {}, completion("one", "two")), "one\n\ntwo"),
        (HttpAnswer(200, STREAM, stream("hel", "lo")), "hello"),
        (HttpAnswer(200, {}, '{"data": [{"id": "a"}, {"id": "b"}]}'), "a\nb"),
        (HttpAnswer(503, {}, '{"error": {"message": "overloaded"}}'), "overloaded"),
        (HttpAnswer(503, {}, "unhealthy\n"), "unhealthy"),
        (HttpAnswer(0, error="connection refused"), ""),
    ],
)
def test_an_answer_as_a_person_reads_it(answer, text):
    assert readable_text(answer) == text


TOOL_CALL = '{"choices": [{"message": {"content": null, "tool_calls": []}}]}'
ERROR_IN_STREAM = 'data: {"error": {"message": "late"}}'


@pytest.mark.parametrize(
    "body", [TOOL_CALL, "[1]", "not JSON", '{"choices": 7}', '{"choices": ["text"]}', "[" * 100_000]
)
def test_an_answer_of_another_form_is_shown_as_it_came(body):
    assert readable_text(HttpAnswer(200, {}, body)) == body


def test_a_stream_without_text_is_shown_as_it_came():
    assert readable_text(HttpAnswer(200, STREAM, ERROR_IN_STREAM)) == ERROR_IN_STREAM


def test_an_outcome_names_the_obstacle(check_message):
    assert outcome(HttpAnswer(503)) == "503"
    outcomes = [outcome(HttpAnswer(0, obstacle=obstacle)) for obstacle in (None, *Obstacle)]
    outcomes.append(outcome(HttpAnswer(0, sent=False)))
    check_message("\n".join(outcomes))
