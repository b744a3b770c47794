"""devenv kubeconfig."""

import click

from devenv.cli.options import name_option


@click.command("kubeconfig")
@name_option
@click.option(
    "--path",
    "as_path",
    is_flag=True,
    help="Write it to a file of devenv's, and print the file's path instead.",
)
def COMMAND(cluster: str, *, as_path: bool) -> None:  # noqa: N802 - found by this name
    """Print a kubeconfig that leads to this cluster and nowhere else.

    It contains the keys of an administrator.

    `devenv down` removes the file of --path. Your own kubeconfig has the cluster, too, as the
    context kind-NAME.
    """
    from devenv import wiring
    from devenv.ui import console

    with wiring.world() as world:
        kubeconfig = world.kubeconfig(cluster)
        content = str(kubeconfig.write()) if as_path else kubeconfig.text().rstrip()
    console.document(content)
