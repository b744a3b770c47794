"""What `reload-image` does besides a plain reload.

It asks, watches files, and returns to earlier images.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from devenv import streams
from devenv.base.errors import DevenvError, Exit

if TYPE_CHECKING:
    from devenv.profiles.model import Profile
    from devenv.reload.finder import ImageArgument
    from devenv.reload.reload import Reload, Result
    from devenv.wiring import World

# Seconds for a diagnosis.
_LOOK = 10.0


def run(
    world: "World",
    reload: "Reload",
    images: "Sequence[ImageArgument]",
    wait: float,
    watched_paths: Sequence[Path],
    output: str,
    *,
    dry_run: bool,
) -> int:
    """Reload once, show what a reload would do, or reload at every change of the watched paths.

    `images`: pairs of an image and its name in the nodes, "" for its own.
    """
    from devenv.ui import reload as reports
    from devenv.ui.render import render

    if dry_run:
        render(reports.plan(reload.session.cluster, reload.plan(images)), output)
        return Exit.OK
    if watched_paths:
        return watch(world, lambda: reload.run(images, wait), watched_paths, output)
    render(reports.result(reload.run(images, wait)), output)
    return Exit.OK


def undo(reload: "Reload", refs: Sequence[str], wait: float, output: str, *, dry_run: bool) -> int:
    """Return to earlier images, or show what that would do."""
    from devenv.ui import reload as reports
    from devenv.ui.render import render

    if dry_run:
        render(reports.return_plan(reload.session.cluster, reload.plan_undo(refs)), output)
    else:
        render(reports.returned(reload.undo(refs, wait)), output)
    return Exit.OK


def agree(
    world: "World", cluster: str, profile: "Profile", error: DevenvError, *, rollback: bool
) -> bool:
    """Show the failure and what is wrong with the cluster now; return whether to roll back."""
    from devenv.diagnosis.diagnose import diagnose
    from devenv.ui import diagnosis as reports
    from devenv.ui import errors, prompts
    from devenv.ui.render import show_aside

    errors.error(error)
    diagnosis = diagnose(world.facts(cluster, profile, _LOOK))
    show_aside(reports.diagnosis(diagnosis, everything=False))
    return rollback or prompts.confirmed("Return to the old image?", default=True)


def may_replace_first(error: DevenvError, *, agreed: bool) -> bool:
    """Return whether old pods may end first. Without a terminal, the error names the option."""
    from devenv.ui import console, errors, prompts

    if agreed:
        return True
    error.next_step = (
        "--replace-first ends the old pod before the new one is ready: requests fail meanwhile."
    )
    if not console.interactive():
        return False
    errors.error(error)
    return prompts.confirmed("End the old pod first? Requests fail until the new one is ready.")


def watch(
    world: "World", reload: "Callable[[], Result]", paths: Sequence[Path], output: str
) -> int:
    """Reload now and at every change; after a round that fails, the next one may succeed."""
    from devenv.ui import errors
    from devenv.ui import reload as reports

    code: int = Exit.OK

    def reload_once(changed_files: list[str]) -> None:
        nonlocal code
        try:
            reports.print_round(reload(), changed_files, output)
            code = Exit.OK
        except DevenvError as error:
            errors.error_of_round(error, output)
            code = error.exit_code

    with suppress(KeyboardInterrupt):
        for changed_files in world.changes(paths):
            reload_once(changed_files)
            if streams.is_unread():
                break
    return code
