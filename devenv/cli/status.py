"""devenv status."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from devenv.cli.options import name_option, output_option, profile_option
from devenv.errors import DevenvError, Exit
from devenv.ui.life import sign_of_life

if TYPE_CHECKING:
    from devenv.lifecycle.status import Status, StatusReader

# Seconds from one look to the next.
_PAUSE = 2.0


@click.command("status")
@name_option
@profile_option
@click.option(
    "--watch",
    is_flag=True,
    help="Refresh every 2 s until Ctrl-C; with -o json, print one line per change.",
)
@output_option
def COMMAND(cluster: str, profile: str | None, output: str, *, watch: bool) -> int:  # noqa: N802 - found by this name
    """Show the components, what each still lacks, the URL and the disks. Exits with 0 only if all are ready."""
    with sign_of_life("Looking at the cluster"):
        from devenv import wiring  # noqa: PLC0415 - help must not wait for it
        from devenv.ui import reports  # noqa: PLC0415

    with wiring.world() as world:
        with sign_of_life("Looking at the cluster"):
            reader = world.status(cluster, world.choice(cluster, profile, looking=True))
            state = None if watch else reader.read()
        if state is None:
            return _watch(reader, world.clock.sleep, output)
    if output == "json":
        reports.emit_json("status", reports.status_json(state))
    else:
        reports.status(state)
    return _code(state)


def _code(state: "Status") -> int:
    return Exit.OK if state.ready else Exit.UNKNOWN if state.unknown else Exit.FAILED


def _watch(reader: "StatusReader", sleep: Callable[[float], None], output: str) -> int:
    """Look until interrupted, which is how one stops looking; exit as the last look says."""
    from devenv.ui import reports  # noqa: PLC0415 - help must not wait for it
    from devenv.ui.watch import watch  # noqa: PLC0415

    code: int = Exit.UNKNOWN

    def looks() -> Iterator[tuple[object, list[str]]]:
        nonlocal code
        while True:
            try:
                state = reader.read()
                code = _code(state)
                yield reports.status_json(state), reports.status_lines(state)
            except DevenvError as error:
                # An engine that is gone may come back.
                code = error.exit_code
                yield reports.error_json(error), reports.error_lines(error)
            sleep(_PAUSE)

    with suppress(KeyboardInterrupt):
        if output == "json":
            reports.emit_changes("status", (result for result, _ in looks()))
        else:
            watch(lines for _, lines in looks())
    return code
