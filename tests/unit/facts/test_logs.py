import json

import pytest

from devenv.facts.logs import parse
from devenv.facts.signatures import SIGNATURES, signature

LINE = '{"response_code":503,"method":"POST","x-envoy-origin-path":"/v1/x","duration":3,"route_name":"original_route","upstream_host":null,"response_flags":"UH","response_code_details":"no_healthy_upstream"}'


def test_an_access_log_line_is_told_in_words():
    line = parse("proxy", "p", "envoy", f"2026-01-01T00:00:00.123Z {LINE}")
    assert (
        line.text == "503 POST /v1/x 3 ms original_route → nowhere flags UH (no_healthy_upstream)"
    )
    assert line.problem
    assert line.time == "2026-01-01T00:00:00.123Z"


def access_line(status, details, upstream="10.0.0.1:8000"):
    fields = {"response_code": status, "response_code_details": details, "upstream_host": upstream}
    return parse("proxy", "p", "envoy", f"T {json.dumps({**fields, 'route_name': 'error'})}")


@pytest.mark.parametrize(
    ("status", "details", "problem"),
    [
        (500, "via_upstream", True),
        (503, "no_healthy_upstream", True),
        (413, "request_payload_too_large", True),
        (404, "route_not_found", True),
        (400, "", True),
        (404, "via_upstream", False),
        (200, "via_upstream", False),
    ],
)
def test_a_failed_request_is_a_problem_and_a_servers_own_4xx_is_none(status, details, problem):
    assert access_line(status, details).problem == problem


@pytest.mark.parametrize("text", ["50051 is the port", "500 pods", "5 of 5 models are loaded"])
def test_a_line_is_no_failed_request_because_it_begins_with_a_5(text):
    assert not parse("gateway-plugins", "p", "c", f"T {text}").problem


def test_who_only_looks_whether_the_port_answers_is_no_problem():
    knock = "T 2026/11/26 10:00:00 http: TLS handshake error from 10.244.0.1:4711: "
    assert not parse("controller-manager", "p", "c", f"{knock}EOF").problem
    assert parse(
        "controller-manager", "p", "c", f"{knock}remote error: tls: bad certificate"
    ).problem


@pytest.mark.parametrize("text", ['{"level":"info"}', "{broken", "plain words"])
def test_other_lines_stay_as_they_are(text):
    assert parse("c", "p", "c", f"T {text}").text == text


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (
            "Failed to create Wasm cache directory: mkdir /var/lib/eg/wasm: no space left on device",
            "DE401",
        ),
        ("write /x: no space left on device", "DE201"),
        ("redis at no-such-host:6379: dial tcp: lookup no-such-host", "DE303"),
        ("exec /app: exec format error", "DE309"),
        ("problem running manager: leader election lost", "DE702"),
        (
            "W1126 dispatcher.go:210] Failed calling webhook, failing open medeployment.aibrix.ai",
            "DE701",
        ),
        (
            '"Failed to create httproute" err="invalid" namespace="default" name="Qwen-router"',
            "DE503",
        ),
        ('httproutes.gateway.networking.k8s.io "Qwen-router" not found', "DE503"),
        ('failed to parse model port: strconv.ParseInt: parsing ""', "DE506"),
        ("CRD rayclusters.ray.io is missing", "DE302"),
        (
            "redis.exceptions.ConnectionError: Error 111 connecting to aibrix-redis-master:6379",
            "DE303",
        ),
        ("all is well", ""),
    ],
)
def test_known_lines_have_a_code(line, code):
    assert signature(line) == code


def test_signatures_name_codes_of_the_book():
    from devenv.diagnosis.codes import book

    assert {code for _, code in SIGNATURES} <= set(book())
