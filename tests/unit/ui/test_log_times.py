"""Each program begins its lines with a time in a form of its own."""

import pytest

from devenv.ui.log_times import without_time

TIME = "2026-11-26T02:03:34.941485352Z"


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("2026-11-26T02:03:34.939Z\tINFO\tprovider", "INFO\tprovider"),
        ("2026-11-26T05:03:34+03:00 started", "started"),
        ("2026-11-26 02:03:34,939 - root - INFO", "- root - INFO"),
        ("2026/11/26 02:03:33 listening on :50052", "listening on :50052"),
        ("[2026-11-26 02:03:34.832][1][warning][misc] Deprecated", "[1][warning][misc] Deprecated"),
        ("1:C 26 Nov 2026 02:03:34.939 # Redis is starting", "1:C # Redis is starting"),
        ("I1126 02:03:35.123456       1 leader.go:12] won", "I 1 leader.go:12] won"),
        ("INFO 11-26 02:03:34 [api_server.py:12] ready", "INFO [api_server.py:12] ready"),
    ],
)
def test_the_time_is_left_out(text, rest):
    assert without_time(text, TIME) == rest


@pytest.mark.parametrize(
    "text",
    [
        "2026/11/26 02:03:10 another time tells something",
        "200 POST /v1/x 3 ms",
        "panic at 2026/11/26 02:03:34",
        '{"ts":"2026-11-26T02:03:34Z"}',
        "",
    ],
)
def test_any_other_line_stays_as_it_is(text):
    assert without_time(text, TIME) == text


def test_the_end_of_an_hour_is_near_the_next():
    assert without_time("2026/11/26 02:59:59 x", "2026-11-26T03:00:00.1Z") == "x"


def test_a_line_without_kubernetes_time_keeps_its_own():
    assert without_time("2026/11/26 02:03:34 x", "T") == "2026/11/26 02:03:34 x"
