"""devenv reload-image."""

from functools import partial
from pathlib import Path

import click

from devenv.cli.options import name_option, output_option, profile_option, wait_option
from devenv.errors import Exit


@click.command("reload-image")
@click.argument("refs", nargs=-1, required=True, metavar="REF...")
@name_option
@profile_option
@wait_option
@click.option(
    "--as",
    "known_as",
    metavar="NAME",
    help="The image's name in the nodes, if it is another than REF. For one REF.",
)
@click.option("--build", is_flag=True, help="First run the profile's build command for it.")
@click.option(
    "--watch",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH",
    help="Build and reload whenever something in PATH changes, until Ctrl-C; may be given several times.",
)
@click.option(
    "--restart/--no-restart",
    default=True,
    help="Restart the workloads that use it. [default: restart]",
)
@click.option(
    "--fix-pull-policy",
    is_flag=True,
    help="Set IfNotPresent where a workload would always pull the image.",
)
@click.option(
    "--rollback",
    is_flag=True,
    help="Return to the old image without asking if the new one does not become ready.",
)
@click.option(
    "--undo", is_flag=True, help="Return to the last other image that was proven in this cluster."
)
@click.option(
    "--replace-first", is_flag=True, help="End old pods first if new ones find no room beside them."
)
@click.option(
    "--node",
    "nodes",
    multiple=True,
    metavar="NODE",
    help="Only into this node; may be given several times.",
)
# A push whose bytes are dropped, in the background after a first load.
@click.option("--teach", is_flag=True, hidden=True)
@click.option("--dry-run", is_flag=True, help="Show what would move and restart, and do nothing.")
@output_option
def COMMAND(  # noqa: N802 - found by this name
    refs: tuple[str, ...], cluster: str, profile: str | None, known_as: str | None, output: str,
    *, wait: float, restart: bool, fix_pull_policy: bool, rollback: bool, undo: bool, replace_first: bool,
    teach: bool, dry_run: bool, build: bool, watch: tuple[Path, ...], nodes: tuple[str, ...],
) -> int:  # fmt: skip
    """Put rebuilt images into the cluster, without a registry: only layers that its nodes lack move.

    REF is an image in Docker by name or ID, an image of the profile by its name there, or a file: a `docker save` archive
    or an OCI layout.

    Restarts the workloads that use the images, one after the other, and waits for each. Then compares every new pod's
    running image with what was built, and sends a request on every route. Each node keeps the image that was proven
    before, and --undo returns to it.
    """
    if known_as and len(refs) > 1:
        raise click.UsageError("--as gives one image a name, and there are several.")
    if undo and (build or watch or rollback or known_as or nodes or fix_pull_policy or not restart):
        raise click.UsageError(
            "--undo goes with no option but --name, --profile, --dry-run, --replace-first and --output."
        )
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.cli import reloading  # noqa: PLC0415
    from devenv.reload.reload import Options  # noqa: PLC0415

    with wiring.world() as world:
        chosen = world.choice(cluster, profile).profile
        agree = partial(reloading.agree, world, cluster, chosen, rollback=rollback)
        make_room = partial(reloading.may_replace_first, agreed=replace_first)
        options = Options(restart, fix_pull_policy, build or bool(watch), nodes, agree, make_room)
        if not (teach or dry_run or undo):
            world.guard(cluster, chosen).make({"engine": 0, "host": 0}, wait)
        reload = world.reload(cluster, chosen, options)
        if teach:
            reload.teach(refs)
            return Exit.OK
        if undo:
            return reloading.undo(
                reload, cluster, refs, wait, dry_run=dry_run, as_json=output == "json"
            )
        wanted = [(ref, known_as or "") for ref in refs]
        return reloading.run(
            world, reload, wanted, wait, watch, dry_run=dry_run, as_json=output == "json"
        )
