"""What `reload-image` does besides a plain reload: it asks, watches, and returns to earlier images."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from devenv import streams
from devenv.errors import DevenvError, Exit

if TYPE_CHECKING:
    from devenv.profiles.model import Profile
    from devenv.reload.reload import Reload, Result
    from devenv.wiring import World

# Seconds for a diagnosis.
_LOOK = 10.0


def run(
    world: "World", reload: "Reload", wanted: list[tuple[str, str]], wait: float, watched: tuple[Path, ...],
    *, dry_run: bool, as_json: bool,
) -> int:  # fmt: skip
    """Reload once, show what a reload would do, or reload at every change of the watched paths."""
    from devenv.ui import reload as show  # noqa: PLC0415 - help must not wait for it

    if dry_run:
        plan = reload.plan(wanted)
        show.plan_json(reload.cluster, plan) if as_json else show.plan(plan)
        return Exit.OK
    if watched:
        return watch(world, lambda: reload.run(wanted, wait), watched)
    result = reload.run(wanted, wait)
    show.result_json(result) if as_json else show.result(result)
    return Exit.OK


def undo(
    reload: "Reload", cluster: str, refs: tuple[str, ...], wait: float, *, dry_run: bool, as_json: bool
) -> int:  # fmt: skip
    """Return to earlier images, or show what that would do."""
    from devenv.ui import reload as show  # noqa: PLC0415 - help must not wait for it

    if dry_run:
        show.return_plan(cluster, reload.plan_undo(refs), as_json=as_json)
        return Exit.OK
    returned = reload.undo(refs, wait)
    show.returned_json(returned) if as_json else show.returned(returned)
    return Exit.OK


def agree(
    world: "World", cluster: str, profile: "Profile", error: DevenvError, *, rollback: bool
) -> bool:
    """Show the failure and what is wrong with the cluster now; return whether to return to the old image."""
    from devenv.diagnosis.diagnose import diagnose  # noqa: PLC0415 - only where something failed
    from devenv.ui import diagnosis as show  # noqa: PLC0415
    from devenv.ui import prompts, reports  # noqa: PLC0415

    reports.error(error)
    show.diagnosis(diagnose(world.facts(cluster, profile, _LOOK)), everything=False, aside=True)
    return rollback or prompts.confirmed("Return to the old image?", default=True)


def may_replace_first(error: DevenvError, *, agreed: bool) -> bool:
    """Return whether old pods may end first. Where that can't be asked, the error names the option."""
    from devenv.ui import console, prompts, reports  # noqa: PLC0415 - only where something failed

    if agreed:
        return True
    error.next_step = (
        "--replace-first ends the old pod before the new one is ready: requests fail meanwhile."
    )
    if not console.interactive():
        return False
    reports.error(error)
    return prompts.confirmed("End the old pod first? Requests fail until the new one is ready.")


def watch(world: "World", run: "Callable[[], Result]", paths: tuple[Path, ...]) -> int:
    """Reload now and at every change; a round that fails is told, and the next one may be better."""
    from devenv.ui import reload as show  # noqa: PLC0415 - help must not wait for it
    from devenv.ui import reports  # noqa: PLC0415

    code: int = Exit.OK

    def round_(changed: list[str]) -> None:
        nonlocal code
        try:
            show.round_line(run(), changed)
            code = Exit.OK
        except DevenvError as error:
            reports.error(error)
            code = error.exit_code

    with suppress(KeyboardInterrupt):
        for changed in world.changes(paths):
            round_(changed)
            if streams.is_unread():
                break
    return code
