"""devenv test-e2e."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from devenv.cli.options import name_option, output_option, profile_option, wait_option

if TYPE_CHECKING:
    from devenv.e2e.run import Report


@click.command("test-e2e")
@name_option
@profile_option
@click.option(
    "--checkout",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="PATH",
    help="Run the tests of this checkout. [default: the one that the cluster was made from]",
)
@click.option(
    "--run",
    "pattern",
    metavar="REGEX",
    help="Run only tests whose names match, as `go test -run` does.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(1, 86400),
    default=3600.0,
    show_default=True,
    help="Limit the whole run to this many seconds.",
)
@click.option("--keep", is_flag=True, help="Do not remove what the tests leave in the cluster.")
@click.option(
    "--junit",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write the results to this file, as JUnit XML.",
)
@wait_option
@output_option
@click.argument("arguments", nargs=-1, metavar="[-- GO_TEST_ARGUMENTS]...")
def COMMAND(  # noqa: N802 - found by this name
    arguments: tuple[str, ...],
    cluster: str,
    profile: str | None,
    checkout: Path | None,
    pattern: str | None,
    timeout: float,
    junit: Path | None,
    output: str,
    *,
    keep: bool,
    wait: float,
) -> int:
    """Run AIBrix's own end-to-end tests from a checkout against the cluster.

    Create the cluster with `devenv up --profile aibrix-e2e --checkout PATH`. While the tests run,
    the ports that they expect (8000, 6379, 8888) lead into the cluster. At the end, and after
    Ctrl-C, devenv removes what the tests left in the cluster.

    Exits with 0 if every test passed or was skipped, 1 if a test failed or did not finish, 2 if
    the checkout is missing or the profile names no tests, 3 if a port is in use, 4 if no test ran.
    """
    from devenv import wiring
    from devenv.e2e.run import Options
    from devenv.ui import e2e as reports
    from devenv.ui.render import render

    if pattern:
        arguments = (f"-run={pattern}", *arguments)
    with wiring.world() as world:
        choice = world.choice(cluster, profile)
        folder = str(checkout.resolve()) if checkout else choice.variant.checkout
        if junit:
            _check_target(junit)
        run = world.source_tests(cluster, choice.profile, folder)
        report = run.run(Options(arguments, timeout, keep), wait)
    if junit:
        _write(junit, report)
    render(reports.report(report), output)
    return report.exit_code


def _check_target(junit: Path) -> None:
    """Raise UsageError before the tests run if the file's folder is missing."""
    if not junit.absolute().parent.is_dir():
        raise click.UsageError(f"--junit: no such folder: {junit.absolute().parent}")


def _write(junit: Path, report: "Report") -> None:
    from devenv.facts import files
    from devenv.ui import e2e as reports

    files.write_text(reports.junit(report), junit)
