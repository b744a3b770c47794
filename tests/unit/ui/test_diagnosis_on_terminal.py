"""`doctor` on terminals of 80 and 160 columns, and in a pipe: a broken and a healthy cluster."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from devenv.diagnosis.diagnose import diagnose
from devenv.facts.model import parse
from devenv.ui.diagnosis import diagnosis
from tests.paths import INCIDENTS
from tests.unit.ui.test_render_snapshots import compare

NAMES = ("healthy", "the-incident", "no-model-pod-and-service-misnamed", "aibrix-wrong-port")
# Columns of a narrow terminal, which has 24 lines.
NARROW, LINES = 80, 24


def diagnosed(name):
    return diagnose(parse((INCIDENTS / name / "facts.json").read_text()))


def printed(found, width, *, everything=False, **options):
    paper = io.StringIO()
    out = Console(file=paper, width=width, highlight=False, emoji=False, **options)
    diagnosis(found, everything=everything).text(out)
    return paper.getvalue()


def on_terminal(found, width, **options):
    """What stands on a terminal without colours. `force_terminal` alone would keep bold and dim."""
    return printed(found, width, force_terminal=True, color_system=None, **options)


@pytest.mark.parametrize("width", [80, 160])
def test_on_a_terminal(width, request):
    texts = [f"# {name}\n{on_terminal(diagnosed(name), width)}" for name in NAMES]
    rewrite = request.config.getoption("--rewrite")
    compare(f"terminal/doctor-{width}", "\n".join(texts), rewrite=rewrite)


@pytest.mark.parametrize("name", NAMES)
def test_a_terminal_wraps_all_but_commands(name):
    found = diagnosed(name)
    for everything in (False, True):
        lines = on_terminal(found, NARROW, everything=everything).splitlines()
        commands = {str(fix) for cause in found.causes for fix in cause.root.fix}
        wide = [line.strip() for line in lines if cell_len(line) > NARROW]
        assert set(wide) <= commands


def test_the_incident_fits_a_small_terminal():
    assert len(on_terminal(diagnosed("the-incident"), NARROW).splitlines()) <= LINES


def test_evidence_is_shown_whole():
    found = diagnosed("the-incident")
    text = " ".join(on_terminal(found, NARROW).split())
    (cause,) = found.causes
    assert all(evidence.text in text for evidence in cause.root.evidence)


def test_a_pipe_has_every_line_whole():
    found = diagnosed("the-incident")
    text = printed(found, NARROW)
    (cause,) = found.causes
    assert all(effect.says in text for effect in cause.consequences)
    assert "…" not in text


def test_the_path_looks_the_same_without_colours():
    found = diagnosed("the-incident")
    colourless = printed(found, NARROW)
    (path,) = [line for line in colourless.splitlines() if " → " in line]
    assert path in on_terminal(found, NARROW)
    assert cell_len(path) <= NARROW
