"""Documents: a diagnosis or a comparison in the form and the file that the user asked for."""

from pathlib import Path

import click

from devenv.base import targets
from devenv.diagnosis.compare import Comparison, compare
from devenv.diagnosis.model import Diagnosis
from devenv.facts import files
from devenv.facts.model import Facts
from devenv.ui import comparison as differences
from devenv.ui import console, machine
from devenv.ui import diagnosis as verdict
from devenv.ui.render import Report, envelope, render

_DOCUMENTS = {"html", "junit", "sarif"}


def divert(save: Path | None, target: Path | None) -> None:
    """Leave standard output to the one file that goes there. Raises UsageError if both do."""
    if save is None or not targets.is_stdout(save):
        return
    if target and targets.is_stdout(target):
        raise click.UsageError("--save and --to can't both go to standard output.")
    console.divert_results()


def save(facts: Facts, target: Path) -> None:
    """Write the facts to a file."""
    files.write(facts, target)
    if not targets.is_stdout(target):
        console.note(f"Facts saved in {target}, redacted.")


def diagnosis(
    facts: Facts, diagnosis: Diagnosis, output: str, target: Path | None, *, everything: bool
) -> None:
    """Print a diagnosis, or write it to a file."""
    if output in _DOCUMENTS:
        default = _default_target(output, diagnosis.cluster)
        _emit(_document(facts, diagnosis, output), target or default)
        return
    report = verdict.diagnosis(diagnosis, everything=everything)
    if target and output == "text":
        _emit(verdict.plain_text(diagnosis, everything=everything), target)
    else:
        _render(report, output, target)


def comparison(good: Facts, facts: Facts, output: str, target: Path | None) -> Comparison:
    """Compare two facts files, print what differs, or write it to a file, and return it."""
    if output in _DOCUMENTS:
        raise click.UsageError(f"A comparison has no form {output}: choose text or json.")
    result = compare(good, facts)
    if target and output == "text":
        _emit(differences.plain_text(good, facts, result), target)
    else:
        _render(differences.comparison(good, facts, result), output, target)
    return result


def _render(report: Report, output: str, target: Path | None) -> None:
    if target:
        _emit(envelope(report.kind, report.content()) + "\n", target)
    else:
        render(report, output)


def _document(facts: Facts, diagnosis: Diagnosis, output: str) -> str:
    if output == "html":
        from devenv.ui.page import page  # noqa: PLC0415 - only a page waits for the templates

        return page(facts, diagnosis)
    if output == "junit":
        return machine.junit(diagnosis)
    return machine.sarif(diagnosis)


def _default_target(output: str, cluster: str) -> Path | None:
    """Return a file in this folder for a page, which would be unreadable on a terminal."""
    if output == "html" and console.result().is_terminal:
        return Path(f"devenv-{cluster}.html")
    return None


def _emit(content: str, target: Path | None) -> None:
    """Write a document to a file, or print it unchanged."""
    if target is None:
        console.document(content)
        return
    files.write_text(content, target)
    if not targets.is_stdout(target):
        console.note(f"Written to {target}.")
