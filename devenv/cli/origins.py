"""Where the values of a command's parameters are from."""

import click
from click.core import ParameterSource

_DEFAULT = "default"


def sources(ctx: click.Context) -> tuple[str, str]:
    """Return what named the cluster and the profile: an option, a variable, or "default".

    "" for a profile that neither named: something else chooses it.
    """
    profile = _source(ctx, "profile") if ctx.params.get("profile") else ""
    return _source(ctx, "cluster"), profile


def _source(ctx: click.Context, name: str) -> str:
    (param,) = [param for param in ctx.command.params if param.name == name]
    source = ctx.get_parameter_source(name)
    if source is ParameterSource.COMMANDLINE:
        return max(param.opts, key=len)
    if source is ParameterSource.ENVIRONMENT and isinstance(param, click.Option):
        return str(param.envvar)
    return _DEFAULT
