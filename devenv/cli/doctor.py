"""devenv doctor."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from devenv.cli.options import name_option, profile_option
from devenv.errors import Exit

if TYPE_CHECKING:
    from devenv.diagnosis.model import Diagnosis
    from devenv.facts.model import Facts


@click.command("doctor")
@name_option
@profile_option
@click.option("--timeout", type=click.FloatRange(1, 300), default=10.0, show_default=True, help="Seconds for all looks together.")
@click.option("--all", "everything", is_flag=True, help="Show also what looks alarming and is harmless, and all evidence.")
@click.option("--ignore", multiple=True, metavar="CODE", help="Leave a code out; may be given several times.")
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), help="Write the facts to a file, redacted.")
@click.option("--from", "source", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Diagnose a saved file.")
@click.option(
    "--compare",
    is_flag=False,
    flag_value="good",
    metavar="[FILE|good]",
    help="Show what differs from a saved look; good: the one that the last healthy `up` has kept.",
)
@click.option("--list", "listing", is_flag=True, help="List all codes.")
@click.option("--explain", metavar="CODE", help="Say what a code means, why it happens, and its fix.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "html", "junit", "sarif"]),
    default="text",
    show_default=True,
    help="The form of the result; html is one page that loads nothing, to be attached to an issue.",
)
@click.option("--to", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write the result to a file.")
def COMMAND(  # noqa: N802 - found by this name
    cluster: str, profile: str | None, timeout: float, ignore: tuple[str, ...], save: Path | None, source: Path | None,
    compare: str | None, explain: str | None, output: str, target: Path | None, *, everything: bool, listing: bool,
) -> int:  # fmt: skip
    """Say what is wrong: one root cause, its evidence, since when, what follows from it, and the fix.

    Changes nothing and takes no lock. Exits with 0 if all is well, 1 if not, 4 if something could not be told.
    """
    from devenv.diagnosis import codes  # noqa: PLC0415 - help must not wait for it
    from devenv.ui import diagnosis as show  # noqa: PLC0415

    if listing or explain:
        asked = [codes.get(explain)] if explain else list(codes.book().values())
        show.codes_json(asked) if output == "json" else show.explain(asked[0]) if explain else show.listing(asked)
        return Exit.OK
    for code in ignore:
        codes.get(code)
    good = _good(cluster, compare) if compare else None
    facts = _read(source) if source else _collect(cluster, profile, timeout)
    if save:
        _save(facts, save)
    if good:
        return _compare(good, facts, output, target)
    from devenv.diagnosis.diagnose import diagnose  # noqa: PLC0415

    found = diagnose(facts, [code.upper() for code in ignore])
    if output in {"html", "junit", "sarif"}:
        _emit(_document(facts, found, output), target or _default_target(output, found.cluster))
    elif target:
        _emit(show.envelope_text(found) if output == "json" else show.plain_text(found, everything=everything), target)
    elif output == "json":
        show.diagnosis_json(found)
    else:
        show.diagnosis(found, everything=everything)
    return exit_code(found)


def _document(facts: "Facts", found: "Diagnosis", output: str) -> str:
    if output == "html":
        from devenv.ui.page import page  # noqa: PLC0415 - only a page waits for the templates

        return page(facts, found)
    from devenv.ui import machine  # noqa: PLC0415

    return machine.junit(found) if output == "junit" else machine.sarif(found)


def _default_target(output: str, cluster: str) -> Path | None:
    """A page on a terminal helps nobody: it goes into a file of this folder."""
    from devenv.ui import console  # noqa: PLC0415

    return Path(f"devenv-{cluster}.html") if output == "html" and console.result().is_terminal else None


def _emit(text: str, target: Path | None) -> None:
    from devenv.ui import console  # noqa: PLC0415

    if target is None:
        click.echo(text)
        return
    from devenv.facts import files  # noqa: PLC0415

    files.write_text(text, target)
    console.progress().print(f"Written to {target}.", markup=False)


def _good(cluster: str, compare: str) -> "Facts":
    from devenv import wiring  # noqa: PLC0415

    if compare != "good":
        return _read(Path(compare))
    with wiring.world() as world:
        return _read(world.good_file(cluster))


def _compare(good: "Facts", facts: "Facts", output: str, target: Path | None) -> int:
    from devenv.diagnosis.compare import compare  # noqa: PLC0415
    from devenv.ui import comparison as show  # noqa: PLC0415

    if output not in {"text", "json"}:
        raise click.UsageError(f"A comparison has no form {output}: text or json.")
    found = compare(good, facts)
    if target:
        _emit(show.envelope_text(good, facts, found) if output == "json" else show.plain_text(good, facts, found), target)
    else:
        show.comparison_json(good, facts, found) if output == "json" else show.comparison(good, facts, found)
    return Exit.OK if found.same else Exit.FAILED


def exit_code(found: "Diagnosis") -> int:
    """Return 0 where all is well, 1 where something is wrong or under way, 4 where something could not be told."""
    if found.causes or found.progress:
        return Exit.FAILED
    return Exit.UNKNOWN if found.unknown else Exit.OK


def _collect(cluster: str, profile: str | None, timeout: float) -> "Facts":
    from devenv import wiring  # noqa: PLC0415

    with wiring.world() as world:
        return world.facts(cluster, world.choice(cluster, profile).profile, timeout)


def _read(source: Path) -> "Facts":
    from devenv.facts import files  # noqa: PLC0415

    return files.read(source)


def _save(facts: "Facts", target: Path) -> None:
    from devenv.facts import files  # noqa: PLC0415
    from devenv.ui import console  # noqa: PLC0415

    files.write(facts, target)
    console.progress().print(f"Facts saved in {target}, redacted.", markup=False)
