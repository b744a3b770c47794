"""`images list` on terminals of 80 and 160 columns."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from devenv.images.recipes.listing import Entry
from devenv.ui import catalogue
from tests.unit.ui.test_render_snapshots import compare

DESCRIPTION = "vLLM's interface without a model: it echoes what it is asked, and says in which pod"
ENTRIES = [
    Entry("kube", "v1.34.4", "Kubernetes' programs", "k", "r", built=True, size=5 << 30, seconds=9),
    Entry("vllm-mock", "v1", DESCRIPTION, "k", "r", built=False, size=0, seconds=240),
]


def on_paper(columns: int) -> str:
    paper = io.StringIO()
    out = Console(file=paper, width=columns, no_color=True, highlight=False)
    catalogue.images(ENTRIES).text(out)
    return paper.getvalue()


@pytest.mark.parametrize("columns", [80, 160])
def test_on_a_terminal(columns, request):
    rewrite = request.config.getoption("--rewrite")
    compare(f"terminal/images-{columns}", on_paper(columns), rewrite=rewrite)


@pytest.mark.parametrize("columns", [80, 160, 500])
def test_no_column_is_left_out_and_no_line_is_too_long(columns):
    text = on_paper(columns)
    assert DESCRIPTION in " ".join(text.split())
    assert max(map(cell_len, text.splitlines())) <= columns
