"""`status` on terminals of 80 and 160 columns, and in a pipe."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from devenv.ui import status
from tests.unit.ui.test_render_snapshots import compare
from tests.unit.ui.test_status import BACKING_OFF, STATUS


def on_paper(columns: int, state=STATUS) -> list[str]:
    paper = io.StringIO()
    status.status(state).text(Console(file=paper, width=columns, no_color=True, highlight=False))
    return paper.getvalue().splitlines()


@pytest.mark.parametrize("columns", [80, 160, 500])
def test_every_cell_is_there_at_any_width(columns):
    words = " ".join(on_paper(columns)).split()
    for component in STATUS.components:
        assert component.name in words
    for image in ("redis:latest", "envoyproxy/envoy:v1.36.2", "envoyproxy/gateway:v1.2.8"):
        assert image in [word.strip(",") for word in words]
    assert set(BACKING_OFF.reason.split()) <= set(words)


def test_a_terminal_of_80_columns_breaks_no_line_itself():
    assert [line for line in on_paper(80) if len(line) > 80] == []


def test_numbers_end_below_each_other():
    lines = on_paper(160)
    (heading,) = [line for line in lines if "RESTARTS" in line]
    end = heading.index("RESTARTS") + len("RESTARTS")
    rows = [line for line in lines if line[2:].startswith(("redis", "proxy"))]
    assert [row[:end].split()[-1] for row in rows] == ["0", "3"]
    disks = [line for line in lines if line.startswith("disk")]
    assert len({line.index(" of ") for line in disks}) == 1


@pytest.mark.parametrize("columns", [80, 160])
def test_on_a_terminal(columns, request):
    text = "\n".join(on_paper(columns)) + "\n"
    rewrite = request.config.getoption("--rewrite")
    compare(f"terminal/status-{columns}", text, rewrite=rewrite)


def test_a_word_that_is_wider_than_the_terminal_stays_whole():
    address = "registry.example/" + "a-long-name/" * 10
    waiting = replace(BACKING_OFF, reason=f"pulling {address} failed")
    proxy = replace(STATUS.components[1], workload=waiting)
    lines = status.component_lines(replace(STATUS, components=(proxy,)), 80)
    assert address in " ".join(lines).split()
