"""devenv bugreport."""

from pathlib import Path

import click

from devenv.cli.options import name_option, output_option, profile_option
from devenv.cli.origins import sources
from devenv.ui.life import sign_of_life


@click.command("bugreport")
@name_option
@profile_option
@click.option(
    "--to",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the archive to this file. [default: devenv-bugreport-NAME-TIME.tar.gz here]",
)
@output_option
@click.pass_context
def COMMAND(  # noqa: N802 - found by this name
    ctx: click.Context, cluster: str, profile: str | None, target: Path | None, output: str
) -> None:
    """Collect what a bug report needs into one archive, redacted.

    Facts and diagnosis, the components' logs, versions, settings with their sources, and devenv's
    own state, logs and journal. Leaves out what does not answer, and says so: engine, cluster and
    API server may be down. Takes at most a minute.

    Prints the archive's name. Only you can read the file; never overwrites one.
    """
    with sign_of_life("Collecting facts, logs and versions"):
        from devenv import wiring
        from devenv.ui import bugreport as reports
        from devenv.ui.render import render
        from devenv.workstation import bugreport_archive

        with wiring.world() as world:
            path = target or bugreport_archive.default_path(cluster, world.clock.now())
            bugreport_archive.refuse_existing(path)
            collected = world.bugreport(cluster, profile, sources(ctx)).collect()
        contents = reports.contents_text(collected)
        size = bugreport_archive.write(collected, contents, path)
    render(reports.archive(collected, path, size), output)
