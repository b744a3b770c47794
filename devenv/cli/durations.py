"""Options that take a length of time, such as 30s."""

import re

import click

# Unit → seconds.
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_of(_ctx: click.Context, _option: click.Parameter, value: str | None) -> int:
    """Return how many seconds a duration has, 0 if none was given."""
    if value is None:
        return 0
    match = re.fullmatch(r"(\d{1,6})([smhd])", value)
    if not match or int(match[1]) == 0:
        raise click.BadParameter(f"{value!r} is not a duration; write it like 30s, 10m or 2h")
    return int(match[1]) * _UNITS[match[2]]
