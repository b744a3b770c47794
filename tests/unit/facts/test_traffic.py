import json

import pytest

from devenv.facts.redact import redacted
from devenv.facts.traffic import LoggedRequest, Maker, summarized

MODEL_ROUTE = "httproute/aibrix-system/llama2-7b-router/rule/0"


def entry(second, status=200, **changes):
    """Return one line of the log, as Kubernetes gives it."""
    fields = {
        "response_code": status,
        "response_code_details": "via_upstream",
        "response_flags": "-",
        "route_name": f"{MODEL_ROUTE}/match/1/*",
        "method": "POST",
        "x-envoy-origin-path": "/v1/chat/completions",
        "upstream_host": "10.0.0.1:8000",
        "user-agent": "curl/8",
        "duration": 5,
        "bytes_received": 100,
        **changes,
    }
    return f"2026-01-01T12:00:{second:02}.5Z {json.dumps(fields)}"


def cut(second, **changes):
    details = {"response_code_details": "response_timeout", "response_flags": "UT"}
    return entry(second, 504, **details, **changes)


def summary(*lines):
    return summarized("proxy-1", "\n".join(lines))


@pytest.mark.parametrize(
    ("status", "details", "maker", "failed"),
    [
        (200, "via_upstream", Maker.UPSTREAM, False),
        (404, "via_upstream", Maker.UPSTREAM, False),
        (500, "via_upstream", Maker.UPSTREAM, True),
        (404, "route_not_found", Maker.ENVOY, True),
        (413, "request_payload_too_large", Maker.ENVOY, True),
        (400, "", Maker.PLUGIN, True),
        (503, None, Maker.PLUGIN, True),
        (0, "downstream_remote_disconnect", Maker.CLIENT, False),
    ],
)
def test_each_answer_has_a_maker(status, details, maker, failed):
    line = entry(0, status, response_code_details=details).partition(" ")[2]
    request = LoggedRequest.of(line)
    assert (request.maker, request.has_failed) == (maker, failed)


@pytest.mark.parametrize("text", ["50051 listening", '{"level":"info"}', "{broken", ""])
def test_other_lines_are_of_no_request(text):
    assert LoggedRequest.of(text) is None


def test_requests_that_failed_alike_are_one_group():
    lines = [
        entry(0), cut(1, duration=15003), entry(2), cut(3, duration=15001), entry(4, 503, response_code_details=""),
        entry(5, duration=20, bytes_received=70000), entry(6, **{"user-agent": "devenv/direct/1"}),
    ]  # fmt: skip
    facts = summary(*lines)
    assert facts.requests == 6
    timeouts, refused = facts.failed
    assert (timeouts.route, timeouts.status, timeouts.flags) == (MODEL_ROUTE, 504, "UT")
    assert (timeouts.count, timeouts.requests, timeouts.longest) == (2, 3, 15003)
    assert timeouts.last_time - timeouts.first_time == 2
    later = timeouts.later
    assert (later.users, later.own, later.longest, later.largest) == (1, 1, 20, 70000)
    assert (refused.status, refused.maker, refused.count) == (503, Maker.PLUGIN, 1)


def refused(second, size, route="original_route"):
    details = {"response_code_details": "request_payload_too_large"}
    return entry(second, 413, bytes_received=size, route_name=route, **details)


RESERVED = "httproute/aibrix-system/aibrix-reserved-router/rule/0"


@pytest.mark.parametrize("route", ["original_route", RESERVED])
def test_a_new_spell_begins_after_a_body_as_large_has_passed(route):
    """The reserved route logs nothing that passes: the other one through the plugin shows it."""
    passed = entry(2, bytes_received=90_000, route_name="original_route")
    small = entry(3, bytes_received=100, route_name="original_route")
    facts = summary(
        refused(1, 40_000, route),
        passed,
        refused(3, 90_000, route),
        small,
        refused(5, 90_000, route),
    )
    earlier, later = sorted(facts.failed, key=lambda group: group.first_time)
    assert (earlier.count, earlier.later.largest) == (1, 90_000)
    assert (later.count, later.later.largest) == (2, 0)


def test_a_new_spell_begins_after_an_answer_that_took_as_long():
    facts = summary(
        cut(1, duration=15_000),
        entry(2, duration=16_000),
        cut(3, duration=15_000),
        entry(4),
        cut(5, duration=15_000),
    )
    assert sorted(group.count for group in facts.failed) == [1, 2]


def lost(second):
    return entry(second, 503, response_code_details="no_healthy_upstream")


def test_a_new_spell_begins_after_many_good_answers():
    facts = summary(lost(1), lost(2), *[entry(3)] * 20, lost(5), lost(6), entry(7))
    earlier, later = sorted(facts.failed, key=lambda group: group.first_time)
    assert (earlier.count, earlier.later.users) == (2, 20)
    assert (later.count, later.later.users) == (2, 1)


def test_what_fails_now_and_then_is_one_spell():
    (group,) = summary(lost(1), *[entry(2)] * 3, lost(3), *[entry(4)] * 3, lost(5)).failed
    assert (group.count, group.requests) == (3, 9)


def test_devenvs_own_requests_do_not_count():
    facts = summary(cut(1, **{"user-agent": "devenv/plain/1"}))
    assert (facts.requests, facts.failed) == (0, ())


def test_requests_without_a_route_are_grouped_by_their_path():
    lost = {"route_name": None, "response_code_details": "route_not_found", "response_flags": "NR"}
    facts = summary(
        entry(1, 404, **lost, **{"x-envoy-origin-path": "/favicon.ico?token=abc"}),
        entry(2, 404, **lost, **{"x-envoy-origin-path": "/v2/x"}),
    )
    assert [(group.route, group.path) for group in facts.failed] == [
        ("", "/favicon.ico"),
        ("", "/v2/x"),
    ]


def test_what_a_log_may_hold_makes_no_summary_fail():
    facts = summary(
        "", "x", entry(1, None), entry(2, [5]), entry(3, 503, route_name=[1], duration="x")
    )
    assert facts.requests == 3


def test_only_so_many_groups_are_kept():
    lines = [entry(1, 503, response_code_details=f"reason_{number}") for number in range(100)]
    assert 0 < len(summary(*lines).failed) < 100


def test_the_kept_line_is_redacted():
    line = entry(1, 503, **{"x-envoy-origin-path": "/v1/x?api_key=planted-secret"})
    content = summary(line).model_dump(mode="json")
    assert "planted-secret" in json.dumps(content)
    assert "planted-secret" not in json.dumps(redacted(content, "/home/u", ["u"]))
