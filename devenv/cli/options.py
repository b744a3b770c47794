"""Options that several commands share."""

import re
from collections.abc import Callable
from typing import Any

import click


def _cluster_name(_ctx: click.Context, _option: click.Parameter, value: str) -> str:
    """Refuse what kind would refuse, before it becomes part of a path or a label."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,48}", value):
        raise click.BadParameter(
            f"{value!r} is no cluster name: at most 49 of a-z, 0-9, dot and dash, beginning with a letter or digit"
        )
    return value


_LOCK_WAIT = 600.0  # seconds


def _seconds(_ctx: click.Context, _option: click.Parameter, value: bool) -> float:  # noqa: FBT001 - click's signature
    return _LOCK_WAIT if value else 0.0


name_option: Callable[[Any], Any] = click.option(
    "--name",
    "cluster",
    callback=_cluster_name,
    default="devenv",
    envvar="DEVENV_CLUSTER",
    show_default=True,
    help="The cluster's name.",
)
profile_option: Callable[[Any], Any] = click.option(
    "--profile",
    envvar="DEVENV_PROFILE",
    help="A profile's name, or a YAML file. [default: the one that the cluster remembers]",
)
output_option: Callable[[Any], Any] = click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="The form of the result.",
)
wait_option: Callable[[Any], Any] = click.option(
    "--wait/--no-wait",
    callback=_seconds,
    default=True,
    help="Wait for whoever is changing the cluster, or give up at once. [default: wait]",
)
