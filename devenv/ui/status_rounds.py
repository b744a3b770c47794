"""A round of `status --watch`, in each of its forms: screen, lines of a pipe, JSON."""

from collections.abc import Sequence

from rich.markup import escape

from devenv.base.counting import counted
from devenv.base.errors import DevenvError
from devenv.base.json_types import JsonObject
from devenv.cluster.recent_events import RecentEvent
from devenv.cluster.route_watch import RouteHistory
from devenv.cluster.status import Status
from devenv.cluster.status_watch import Reading
from devenv.ui import console
from devenv.ui.console import harmless
from devenv.ui.errors import error_lines, error_shape
from devenv.ui.marks import CHECK, CROSS, bold, dim
from devenv.ui.status import component_lines, disk_lines, head_lines, status_lines, status_shape
from devenv.ui.times import local_time
from devenv.ui.watch import Round, Screen

_ROUTE_HEADINGS = ("ROUTE", "ANSWER", "LATENCY", "MEDIAN", "WORST", "FAILED")
# What stands for a latency where nothing answered.
_NOTHING = "-"
# Characters of an object's name in a line about an event.
_LONGEST_NAME = 30
# Columns of a pipe, which is not cut.
_UNCUT = 500


def shape(reading: Reading) -> JsonObject:
    """Shape of a round of `status --watch -o json`."""
    if isinstance(reading.state, DevenvError):
        return error_shape(reading.state)
    return status_shape(reading.state)


def in_lines(reading: Reading) -> Round:
    """Return a round as a pipe gets it. It differs if more than ages and free bytes do."""
    state = reading.state
    content: object = shape(reading)
    if isinstance(state, Status):
        content = [{**status_shape(state), "disks": {}}, disk_lines(state)]
    return Round(reading.time, content, _lines(reading, _UNCUT))


def print_last(reading: Reading) -> None:
    """Print the last round below the command, once the screen is gone."""
    out = console.result()
    for line in _lines(reading, out.width):
        out.print(line)


def _lines(reading: Reading, width: int) -> list[str]:
    """Return what `status` prints, or the error."""
    if isinstance(reading.state, DevenvError):
        return error_lines(reading.state)
    return status_lines(reading.state, width)


def screen(reading: Reading) -> Screen:
    """Return what makes the screen of a round."""
    return lambda width, height: screen_lines(reading, width, height)


def screen_lines(reading: Reading, width: int, height: int) -> list[str]:
    """Return the lines of the screen, in rich's markup.

    Events fill what is left of the height. What does not fit is counted in the last line.
    """
    note = dim("every 2 s; Ctrl-C ends")
    lines = [f"{bold(local_time(reading.time))}  {note}"]
    state = reading.state
    if isinstance(state, DevenvError):
        lines += error_lines(state)
    elif not state.components:
        lines += status_lines(state, width)
    else:
        lines += head_lines(state)
        lines += ["", *_route_lines(reading)]
        lines += ["", *component_lines(state, width, images_below=False)]
        lines += ["", *disk_lines(state)]
        lines += ["", *_event_lines(reading.events)]
    return _fitted(lines, height)


def _fitted(lines: list[str], height: int) -> list[str]:
    """Cut lines to the height of the terminal, and say so."""
    if len(lines) <= height:
        return lines
    shown = lines[: height - 1]
    hidden = sum(bool(line) for line in lines[height - 1 :])
    return [*shown, dim(f"… {counted(hidden, 'more line')}: a higher window shows them")]


def _route_lines(reading: Reading) -> list[str]:
    if reading.route_problem:
        return [f"{CROSS} No live requests: {escape(reading.route_problem)}"]
    if not reading.routes:
        return [dim("Waiting for the first answers on the routes.")]
    rows = [_route_cells(route) for route in reading.routes]
    columns = zip(_ROUTE_HEADINGS, *rows, strict=True)
    widths = [max(map(len, cells)) for cells in columns]
    lines = [bold(f"  {_aligned(_ROUTE_HEADINGS, widths)}  POD")]
    for route, cells in zip(reading.routes, rows, strict=True):
        mark = CHECK if route.proof.ok else CROSS
        pod = escape(route.proof.pod or "no pod")
        lines.append(f"{mark} {escape(_aligned(cells, widths))}  {pod}")
        lines += [f"    {escape(harmless(failure))}" for failure in route.proof.failures]
    return lines


def _route_cells(route: RouteHistory) -> tuple[str, ...]:
    answer = route.proof.answer
    status, latency = "none", _NOTHING
    if answer.status:
        status, latency = str(answer.status), _milliseconds(answer.seconds)
    median = worst = _NOTHING
    if route.latencies:
        median, worst = _milliseconds(route.median), _milliseconds(route.worst)
    return (route.proof.name, status, latency, median, worst, f"{route.failed}/{route.sent}")


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Align the name to the left and all figures to the right."""
    name, *figures = cells
    name_width, *figure_widths = widths
    return "  ".join([name.ljust(name_width), *map(str.rjust, figures, figure_widths)])


def _event_lines(events: Sequence[RecentEvent]) -> list[str]:
    if not events:
        return [dim("No warnings in the last hour.")]
    return [bold("WARNINGS OF THE LAST HOUR"), *map(_event_line, events)]


def _event_line(event: RecentEvent) -> str:
    """Return one line that tells the reason even where it is cut at 80 columns."""
    times = f" ({event.count} times)" if event.count > 1 else ""
    name = event.subject.rpartition("/")[2]
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - 1]}…"
    text = f"{event.reason}{times}  {name}: {event.message}"
    return f"{dim(local_time(event.time))}  {escape(harmless(text))}"
