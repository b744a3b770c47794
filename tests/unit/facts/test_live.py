import json
from dataclasses import replace

import pytest

from devenv.facts.live import AccessLine, answering_pod, by_failures, compose, find_line, prove
from devenv.ports.gateway import HttpAnswer, Obstacle
from devenv.profiles.model import LiveRequest, Route

PODS = {"mock-1": "10.0.0.1", "mock-2": "10.0.0.2"}
NAMESPACE = "aibrix-system"


def answer(pod="mock-1", status=200, **headers):
    return HttpAnswer(
        status, headers, json.dumps({"choices": [{"message": {"content": f"hello (pod {pod})"}}]})
    )


def line(route, upstream="10.0.0.1:8000"):
    return AccessLine(route, "cluster", "-", "via_upstream", upstream)


MODEL_ROUTE = line("httproute/aibrix-system/llama2-7b-router/rule/0/match/1/*")
SEEN = {"x-went-into-req-headers": "true"}


def judge(route, got, access, pods=PODS, **live):
    return prove(LiveRequest(route=route, model="llama2-7b", **live), got, access, pods, NAMESPACE)


def test_each_route_has_its_own_proof():
    assert judge(Route.DIRECT, answer(), MODEL_ROUTE).ok
    assert judge(
        Route.EXTENSION, answer(**SEEN, **{"target-pod": "mock-1"}), line("original_route")
    ).ok
    assert judge(Route.PLAIN, answer(**SEEN), MODEL_ROUTE).ok


def test_before_v0_6_target_pod_holds_the_address():
    assert judge(
        Route.EXTENSION, answer(**SEEN, **{"target-pod": "10.0.0.1:8000"}), line("original_route")
    ).ok


@pytest.mark.parametrize(("route", "got", "access", "why"), [
    (Route.DIRECT, answer(), line("original_route"), "took the route original_route"),
    (Route.DIRECT, answer(), line("httproute/aibrix-system/llama2-7b-router-2/rule/0"), "took the route"),
    (Route.DIRECT, answer("stranger"), MODEL_ROUTE, "stranger answered"),
    (Route.DIRECT, answer("mock-2"), MODEL_ROUTE, "has the address 10.0.0.2"),
    (Route.DIRECT, HttpAnswer(200, {}, "hello"), MODEL_ROUTE, "names no pod"),
    (Route.EXTENSION, answer(**{"target-pod": "mock-1"}), line("original_route"), "never saw the request"),
    (Route.EXTENSION, answer(**SEEN), line("original_route"), "no target-pod"),
    (Route.EXTENSION, answer(**SEEN, **{"target-pod": "mock-2"}), line("original_route"), "chose mock-2"),
    (Route.EXTENSION, answer(**SEEN, **{"target-pod": "mock-1"}), MODEL_ROUTE, "instead of original_route"),
    (Route.PLAIN, answer(), MODEL_ROUTE, "never saw the request"),
    (Route.PLAIN, answer(**SEEN), None, "access log"),
    (Route.EXTENSION, HttpAnswer(503, {}, "no healthy upstream"), line("original_route", "-"), "503 (no healthy upstream)"),
    (Route.DIRECT, HttpAnswer(0, error="connection refused"), None, "no answer (connection refused)"),
])  # fmt: skip
def test_a_200_alone_proves_no_route(route, got, access, why):
    proof = judge(route, got, access)
    assert not proof.ok
    assert any(why in failure for failure in proof.failures), proof.failures


def test_a_stream_names_its_pod_in_pieces():
    events = [
        {"choices": [{"delta": {"content": piece}}]} for piece in ("hello (po", "d mock-", "1)")
    ]
    body = "".join(f"data: {json.dumps(e)}\n\n" for e in events) + "data: [DONE]\n\n"
    got = HttpAnswer(200, {"content-type": "text/event-stream"}, body)
    assert answering_pod(got) == "mock-1"
    assert judge(Route.DIRECT, got, MODEL_ROUTE, stream=True).ok


def test_an_answer_that_should_have_been_a_stream_is_told():
    assert any(
        "stream" in f for f in judge(Route.DIRECT, answer(), MODEL_ROUTE, stream=True).failures
    )


def test_a_request_carries_only_the_headers_of_its_route():
    headers = {r: compose(LiveRequest(route=r, model="m"), 1).http.headers for r in Route}
    assert "model" in headers[Route.DIRECT]
    assert "routing-strategy" not in headers[Route.DIRECT]
    assert headers[Route.EXTENSION]["routing-strategy"] == "random"
    assert not {"model", "routing-strategy"} & headers[Route.PLAIN].keys()


def test_its_line_is_found_by_the_user_agent_of_this_one_request():
    sent = [compose(LiveRequest(route=Route.PLAIN, model="m"), 1) for _ in range(2)]
    log = "not json\n" + "\n".join(
        json.dumps({"user-agent": s.agent, "route_name": f"r{n}"}) for n, s in enumerate(sent)
    )
    assert find_line(log, sent[0].agent).route == "r0"
    assert find_line(log, sent[1].agent).route == "r1"
    assert find_line(log, "another") is None
    assert find_line(f"half a line {sent[0].agent}", sent[0].agent) is None


def test_a_refusal_by_the_plugin_is_not_taken_for_its_absence():
    refused = HttpAnswer(400, {"x-error-routing": "true"}, "incorrect routing strategy nonsense")
    proof = prove(
        LiveRequest(route=Route.EXTENSION, model="m"),
        refused,
        line("original_route"),
        {},
        "aibrix-system",
    )
    assert proof.failures == (
        "400 (incorrect routing strategy nonsense)",
        "the plugin itself refused it: x-error-routing",
    )


