"""devenv exec."""

import click

from devenv.cli.additions import leave_out_total
from devenv.cli.options import name_option, profile_option
from devenv.ports.names import Names


@click.command("exec", options_metavar="[OPTIONS]")
@click.argument("component")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND [ARGUMENT]...]")
@name_option
@profile_option
def COMMAND(  # noqa: N802 - found by this name
    component: str, command: Names, cluster: str, profile: str | None
) -> int:
    """Run a command in a component's pod; without one, a shell.

    Where the image has no shell, the command runs in a container of busybox that joins the pod and
    stays in it until the pod is replaced. There, the component's files are under /proc/1/root. A
    program that busybox lacks runs in the component's own container.

    Ends with the command's exit code.
    """
    leave_out_total()
    from devenv import wiring
    from devenv.ui.console import has_terminal

    with wiring.world() as world:
        used_profile = world.choice(cluster, profile, looking=True).profile
        pod_exec = world.pod_exec(cluster, used_profile)
        return pod_exec.run(component, command, has_terminal=has_terminal())
