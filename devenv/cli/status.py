"""devenv status."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from devenv.base.errors import DevenvError, Exit
from devenv.cli.options import name_option, output_option, profile_option
from devenv.ui.life import sign_of_life

if TYPE_CHECKING:
    from devenv.cluster.status import Status, StatusReader

# Seconds from one reading to the next.
_PAUSE = 2.0


@click.command("status")
@name_option
@profile_option
@click.option(
    "-w",
    "--watch",
    is_flag=True,
    help="Refresh every 2 s until Ctrl-C; with -o json, print one line per change.",
)
@output_option
def COMMAND(  # noqa: N802 - found by this name
    cluster: str, profile: str | None, output: str, *, watch: bool
) -> int:
    """Show the components, what each is waiting for, the URL and the disks.

    Exits with 0 only if all components are ready.
    """
    with sign_of_life("Looking at the cluster"):
        from devenv import wiring
        from devenv.state.absence import no_cluster
        from devenv.ui.render import render
        from devenv.ui.status import status

    with wiring.world() as world:
        with sign_of_life("Looking at the cluster"):
            reader = world.status(cluster, world.choice(cluster, profile, looking=True))
            state = None if watch else reader.read()
        if state is None:
            return _watch(reader, world.clock.sleep, output)
        if not state.nodes:
            raise no_cluster(cluster, world.records)
    render(status(state), output)
    return _exit_code(state)


def _exit_code(state: "Status") -> int:
    if state.ready:
        return Exit.OK
    return Exit.UNKNOWN if state.unknown else Exit.FAILED


def _watch(reader: "StatusReader", sleep: Callable[[float], None], output: str) -> int:
    """Read until interrupted, which is how a user ends a watch; exit as the last reading says."""
    from devenv.ui.errors import error_lines, error_shape
    from devenv.ui.render import print_changes
    from devenv.ui.status import status_lines, status_shape
    from devenv.ui.watch import watch

    code: int = Exit.UNKNOWN

    def readings() -> Iterator[tuple[object, list[str]]]:
        nonlocal code
        while True:
            try:
                state = reader.read()
                code = _exit_code(state)
                yield status_shape(state), status_lines(state)
            except DevenvError as error:
                # An engine that is gone may come back.
                code = error.exit_code
                yield error_shape(error), error_lines(error)
            sleep(_PAUSE)

    with suppress(KeyboardInterrupt):
        if output == "json":
            print_changes("status", (shape for shape, _ in readings()))
        else:
            watch(lines for _, lines in readings())
    return code
