"""The rounds of `status --watch`: on a screen, in a pipe, as JSON."""

import io
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from devenv.base.errors import DevenvError
from devenv.cluster.recent_events import RecentEvent
from devenv.cluster.route_watch import RouteHistory
from devenv.cluster.status_watch import Reading
from devenv.ui import status_rounds
from tests.unit.ui.proofs import BROKEN, PROOF
from tests.unit.ui.test_render_snapshots import compare
from tests.unit.ui.test_status import NOW, STATUS

EVENTS = tuple(
    RecentEvent(NOW - 60 * number, f"Pod a/proxy-{number}", "BackOff", "Back-off [restarting]", 3)
    for number in range(1, 9)
)
ROUTES = (
    RouteHistory(PROOF, 12, 0, (0.0123, 0.2)),
    RouteHistory(BROKEN, 12, 12),
)
READING = Reading(NOW, STATUS, ROUTES, "", EVENTS)


def plain(reading, width, height):
    lines = status_rounds.screen(reading)(width, height)
    return [Text.from_markup(line).plain for line in lines]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (160, 50)])
def test_on_a_screen(width, height, request):
    lines = plain(READING, width, height)
    assert len(lines) <= height
    rewrite = request.config.getoption("--rewrite")
    compare(f"terminal/status-watch-{width}", "\n".join(lines) + "\n", rewrite=rewrite)


def test_what_does_not_fit_is_counted():
    everything, cut = plain(READING, 80, 100), plain(READING, 80, 20)
    hidden = [line for line in everything[19:] if line]
    assert cut[:19] == everything[:19]
    assert str(len(hidden)) in cut[19]


def test_no_line_of_components_is_wider_than_the_screen():
    assert [line for line in plain(READING, 80, 100) if cell_len(line) > 80] == []


def test_before_the_first_answers_and_without_requests(check_message):
    check_message("\n".join(plain(replace(READING, routes=(), events=()), 80, 24)))
    check_message("\n".join(plain(replace(READING, route_problem="No API server."), 80, 24)))


def test_an_engine_that_is_gone_takes_the_whole_screen(check_message):
    check_message("\n".join(plain(Reading(NOW, DevenvError("No engine.", "why")), 80, 24)))


def test_a_pipe_gets_a_round_for_every_change_but_ages_and_bytes():
    first = status_rounds.in_lines(READING)
    later = replace(STATUS, time=NOW + 600)
    assert status_rounds.in_lines(Reading(NOW + 600, later)).content == first.content
    ready = replace(STATUS, components=STATUS.components[:1])
    assert status_rounds.in_lines(Reading(NOW, ready)).content != first.content
    fuller = replace(STATUS, disks={})
    assert status_rounds.in_lines(Reading(NOW, fuller)).content != first.content


def test_json_has_the_status_or_the_error():
    assert status_rounds.shape(READING)["cluster"] == "c"
    gone = Reading(NOW, DevenvError("No engine."))
    assert "error" in status_rounds.shape(gone)


def test_the_last_round_stays_on_the_terminal(monkeypatch):
    paper = io.StringIO()
    out = Console(file=paper, width=80, no_color=True, highlight=False)
    monkeypatch.setattr(status_rounds.console, "result", lambda: out)
    status_rounds.print_last(READING)
    assert {component.name for component in STATUS.components} <= set(paper.getvalue().split())
