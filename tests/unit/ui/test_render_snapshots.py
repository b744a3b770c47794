"""The wording of each command: its help, and its reports as text on terminals of 80 and 160 columns.

`pytest tests/unit/ui/test_render_snapshots.py --rewrite` writes the snapshots anew; read their diff.
"""

import io

import click
import pytest
from rich.console import Console

from devenv.cli.app import COMMANDS, app
from devenv.facts.model import parse
from devenv.ui.errors import error_lines
from tests.paths import INCIDENTS, ROOT
from tests.unit.ui import samples

SNAPSHOTS = ROOT / "tests" / "snapshots"


def facts(name):
    return parse((INCIDENTS / name / "facts.json").read_text())


REPORTS = samples.of_commands(facts("the-incident"), facts("healthy"))


def on_paper(print_to, width: int = 80) -> str:
    """What is printed on a terminal of so many columns, without colours."""
    paper = io.StringIO()
    print_to(Console(file=paper, width=width, no_color=True, highlight=False, emoji=False))
    return paper.getvalue()


def helps(name: str, command: click.Command, parent: click.Context) -> list[str]:
    """The help of a command and of its subcommands."""
    context = click.Context(
        command, parent=parent, info_name=name, terminal_width=80, max_content_width=80
    )
    # click keeps the first help option that any context has asked for.
    command._help_option = None
    texts = [f"$ {context.command_path} --help\n{command.get_help(context)}\n"]
    for below in command.commands if isinstance(command, click.Group) else ():
        texts += helps(below, command.commands[below], context)
    return texts


def wording(name: str) -> str:
    """All that a command says, as far as samples have it."""
    root = click.Context(app, info_name="devenv", obj={}, **app.context_settings)
    texts = helps(name, app.get_command(root, name), root)
    texts += [f"# {title}\n{on_paper(report.text)}" for title, report in REPORTS.get(name, [])]
    return "\n".join(texts)


def compare(snapshot: str, text: str, *, rewrite: bool) -> None:
    file = SNAPSHOTS / f"{snapshot}.txt"
    if rewrite:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text(), "if this is meant: --rewrite"


@pytest.mark.parametrize("name", REPORTS)
def test_the_reports_of_a_command_on_a_wide_terminal(name, request):
    texts = [f"# {title}\n{on_paper(report.text, 160)}" for title, report in REPORTS[name]]
    rewrite = request.config.getoption("--rewrite")
    compare(f"wide/{name}", "\n".join(texts), rewrite=rewrite)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_wording_of_a_command(name, request):
    compare(name, wording(name), rewrite=request.config.getoption("--rewrite"))


def test_the_wording_of_the_whole(request):
    context = click.Context(
        app, info_name="devenv", terminal_width=80, max_content_width=80, **app.context_settings
    )
    error = on_paper(lambda out: [out.print(line) for line in error_lines(samples.ERROR)])
    text = f"$ devenv --help\n{app.get_help(context)}\n\n# an error\n{error}"
    compare("devenv", text, rewrite=request.config.getoption("--rewrite"))


@pytest.mark.parametrize("name", ["devenv", *COMMANDS])
def test_no_line_of_help_is_cut(name):
    lines = (SNAPSHOTS / f"{name}.txt").read_text().splitlines()
    assert [line for line in lines if line.startswith("  ") and line.endswith("...")] == []


def test_every_command_with_a_report_has_a_sample():
    silent = {"logs", "profile", "exec", "kubectl", "kubeconfig", "completion"}
    names = samples.of_commands(facts("the-incident"), facts("healthy"))
    assert set(names) == set(COMMANDS) - silent


def test_there_is_no_snapshot_of_nothing():
    assert {file.stem for file in SNAPSHOTS.glob("*.txt")} == {"devenv", *COMMANDS}
