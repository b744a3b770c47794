"""Errors and warnings: what happened, why, and what to do next."""

from rich.markup import escape

from devenv.base.errors import DeclinedError, DevenvError
from devenv.base.json_types import JsonObject
from devenv.ui import console
from devenv.ui.render import json_line


def error(problem: DevenvError) -> None:
    """Show an error, unless it was shown before."""
    if not problem.told:
        for line in error_lines(problem):
            console.progress().print(line)
    problem.told = True


def print_error_as_json(problem: DevenvError) -> None:
    """Print an error instead of a result, on one line: some results are lines, too."""
    line = json_line("error", error_shape(problem))
    console.result().print(line, markup=False, soft_wrap=True)


def error_of_round(problem: DevenvError, output: str) -> None:
    """Show an error after which a watch goes on."""
    if output == "json":
        print_error_as_json(problem)
    else:
        error(problem)


def error_lines(problem: DevenvError) -> list[str]:
    """Return what `error` prints, in rich's markup."""
    if isinstance(problem, DeclinedError):
        return [escape(problem.what)]
    lines = [f"[bold red]Error:[/bold red] {escape(problem.what)}"]
    lines += _reason_lines(problem)
    if problem.next_step:
        lines.append(f"[green]→[/green] {escape(problem.next_step)}")
    return lines


def warning(problem: DevenvError, consequence: str) -> None:
    """Warn of something wrong that the command can do without."""
    out = console.progress()
    out.print(f"[yellow]Warning:[/yellow] {escape(problem.what)} {escape(consequence)}")
    for line in _reason_lines(problem):
        out.print(line)


def _reason_lines(problem: DevenvError) -> list[str]:
    reasons = problem.why.splitlines()
    return [f"  {escape(reason)}" for reason in reasons]


def error_shape(problem: DevenvError) -> JsonObject:
    """Shape of an error: of one that ends a command, or after which a watch goes on."""
    return {
        "error": problem.what,
        "why": problem.why,
        "next_step": problem.next_step,
    }
