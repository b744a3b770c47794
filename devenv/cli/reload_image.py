"""devenv reload-image."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devenv.base.errors import Exit
from devenv.cli import values
from devenv.cli.additions import leave_out_total
from devenv.cli.options import name_option, output_option, profile_option, wait_option
from devenv.ports.names import Names

if TYPE_CHECKING:
    from devenv.reload.finder import ImageArgument


@click.command("reload-image")
@click.argument("refs", nargs=-1, required=True, metavar="REF...", shell_complete=values.images)
@name_option
@profile_option
@wait_option
@click.option(
    "--as",
    "node_name",
    metavar="NAME",
    help="Give the image this name in the nodes, instead of its own; only for a single REF.",
)
@click.option("--build", is_flag=True, help="First run the profile's build command for the image.")
@click.option(
    "--watch",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH",
    help="Build and reload whenever something in PATH changes, until Ctrl-C; repeatable.",
)
@click.option(
    "--restart/--no-restart",
    default=True,
    help="Restart the workloads that use the image. [default: restart]",
)
@click.option(
    "--fix-pull-policy",
    is_flag=True,
    help="Set imagePullPolicy to IfNotPresent in workloads that always pull the image.",
)
@click.option(
    "--rollback",
    is_flag=True,
    help="Return to the old image without asking if the new one does not become ready.",
)
@click.option(
    "--undo",
    is_flag=True,
    help="Return to the last image, other than the current one, that was proven in this cluster.",
)
@click.option(
    "--replace-first",
    is_flag=True,
    help="If new pods don't fit beside the old ones, end the old ones first.",
)
@click.option(
    "--node",
    "nodes",
    multiple=True,
    metavar="NODE",
    help="Load only into this node; repeatable.",
)
# A push whose bytes are dropped: devenv runs it in the background after a first load.
@click.option("--teach", is_flag=True, hidden=True)
@click.option("--dry-run", is_flag=True, help="Show what would move and restart, and do nothing.")
@output_option
def COMMAND(  # noqa: N802 - found by this name
    refs: Names,
    cluster: str,
    profile: str | None,
    node_name: str | None,
    output: str,
    *,
    wait: float,
    restart: bool,
    fix_pull_policy: bool,
    rollback: bool,
    undo: bool,
    replace_first: bool,
    teach: bool,
    dry_run: bool,
    build: bool,
    watch: tuple[Path, ...],
    nodes: Names,
) -> int:
    """Load a rebuilt image into the cluster, and prove that it runs.

    Needs no registry, and moves only the layers that the nodes lack.

    REF is the name or ID of an image in Docker, the name of an image in the profile, or a file:
    a `docker save` archive or an OCI layout.

    Restarts the workloads that use the images, one after the other, and waits for each. Then
    compares the image that every new pod runs with what was built, and sends a request on every
    route.
    Each node keeps the image that was proven before, and --undo returns to it.
    """
    if node_name and len(refs) > 1:
        raise click.UsageError("--as names one image, and you gave several.")
    if undo:
        _refuse_with_undo(build, watch, rollback, node_name, nodes, fix_pull_policy, not restart)
    if watch:
        leave_out_total()
    from devenv import wiring
    from devenv.cli import reloading
    from devenv.reload.reload import Options

    with wiring.world() as world:
        used_profile = world.profile_of(cluster, profile)
        agree = partial(reloading.agree, world, cluster, used_profile, rollback=rollback)
        may_replace_first = partial(reloading.may_replace_first, agreed=replace_first)
        options = Options(
            restart, fix_pull_policy, build or bool(watch), nodes, agree, may_replace_first
        )
        if not any((teach, dry_run, undo)):
            world.guard(cluster, used_profile).make({"engine": 0, "host": 0}, wait)
        reload = world.reload(cluster, used_profile, options)
        if teach:
            reload.teach(refs)
            return Exit.OK
        if undo:
            return reloading.undo(reload, refs, wait, output, dry_run=dry_run)
        images = _named_images(refs, node_name or "")
        return reloading.run(world, reload, images, wait, watch, output, dry_run=dry_run)


def _named_images(refs: Names, node_name: str) -> "list[ImageArgument]":
    """Return pairs of an image and its name in the nodes, "" for its own."""
    return [(ref, node_name) for ref in refs]


def _refuse_with_undo(*changes: object) -> None:
    """Raise UsageError if any option is set that changes more than a return does."""
    if any(changes):
        raise click.UsageError(
            "--undo goes only with --name, --profile, --dry-run, --replace-first and --output."
        )
