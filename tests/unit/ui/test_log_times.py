"""Each program begins its lines with a time in a form of its own."""

import pytest

from devenv.ui.log_times import without_time

TIME = "2026-11-26T02:03:34.941485352Z"
# As the programs of a cluster write them.
LINES = (
    "2026-11-26T02:03:34.939Z\tINFO\tprovider",
    "2026-11-26T05:03:34+03:00 started",
    "2026-11-26 02:03:34,939 - root - INFO",
    "2026/11/26 02:03:33 listening on :50052",
    "[2026-11-26 02:03:34.832][1][warning][misc] Deprecated",
    "1:C 26 Nov 2026 02:03:34.939 # Redis is starting",
    "I1126 02:03:35.123456       1 leader.go:12] won",
    "INFO 11-26 02:03:34 [api_server.py:12] ready",
)
OTHER_LINES = (
    "2026/11/26 02:03:10 another time tells something",
    "200 POST /v1/x 3 ms",
    "panic at 2026/11/26 02:03:34",
    '{"ts":"2026-11-26T02:03:34Z"}',
    "",
)


@pytest.mark.parametrize("line", range(len(LINES)))
def test_the_time_is_left_out(line, check_message):
    text = without_time(LINES[line], TIME)
    assert "02:03:3" not in text
    check_message(text)


@pytest.mark.parametrize("text", OTHER_LINES)
def test_any_other_line_stays_as_it_is(text):
    assert without_time(text, TIME) == text


def test_the_end_of_an_hour_is_near_the_next():
    assert without_time("2026/11/26 02:59:59 x", "2026-11-26T03:00:00.1Z") == "x"


def test_a_line_without_kubernetes_time_keeps_its_own():
    text = LINES[3]
    assert without_time(text, "T") == text
