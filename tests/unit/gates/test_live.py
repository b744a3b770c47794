import json

import pytest

from devenv.base.errors import DevenvError, Exit
from devenv.data import root
from devenv.facts.mock import MOCK
from devenv.gates.live import Prober
from devenv.ports.gateway import HttpAnswer, Obstacle
from devenv.profiles.load import load
from devenv.profiles.model import LiveRequest, Route

LARGE = 64 << 10
PROMPT = "who are you"


@pytest.fixture
def prober(fakes):
    return Prober(fakes.kube, fakes.gateway, fakes.clock, load("offline", root() / "profiles"))


@pytest.fixture
def sent(fakes, monkeypatch):
    """The requests that were sent."""
    requests = []
    send = fakes.gateway.send
    monkeypatch.setattr(fakes.gateway, "send", lambda http: requests.append(http) or send(http))
    return requests


@pytest.fixture
def image(fakes, monkeypatch):
    """Set the image of all pods of models."""
    select = fakes.kube.select

    def with_image(name):
        def with_spec(*arguments, **options):
            objects = select(*arguments, **options)
            for obj in objects:
                obj.setdefault("spec", {"containers": [{"image": name}]})
            return objects

        monkeypatch.setattr(fakes.kube, "select", with_spec)

    return with_image


def sizes(sent):
    """Return the sizes of the bodies by route."""
    return {http.headers["user-agent"].split("/")[1]: len(http.body) for http in sent}


def test_a_mock_is_asked_with_one_large_body_that_the_plugin_gets(prober, sent, image):
    image(f"{MOCK}:reference")
    proofs = prober.probe(prober.profile.requests)
    assert all(proof.ok for proof in proofs)
    large = [route for route, size in sizes(sent).items() if size > LARGE]
    assert large == [Route.EXTENSION]
    assert [proof.size > LARGE for proof in proofs] == [False, True, False]


def test_a_request_alone_is_large_whatever_its_route(prober, sent, image):
    image(f"{MOCK}:reference")
    prober.probe([LiveRequest(route=Route.DIRECT, model="llama2-7b")])
    assert sizes(sent)[Route.DIRECT] > LARGE


def test_a_users_own_model_is_asked_with_short_ones(prober, sent, image):
    image("vllm/vllm-openai:v0.10")
    prober.probe(prober.profile.requests)
    assert max(sizes(sent).values()) < 1000


def test_while_it_is_not_known_who_is_asked_the_requests_are_short(
    fakes, prober, sent, monkeypatch
):
    def fail(*_, **__):
        raise DevenvError("no answer")

    monkeypatch.setattr(fakes.kube, "select", fail)
    prober.probe(prober.profile.requests, api=False)
    with pytest.raises(DevenvError):
        prober.probe(prober.profile.requests)
    assert len(sent) == 2 * len(prober.profile.requests)
    assert max(sizes(sent).values()) < 1000


def test_a_long_answer_is_asked_of_a_mock_on_each_route(fakes, prober, sent, image, monkeypatch):
    image(f"{MOCK}:reference")
    send = fakes.gateway.send
    monkeypatch.setattr(fakes.gateway, "send", lambda http: _after(send(http), 16.2))
    proofs = prober.probe_long(prober.profile.requests, 16, 25)
    routes = (Route.DIRECT, Route.EXTENSION, Route.PLAIN)
    assert [proof.name.split(", ") for proof in proofs] == [[route, "long"] for route in routes]
    assert all(proof.ok for proof in proofs)
    assert {json.loads(http.body)["mock_delay"] for http in sent} == {16}
    assert {http.timeout for http in sent} == {25}


def _after(answer, seconds):
    return HttpAnswer(answer.status, answer.headers, answer.body, seconds)


def test_a_mock_that_answers_at_once_proves_nothing_of_long_answers(prober, image):
    image(f"{MOCK}:older")
    assert not any(proof.ok for proof in prober.probe_long(prober.profile.requests, 16, 25))


def test_a_users_own_model_gets_no_long_request(prober, sent, image):
    image("vllm/vllm-openai:v0.10")
    assert (prober.probe_long(prober.profile.requests, 16, 25), sent) == ([], [])


def test_a_prompt_is_asked_as_it_is(prober, sent, image):
    image(f"{MOCK}:reference")
    (proof,) = prober.probe(prober.profile.requests[:1], prompt=PROMPT)
    assert proof.ok
    assert json.loads(sent[0].body)["messages"][0]["content"] == PROMPT


def test_one_cause_for_three_routes_is_one_line(prober, fakes, monkeypatch, expect_error):
    refused = HttpAnswer(0, error="connection refused", obstacle=Obstacle.REFUSED)
    monkeypatch.setattr(fakes.gateway, "send", lambda http: refused)
    with expect_error(Exit.FAILED) as error:
        prober.until_proven(1)
    assert len(error.value.why.splitlines()) == 1


def test_a_request_that_was_given_up_names_the_pod_that_had_it(prober, fakes, monkeypatch):
    send = fakes.gateway.send

    def give_up(http):
        send(http)
        return HttpAnswer(0, error="timed out", seconds=1.0, obstacle=Obstacle.TIMEOUT)

    monkeypatch.setattr(fakes.gateway, "send", give_up)
    (proof,) = prober.probe(prober.profile.requests[:1])
    assert not proof.ok
    assert proof.line.upstream == "10.0.0.1:8000"
    assert proof.pod


def test_for_the_line_of_a_request_that_never_left_nobody_waits(prober, fakes, monkeypatch):
    refused = HttpAnswer(0, error="refused", obstacle=Obstacle.REFUSED)
    monkeypatch.setattr(fakes.gateway, "send", lambda _: refused)
    monkeypatch.setattr(fakes.kube, "logs", lambda *_, **__: pytest.fail("it was looked for"))
    (proof,) = prober.probe(prober.profile.requests[:1])
    assert proof.line is None