def test_an_answer_by_envoy_itself_says_no_more_than_it_can_show():
    refused = HttpAnswer(503, {}, "no healthy upstream")
    proof = prove(
        LiveRequest(route=Route.EXTENSION, model="m"),
        refused,
        line("original_route"),
        {},
        "aibrix-system",
    )
    assert proof.failures == ("503 (no healthy upstream)",)


def models_answer(*names):
    return HttpAnswer(200, {}, json.dumps({"object": "list", "data": [{"id": n} for n in names]}))


def test_the_list_of_models_is_proven_by_its_content_and_its_route():
    way = line("httproute/aibrix-system/reserved/rule/0/match/0/*")
    assert judge(Route.MODELS, models_answer("llama2-7b"), way, by="reserved").ok
    for got, access, why in (
        (models_answer("other"), way, "other"),
        (models_answer(), way, "no model"),
        (HttpAnswer(200, {}, "[]"), way, "not a list"),
        (models_answer("llama2-7b"), line("original_route"), "took the route original_route"),
        (HttpAnswer(500, {}, ""), way, "500"),
    ):
        assert why in " ".join(judge(Route.MODELS, got, access, by="reserved").failures)
    sent = compose(LiveRequest(route=Route.MODELS, model="llama2-7b"), 8888)
    assert (sent.http.method, sent.http.path, sent.http.body) == ("GET", "/v1/models", b"")
    assert "routing-strategy" not in sent.http.headers


def test_a_model_that_does_not_name_its_pod_is_known_by_where_envoy_sent_the_request():
    silent = HttpAnswer(200, {}, json.dumps({"choices": [{"message": {"content": "hello"}}]}))
    assert judge(Route.DIRECT, silent, MODEL_ROUTE, anonymous=True).pod == "mock-1"
    assert judge(Route.DIRECT, silent, MODEL_ROUTE, anonymous=True).ok
    unnamed = judge(Route.DIRECT, silent, MODEL_ROUTE)
    assert (unnamed.ok, unnamed.unnamed, unnamed.lasting, unnamed.pod) == (
        False,
        True,
        True,
        "mock-1",
    )
    assert "anonymous: true" in unnamed.failures[0]
    stranger = line(MODEL_ROUTE.route, "10.9.9.9:8000")
    assert not judge(Route.DIRECT, silent, stranger, anonymous=True).ok


def test_aibrixs_own_mock_names_its_pod_in_any_sentence():
    for text in (
        "Hello from m on pod mock-1 - hi",
        "served by mock-1. I am",
        "endpoint on mock-1. How",
        "Pod mock-1 running",
    ):
        got = HttpAnswer(200, {}, json.dumps({"choices": [{"message": {"content": text}}]}))
        assert answering_pod(got, PODS) == "mock-1"
        assert judge(Route.DIRECT, got, MODEL_ROUTE).ok
    for text in ("mock-10", "x-mock-1", "mock-1 and mock-2"):
        assert answering_pod(HttpAnswer(200, {}, text), PODS) == ""


def test_a_200_from_the_chosen_pod_is_not_one_that_no_pod_gave():
    silent = HttpAnswer(200, {**SEEN, "target-pod": "mock-1"}, "hello")
    proof = judge(Route.EXTENSION, silent, line("original_route"))
    assert (proof.pod, proof.unnamed, len(proof.failures)) == ("mock-1", True, 1)
    other = judge(Route.EXTENSION, silent, line("original_route", "10.0.0.2:8000"))
    assert not other.unnamed, "another pod than the chosen one is a fault of the gateway's"
    assert not judge(Route.EXTENSION, silent, line("original_route", "10.9.9.9:8000")).unnamed


@pytest.mark.parametrize("status", [0, 200, 401, 503])
def test_every_failure_has_a_reason(status):
    from devenv.ui.proofs import proof_line

    proof = judge(
        Route.DIRECT, HttpAnswer(status, {}, "", error="refused" if not status else ""), MODEL_ROUTE
    )
    assert proof.failures[0] in proof_line([proof])


BODY = "no healthy upstream"
REFUSED = HttpAnswer(0, error="connection refused", obstacle=Obstacle.REFUSED)


@pytest.mark.parametrize(
    ("got", "others"),
    [
        (HttpAnswer(503, {}, BODY), 0),
        (HttpAnswer(503, {}, ""), 0),
        (HttpAnswer(503, {"x-error-routing": "true"}, BODY), 1),
        (HttpAnswer(401, {}, BODY), 1),
        (REFUSED, 0),
        (HttpAnswer(0, error=BODY, obstacle=Obstacle.OTHER), 1),
        (answer("mock-2"), 1),
        (answer(), 0),
    ],
)
def test_an_answers_status_and_body_are_not_told_twice(got, others):
    proof = judge(Route.DIRECT, got, MODEL_ROUTE)
    assert len(proof.other_failures) == others
    assert not any(BODY in failure for failure in proof.other_failures if got.status)


def test_proofs_that_failed_in_the_same_way_are_together():
    good = judge(Route.DIRECT, answer(), MODEL_ROUTE)
    refused = [judge(route, REFUSED, None) for route in (Route.DIRECT, Route.PLAIN)]
    other = judge(Route.DIRECT, HttpAnswer(503, {}, BODY), MODEL_ROUTE)
    groups = by_failures([good, refused[0], other, good, refused[1]])
    assert groups == [[good], refused, [other], [good]]


def test_requests_without_an_answer_are_together_whichever_pod_had_them():
    given_up = replace(judge(Route.DIRECT, REFUSED, None), pod="a")
    assert by_failures([given_up, replace(given_up, pod="b")]) == [
        [given_up, replace(given_up, pod="b")]
    ]
