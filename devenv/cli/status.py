"""devenv status."""

import click

from devenv.cli.options import name_option, output_option, profile_option
from devenv.errors import Exit


@click.command("status")
@name_option
@profile_option
@output_option
def COMMAND(cluster: str, profile: str | None, output: str) -> int:  # noqa: N802 - found by this name
    """Show the components, what each still lacks, the URL and the disks. Exits with 0 only if all are ready."""
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.ui import reports  # noqa: PLC0415

    with wiring.world() as world:
        state = world.status(cluster, world.choice(cluster, profile)).read()
    if output == "json":
        reports.emit_json("status", reports.status_json(state))
    else:
        reports.status(state)
    return Exit.OK if state.ready else Exit.UNKNOWN if state.unknown else Exit.FAILED
