"""How long a command looks at the cluster."""

from pathlib import Path

import click

# Seconds for collecting facts, without and with long requests; and the least with them.
_LOOK, _LONG_LOOK, _SHORTEST_LONG_LOOK = 10.0, 40.0, 30.0


def looking_seconds(
    timeout: float | None, source: Path | None, context: str | None, *, long: bool
) -> float:
    """Return the seconds for collecting facts. Raises UsageError if --long can't be done."""
    if not long:
        return timeout or _LOOK
    if source or context:
        raise click.UsageError("--long sends requests, which --from and --context don't.")
    if timeout and timeout < _SHORTEST_LONG_LOOK:
        least = f"{_SHORTEST_LONG_LOOK:.0f}"
        raise click.UsageError(f"--long takes up to {least} s: give a longer --timeout.")
    return timeout or _LONG_LOOK
