"""devenv reload-image."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devenv.cli.options import name_option, output_option, profile_option, wait_option
from devenv.errors import DevenvError, Exit

if TYPE_CHECKING:
    from devenv.profiles.model import Profile
    from devenv.reload.reload import Result
    from devenv.wiring import World


_LOOK = 10.0  # seconds for a diagnosis


@click.command("reload-image")
@click.argument("refs", nargs=-1, required=True, metavar="REF...")
@name_option
@profile_option
@wait_option
@click.option("--as", "known_as", metavar="NAME", help="The image's name in the nodes, if it is another than REF. For one REF.")
@click.option("--build", is_flag=True, help="First run the profile's build command for it.")
@click.option(
    "--watch",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH",
    help="Build and reload whenever something in PATH changes, until Ctrl-C; may be given several times.",
)
@click.option("--restart/--no-restart", default=True, help="Restart the workloads that use it. [default: restart]")
@click.option("--fix-pull-policy", is_flag=True, help="Set IfNotPresent where a workload would always pull the image.")
@click.option("--rollback", is_flag=True, help="Return to the old image, unasked, where the new one does not get ready.")
@click.option("--node", "nodes", multiple=True, metavar="NODE", help="Only into this node; may be given several times.")
@click.option("--teach", is_flag=True, hidden=True)  # a push whose bytes are dropped, in the background after a first load
@click.option("--dry-run", is_flag=True, help="Show what would move and restart, and do nothing.")
@output_option
def COMMAND(  # noqa: N802 - found by this name
    refs: tuple[str, ...], cluster: str, profile: str | None, known_as: str | None, output: str,
    *, wait: float, restart: bool, fix_pull_policy: bool, rollback: bool, teach: bool, dry_run: bool, build: bool,
    watch: tuple[Path, ...], nodes: tuple[str, ...],
) -> int:  # fmt: skip
    """Put images into the cluster: only the layers that its nodes lack, without a registry.

    REF is an image of the engine by name or ID, an image of the profile by its name there, or a file: what `docker save`
    writes, or an OCI layout as an archive or a folder.

    Then the workloads that use them are restarted, in the profile's order, each gated; every new pod's running image is
    compared with what was built, the live requests are sent, and the superseded image is removed.
    """
    if known_as and len(refs) > 1:
        raise click.UsageError("--as gives one image a name, and there are several.")
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.reload.reload import Options  # noqa: PLC0415
    from devenv.ui import reload as show  # noqa: PLC0415

    wanted = [(ref, known_as or "") for ref in refs]
    with wiring.world() as world:
        chosen = world.choice(cluster, profile).profile

        def agree(error: DevenvError) -> bool:
            return _agree(world, cluster, chosen, error, rollback=rollback)

        options = Options(restart, fix_pull_policy, build or bool(watch), nodes, agree)
        if not (teach or dry_run):
            world.guard(cluster, chosen).make({"engine": 0, "host": 0}, wait)
        reload = world.reload(cluster, chosen, options)
        if teach:
            reload.teach(refs)
            return Exit.OK
        if dry_run:
            plan = reload.plan(wanted)
            show.plan_json(cluster, plan) if output == "json" else show.plan(plan)
            return Exit.OK
        if watch:
            return _watch(world, lambda: reload.run(wanted, wait), watch)
        result = reload.run(wanted, wait)
    show.result_json(result) if output == "json" else show.result(result)
    return Exit.OK


def _agree(world: "World", cluster: str, profile: "Profile", error: DevenvError, *, rollback: bool) -> bool:
    """Show what is wrong with the cluster now, and return whether to go back to the old image."""
    from devenv.diagnosis.diagnose import diagnose  # noqa: PLC0415 - only where something failed
    from devenv.ui import diagnosis as show  # noqa: PLC0415
    from devenv.ui import prompts  # noqa: PLC0415

    world.reporter.say(str(error))
    show.diagnosis(diagnose(world.facts(cluster, profile, _LOOK)), everything=False, aside=True)
    return rollback or prompts.confirmed("Return to the old image?")


def _watch(world: "World", run: "Callable[[], Result]", paths: tuple[Path, ...]) -> int:
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
    return code
