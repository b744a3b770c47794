"""Options that several commands share."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from devenv import DEFAULT_CLUSTER
from devenv.cli import values
from devenv.cli.naming import NameOption, check_name

if TYPE_CHECKING:
    from devenv.profiles.variant import Variant


def named() -> bool:
    """Whether --name was given with this command.

    A name from the environment, or the default, does not count.
    """
    return (
        click.get_current_context().get_parameter_source("cluster")
        is click.core.ParameterSource.COMMANDLINE
    )


def refuse_two_clusters(saved: Path | None, context: str | None) -> None:
    """Refuse a call that chooses the cluster twice: by a saved file, a context or a name."""
    # A script's variable may be unset: the user did not mean the local cluster.
    if context == "":
        raise click.UsageError(
            "--context is empty: name a context; `kubectl config get-contexts` lists them."
        )
    if saved and (context or named()):
        raise click.UsageError(
            "--from reads a saved file, which names its cluster: leave out --name and --context."
        )
    if context and named():
        raise click.UsageError("--name and --context both choose the cluster: pass only one.")


# Seconds to wait for a command that is changing the cluster.
_LOCK_WAIT = 600.0


def _seconds(_ctx: click.Context, _option: click.Parameter, value: bool) -> float:  # noqa: FBT001
    return _LOCK_WAIT if value else 0.0


name_option: Callable[[Any], Any] = click.option(
    "-n",
    "--name",
    "cluster",
    cls=NameOption,
    callback=check_name,
    default=DEFAULT_CLUSTER,
    envvar="DEVENV_CLUSTER",
    show_envvar=True,
    show_default=True,
    shell_complete=values.clusters,
    help="Cluster name.",
)
profile_option: Callable[[Any], Any] = click.option(
    "--profile",
    envvar="DEVENV_PROFILE",
    show_envvar=True,
    show_default="the cluster's own",
    shell_complete=values.profiles,
    help="Profile name or YAML file.",
)
output_option: Callable[[Any], Any] = click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Output format.",
)
wait_option: Callable[[Any], Any] = click.option(
    "--wait/--no-wait",
    callback=_seconds,
    default=True,
    help="Wait while another command changes the cluster, or fail at once. [default: wait]",
)


_VARIANT = (
    click.option(
        "--aibrix-version",
        "version",
        metavar="VERSION",
        shell_complete=values.versions,
        help="Use this release of AIBrix, such as v0.7.0.",
    ),
    click.option(
        "--manifests",
        multiple=True,
        type=click.Path(exists=True, path_type=Path),
        metavar="PATH",
        help="Take AIBrix's manifests from this file or folder, not from the release; repeatable.",
    ),
    click.option(
        "--checkout",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="PATH",
        help="Use AIBrix from this checkout; devenv renders its manifests and builds its programs.",
    ),
    click.option(
        "--make",
        is_flag=True,
        help="With --checkout: build the images with AIBrix's own make targets.",
    ),
    click.option(
        "--with",
        "extras",
        multiple=True,
        metavar="NAME",
        shell_complete=values.extras,
        help="Also install an optional component; repeatable. aibrix has one: metadata-service.",
    ),
    click.option(
        "--full",
        is_flag=True,
        help="Install everything as released: also metadata-service, gpu-optimizer and "
        "kuberay-operator. Requests 4.4 CPUs and 17 GiB of memory.",
    ),
)


def variant_options(command: Any) -> Any:
    """Add the options that choose among what a profile can install."""
    for option in reversed(_VARIANT):
        command = option(command)
    return command


def variant_of(chosen: Mapping[str, Any]) -> "Variant":
    """Return what those options chose.

    Raises UsageError if one of them makes no sense without another.
    """
    from devenv.profiles.variant import Variant

    if chosen["make"] and not chosen["checkout"]:
        raise click.UsageError("--make builds from a checkout: name it with --checkout.")
    flags = [name for name in ("make", "full") if chosen[name]]
    checkout = ""
    if chosen["checkout"]:
        checkout = str(chosen["checkout"].resolve())
    return Variant(
        version=chosen["version"] or "",
        options=tuple(dict.fromkeys([*chosen["extras"], *flags])),
        manifests=tuple(str(path.resolve()) for path in chosen["manifests"]),
        checkout=checkout,
    )
