"""devenv kubectl."""

import click

from devenv.cli.additions import leave_out_total
from devenv.cli.options import name_option
from devenv.cli.passing import PassingCommand, chosen_cluster
from devenv.ports.names import Names


@click.command("kubectl", cls=PassingCommand)
@name_option
def COMMAND(cluster: str, arguments: Names) -> int:  # noqa: N802 - found by this name
    """Run kubectl on the cluster; everything after `kubectl` is passed on to it.

    So `-n` is a namespace here. The cluster is the default one, or that of DEVENV_CLUSTER.

    Uses this machine's kubectl. If there is none, uses the one in the node, which does not see this
    machine's files: pass them by standard input. Ends with kubectl's exit code.
    """
    leave_out_total()
    from devenv import wiring
    from devenv.ui.console import has_terminal

    with wiring.world() as world:
        kubectl = world.kubectl(chosen_cluster(cluster))
        return kubectl.attach(arguments, has_terminal=has_terminal())
