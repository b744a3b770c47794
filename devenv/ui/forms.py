"""In which form a diagnosis or a comparison is shown, and where."""

from pathlib import Path

import click

from devenv import targets
from devenv.diagnosis.compare import Comparison, compare
from devenv.diagnosis.model import Diagnosis
from devenv.facts import files
from devenv.facts.model import Facts
from devenv.ui import comparison as differences
from devenv.ui import console, machine
from devenv.ui import diagnosis as text


def divert(save: Path | None, target: Path | None) -> None:
    """Leave standard output to the one file that is to go there. Raises UsageError where both are."""
    if save is None or not targets.is_stdout(save):
        return
    if target and targets.is_stdout(target):
        raise click.UsageError("--save and --to can't both go to standard output.")
    console.divert_results()


def save(facts: Facts, target: Path) -> None:
    """Write the facts to a file."""
    files.write(facts, target)
    if not targets.is_stdout(target):
        console.progress().print(f"Facts saved in {target}, redacted.", markup=False)


def diagnosis(
    facts: Facts, diagnosis: Diagnosis, output: str, target: Path | None, *, everything: bool
) -> None:
    """Show a diagnosis, or write it to a file."""
    if output in {"html", "junit", "sarif"}:
        _emit(
            _document(facts, diagnosis, output),
            target or _default_target(output, diagnosis.cluster),
        )
    elif target:
        _emit(
            text.envelope_text(diagnosis)
            if output == "json"
            else text.plain_text(diagnosis, everything=everything),
            target,
        )
    elif output == "json":
        text.diagnosis_json(diagnosis)
    else:
        text.diagnosis(diagnosis, everything=everything)


def comparison(good: Facts, facts: Facts, output: str, target: Path | None) -> Comparison:
    """Compare two looks, show what differs, or write it to a file, and return it."""
    if output not in {"text", "json"}:
        raise click.UsageError(f"A comparison has no form {output}: text or json.")
    result = compare(good, facts)
    if target:
        as_json = output == "json"
        _emit(
            (differences.envelope_text if as_json else differences.plain_text)(good, facts, result),
            target,
        )
    elif output == "json":
        differences.comparison_json(good, facts, result)
    else:
        differences.comparison(good, facts, result)
    return result


def _document(facts: Facts, diagnosis: Diagnosis, output: str) -> str:
    if output == "html":
        from devenv.ui.page import page  # noqa: PLC0415 - only a page waits for the templates

        return page(facts, diagnosis)
    return machine.junit(diagnosis) if output == "junit" else machine.sarif(diagnosis)


def _default_target(output: str, cluster: str) -> Path | None:
    """A page on a terminal helps nobody: it goes into a file of this folder."""
    return (
        Path(f"devenv-{cluster}.html")
        if output == "html" and console.result().is_terminal
        else None
    )


def _emit(content: str, target: Path | None) -> None:
    if target is None:
        console.document(content)
        return
    files.write_text(content, target)
    if not targets.is_stdout(target):
        console.progress().print(f"Written to {target}.", markup=False)
