"""devenv status."""

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from devenv.base.errors import DevenvError, Exit
from devenv.cli.additions import leave_out_total
from devenv.cli.options import name_option, output_option, profile_option
from devenv.ui.life import sign_of_life

if TYPE_CHECKING:
    from devenv.cluster.status import Status
    from devenv.cluster.status_watch import Reading, StatusWatch


@click.command("status")
@name_option
@profile_option
@click.option(
    "-w",
    "--watch",
    is_flag=True,
    help="Show a live screen until Ctrl-C, with routes and events; in a pipe and with -o json, "
    "print each change.",
)
@output_option
def COMMAND(  # noqa: N802 - found by this name
    cluster: str, profile: str | None, output: str, *, watch: bool
) -> int:
    """Show the components, what each is waiting for, the URL and the disks.

    Exits with 0 only if all components are ready.
    """
    if watch:
        leave_out_total()
    with sign_of_life("Looking at the cluster"):
        from devenv import wiring
        from devenv.state.absence import no_cluster
        from devenv.ui.render import render
        from devenv.ui.status import status

    with wiring.world() as world:
        with sign_of_life("Looking at the cluster"):
            choice = world.choice(cluster, profile, looking=True)
            state = None if watch else world.status(cluster, choice).read()
        if state is None:
            return _watch(world.status_watch(cluster, choice), output)
        if not state.nodes:
            raise no_cluster(cluster, world.records)
    render(status(state), output)
    return _exit_code(state)


def _exit_code(state: "Status") -> int:
    if state.ready:
        return Exit.OK
    return Exit.UNKNOWN if state.unknown else Exit.FAILED


def _watch(watch: "StatusWatch", output: str) -> int:
    """Read until interrupted, which is how a user ends a watch; exit as the last reading says."""
    from devenv.ui import status_rounds
    from devenv.ui.render import print_changes
    from devenv.ui.watch import has_screen, print_rounds, show_screens

    last_reading: Reading | None = None

    def readings(*, everything: bool) -> "Iterator[Reading]":
        nonlocal last_reading
        for reading in watch.readings(everything=everything):
            last_reading = reading
            yield reading

    is_on_screen = output != "json" and has_screen()
    with suppress(KeyboardInterrupt):
        if output == "json":
            print_changes("status", map(status_rounds.shape, readings(everything=False)))
        elif is_on_screen:
            show_screens(map(status_rounds.screen, readings(everything=True)))
        else:
            print_rounds(map(status_rounds.in_lines, readings(everything=False)))
    if last_reading is None:
        return Exit.UNKNOWN
    if is_on_screen:
        # The screen is gone with all that it showed.
        status_rounds.print_last(last_reading)
    if isinstance(last_reading.state, DevenvError):
        return last_reading.state.exit_code
    return _exit_code(last_reading.state)
