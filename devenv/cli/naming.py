"""The option --name, which may stand before a command's name, too."""

import re
from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource

# What the root's context keeps of a name that stands before the command.
_NAME = "cluster"


def check_name(_ctx: click.Context, _option: click.Parameter, value: str) -> str:
    """Refuse what kind would refuse, before it becomes part of a path or a label."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,48}", value):
        raise click.BadParameter(
            f"{value!r} is not a cluster name: use at most 49 of a-z, 0-9, dot and dash, "
            "and begin with a letter or digit"
        )
    return value


class NameOption(click.Option):
    """--name of a command; without it, the one before the command counts as this one."""

    def consume_value(
        self, ctx: click.Context, opts: Mapping[str, click.Parameter]
    ) -> tuple[Any, ParameterSource]:
        """Return the name and where it is from, as click does."""
        value, source = super().consume_value(ctx, opts)
        name = _name_before_command(ctx)
        if name is None or source is ParameterSource.COMMANDLINE:
            return value, source
        return name, ParameterSource.COMMANDLINE


def keep_name(ctx: click.Context, _option: click.Parameter, name: str | None) -> None:
    """Keep the name that stands before the command: a callback of the root's --name."""
    if name is not None:
        ctx.obj[_NAME] = name


def add_refusal(command: click.Command) -> None:
    """Make a command without --name refuse one, before or after its own name.

    A command that passes its arguments on leaves theirs alone.
    """
    has_name = any(param.name == _NAME for param in command.params)
    if has_name or command.context_settings.get("ignore_unknown_options"):
        return
    option = click.Option(
        ["-n", "--name", _NAME], hidden=True, expose_value=False, callback=_refuse
    )
    command.params.append(option)


def _refuse(ctx: click.Context, _option: click.Parameter, value: str | None) -> None:
    if value is not None or _name_before_command(ctx) is not None:
        raise click.UsageError(f"`{ctx.command_path}` takes no --name: it concerns no cluster.")


def _name_before_command(ctx: click.Context) -> str | None:
    settings = ctx.find_root().obj or {}
    name: str | None = settings.get(_NAME)
    return name
