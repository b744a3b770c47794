"""devenv doctor."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from devenv.cli.options import name_option, profile_option, refuse_two_clusters
from devenv.errors import Exit
from devenv.ui.life import sign_of_life

if TYPE_CHECKING:
    from devenv.diagnosis.model import Diagnosis
    from devenv.facts.model import Facts


_FILE = click.Path(dir_okay=False, allow_dash=True, path_type=Path)


@click.command("doctor")
@name_option
@profile_option
@click.option(
    "--timeout",
    type=click.FloatRange(1, 300),
    default=10.0,
    show_default=True,
    help="Seconds for collecting facts.",
)
@click.option(
    "--all", "everything", is_flag=True, help="Also show harmless warnings and all evidence."
)
@click.option(
    "--ignore", multiple=True, metavar="CODE", help="Ignore a code; may be given several times."
)
@click.option("--save", type=_FILE, help="Save the facts to a file, redacted (-: standard output).")
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Diagnose saved facts.",
)
@click.option(
    "--context",
    metavar="NAME",
    help="Diagnose any cluster by its kubeconfig context: only read from it, send it nothing.",
)
@click.option(
    "--compare",
    is_flag=False,
    flag_value="good",
    metavar="[FILE|good]",
    help="Show what differs from saved facts; good: those that the last healthy `up` kept.",
)
@click.option("--list", "listing", is_flag=True, help="List all codes.")
@click.option("--explain", metavar="CODE", help="Explain a code: its meaning, cause and fix.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "html", "junit", "sarif"]),
    default="text",
    show_default=True,
    help="Output format; html is one self-contained page to attach to an issue.",
)
@click.option("--to", "target", type=_FILE, help="Write the result to a file (-: standard output).")
def COMMAND(  # noqa: N802 - found by this name
    cluster: str, profile: str | None, timeout: float, ignore: tuple[str, ...], save: Path | None, source: Path | None,
    context: str | None, compare: str | None,
    explain: str | None, output: str, target: Path | None, *, everything: bool, listing: bool,
) -> int:  # fmt: skip
    """Diagnose the cluster: one root cause with its evidence, onset, effects and fix.

    Changes nothing and takes no lock. Exits with 0 if all is well, 1 if not, 4 if something could not be determined.
    """
    with sign_of_life("Looking at the cluster"):
        from devenv.diagnosis import codes  # noqa: PLC0415 - help must not wait for it
        from devenv.ui import diagnosis as show  # noqa: PLC0415

    if listing or explain is not None:
        asked = list(codes.book().values()) if explain is None else [codes.get(explain)]
        show.codes_json(asked) if output == "json" else show.listing(
            asked
        ) if explain is None else show.explain(asked[0])
        return Exit.OK
    refuse_two_clusters(source, context)
    from devenv.ui import forms  # noqa: PLC0415

    for code in ignore:
        codes.get(code)
    forms.divert(save, target)
    with sign_of_life("Looking at the cluster"):
        good = _good(cluster, compare) if compare is not None else None
        facts = _read(source) if source else _collect(cluster, profile, context, timeout)
    if save:
        forms.save(facts, save)
    if good:
        return Exit.OK if forms.comparison(good, facts, output, target).same else Exit.FAILED
    from devenv.diagnosis.diagnose import diagnose  # noqa: PLC0415

    found = diagnose(facts, [code.upper() for code in ignore])
    forms.diagnosis(facts, found, output, target, everything=everything)
    return exit_code(found)


def _good(cluster: str, compare: str) -> "Facts":
    from devenv import wiring  # noqa: PLC0415

    if compare != "good":
        return _read(Path(compare))
    with wiring.world() as world:
        return _read(world.good_file(cluster))


def exit_code(found: "Diagnosis") -> int:
    """Return 0 where all is well, 1 where something is wrong or under way, 4 where something could not be told."""
    if found.causes or found.progress:
        return Exit.FAILED
    return Exit.UNKNOWN if found.unknown else Exit.OK


def _collect(cluster: str, profile: str | None, context: str | None, timeout: float) -> "Facts":
    from devenv import wiring  # noqa: PLC0415

    with wiring.world() as world:
        if context:
            return world.facts_of_context(context, timeout)
        return world.own_facts(
            cluster, world.choice(cluster, profile, looking=True).profile, timeout
        )


def _read(source: Path) -> "Facts":
    from devenv.facts import files  # noqa: PLC0415

    return files.read(source)
