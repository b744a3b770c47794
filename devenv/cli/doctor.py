"""devenv doctor."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from devenv.base.errors import Exit
from devenv.cli import values
from devenv.cli.looking import looking_seconds
from devenv.cli.options import name_option, profile_option, refuse_two_clusters
from devenv.ui.life import sign_of_life

if TYPE_CHECKING:
    from devenv.facts.model import Facts


_FILE = click.Path(dir_okay=False, allow_dash=True, path_type=Path)


@click.command("doctor")
@name_option
@profile_option
@click.option(
    "--timeout",
    type=click.FloatRange(1, 300),
    help="Seconds for collecting facts. [default: 10; with --long 40]",
)
@click.option(
    "--long",
    is_flag=True,
    help="Also ask devenv's mock for answers that take over 15 seconds.",
)
@click.option(
    "--all", "everything", is_flag=True, help="Also show harmless warnings and all evidence."
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="CODE[:REASON]",
    shell_complete=values.codes,
    help="Ignore a code, or one of Kubernetes' reasons: DE313:FailedMount; repeatable.",
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
    shell_complete=values.contexts,
    help="Diagnose any cluster by its kubeconfig context: read-only, without live requests.",
)
@click.option(
    "--compare",
    is_flag=False,
    flag_value="good",
    metavar="[FILE|good]",
    help="Show what differs from the last healthy `up` (good, the default) or from saved facts.",
)
@click.option("--list", "listing", is_flag=True, help="List all codes.")
@click.option(
    "--explain",
    metavar="CODE",
    shell_complete=values.codes,
    help="Explain a code: its meaning, cause and fix.",
)
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
    cluster: str,
    profile: str | None,
    timeout: float | None,
    ignore: tuple[str, ...],
    save: Path | None,
    source: Path | None,
    context: str | None,
    compare: str | None,
    explain: str | None,
    output: str,
    target: Path | None,
    *,
    everything: bool,
    listing: bool,
    long: bool,
) -> int:
    """Diagnose the cluster: root cause, onset, effects and fix.

    Changes nothing and takes no lock.

    Exits with 0 if all is well, 1 if not, 4 if something could not be determined.
    """
    with sign_of_life("Looking at the cluster"):
        from devenv.diagnosis import ignoring

    if listing or explain is not None:
        from devenv.ui import codes

        codes.show(explain, output)
        return Exit.OK
    refuse_two_clusters(source, context)
    seconds = looking_seconds(timeout, source, context, long=long)
    from devenv.ui import forms

    ignored_tags = list(map(ignoring.tag_of, ignore))
    forms.divert(save, target)
    with sign_of_life("Looking at the cluster"):
        good_facts = _good(cluster, compare) if compare is not None else None
        facts = _read(source) if source else _collect(cluster, profile, context, seconds, long=long)
    if save:
        forms.save(facts, save)
    if good_facts:
        comparison = forms.comparison(good_facts, facts, output, target)
        return Exit.OK if comparison.same else Exit.FAILED
    from devenv.diagnosis.diagnose import diagnose

    diagnosis = diagnose(facts, ignored_tags)
    forms.diagnosis(facts, diagnosis, output, target, everything=everything)
    return diagnosis.exit_code


def _good(cluster: str, compare: str) -> "Facts":
    from devenv import wiring

    if compare != "good":
        return _read(Path(compare))
    with wiring.world() as world:
        return _read(world.good_facts.path(cluster))


def _collect(
    cluster: str, profile: str | None, context: str | None, timeout: float, *, long: bool
) -> "Facts":
    from devenv import wiring

    with wiring.world() as world:
        if context:
            return world.facts_of_context(context, timeout)
        used_profile = world.choice(cluster, profile, looking=True).profile
        return world.own_facts(cluster, used_profile, timeout, long=long)


def _read(source: Path) -> "Facts":
    from devenv.facts import files

    return files.read(source)
