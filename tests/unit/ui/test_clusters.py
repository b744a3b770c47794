"""The shape of `-o json` is a promise. A change here is a new version."""

import io

import pytest
from rich.console import Console

from devenv.cluster.listing import ListedCluster, State
from devenv.ui.clusters import cluster_shape, clusters

GIB = 1 << 30
CLUSTERS = (
    ListedCluster("broken", State.RECORD_BROKEN, problem="broken.json is broken.\nMove it."),
    ListedCluster(
        "devenv",
        State.RUNNING,
        "aibrix",
        "v0.7.0",
        "http://localhost:8888",
        9e8,
        7 * 86400.0,
        5 * GIB,
    ),
    ListedCluster(
        "other", State.STOPPED, "/home/x/other.yaml", "", "http://localhost:8889", 9e8, 90.0
    ),
)


def on_paper(columns: int, listed=CLUSTERS) -> list[str]:
    paper = io.StringIO()
    clusters(listed).text(Console(file=paper, width=columns, no_color=True, highlight=False))
    return paper.getvalue().splitlines()


def test_shape_of_list():
    assert cluster_shape(CLUSTERS[1]) == {
        "name": "devenv", "profile": "aibrix", "version": "v0.7.0", "state": "running", "url": "http://localhost:8888",
        "created": 900000000, "age": 604800, "size": 5 * GIB, "changing": "", "problem": "",
    }  # fmt: skip
    assert cluster_shape(CLUSTERS[0])["size"] is None


@pytest.mark.parametrize("columns", [80, 160])
def test_rows_are_aligned(columns):
    lines = on_paper(columns)
    place = lines[0].index("STATE")
    starts = [line[place:].split()[0] for line in lines[1:4]]
    assert starts == [cluster.state.split()[0] for cluster in CLUSTERS]
    assert {line[place - 1] for line in lines[1:4]} == {" "}
    assert all(len(line) <= columns for line in lines)


def test_nothing_is_cut_where_a_row_is_too_wide():
    name = "a" * 49
    lines = on_paper(
        80,
        [
            ListedCluster(
                name,
                State.ON_ANOTHER_ENGINE,
                "mine",
                "v0.7.0-rc.1",
                "http://localhost:18888",
                1.0,
                1.0,
                1,
            )
        ],
    )
    assert lines[0] == name
    assert [line.split() for line in lines[1:]][3] == ["url", "http://localhost:18888"]
