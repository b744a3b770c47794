"""`config view`: what applies, and where each value is from."""

from rich.console import Console
from rich.markup import escape

from devenv.base.json_types import JsonObject
from devenv.ui.console import print_line
from devenv.ui.marks import dim
from devenv.ui.render import Report, shapes
from devenv.workstation.configuration import Configuration, Entry


def configuration(configuration: Configuration) -> Report:
    """Report the values with their sources, then the variables that are set."""

    def text(out: Console) -> None:
        names = [entry.name for entry in configuration.entries]
        width = max(map(len, [*names, *configuration.variables]))
        for entry in configuration.entries:
            print_line(out, f"{entry.name.ljust(width)}  {_shown(entry)}")
        if configuration.variables:
            out.print("Variables:")
        for name, value in configuration.variables.items():
            print_line(out, f"{name.ljust(width)}  {escape(value)}")

    return Report("configuration", lambda: configuration_shape(configuration), text)


def _shown(entry: Entry) -> str:
    """Return a value, its source, and what is wrong with it."""
    value = escape(entry.value) or "-"
    source = dim(f"({entry.source})") if entry.source else ""
    problem = f"[yellow]{escape(entry.problem)}[/yellow]" if entry.problem else ""
    return "  ".join(filter(None, (value, source, problem)))


def configuration_shape(configuration: Configuration) -> JsonObject:
    """Shape of `config view`. `problem` says why a value can't be read or does not apply."""
    return {
        "values": shapes(_entry_shape, configuration.entries),
        "variables": dict(configuration.variables),
    }


def _entry_shape(entry: Entry) -> JsonObject:
    return {
        "name": entry.name,
        "value": entry.value,
        "source": entry.source,
        "problem": entry.problem,
    }
