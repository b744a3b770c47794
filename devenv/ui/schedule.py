"""The prune that runs by itself: when it does, and what came of it."""

import sys
from datetime import datetime
from typing import Any

from rich.markup import escape

from devenv.lifecycle.schedule import State
from devenv.recovery.scheduled import Report
from devenv.ui import console
from devenv.ui.reports import emit_json


def installed(state: State) -> None:
    """Say that it is installed, and how to be rid of it."""
    status(state)
    console.result().print(
        "`devenv schedule remove` removes it; `devenv schedule run` does it now."
    )


def status(state: State) -> None:
    """Say when it runs, and how it went."""
    out = console.result()
    if state.job is None:
        out.print("Nothing is scheduled. `devenv schedule install --at 11:45 --weekdays` does it.")
        return
    job, mark = state.job, "[green]✓[/green]" if state.present else "[red]✗[/red]"
    days = "on weekdays" if job.weekdays else "every day"
    gone = "" if state.present else ", but somebody has removed it there; install it again"
    what = "prune, look, and recover" if job.recover else "prune and look"
    out.print(
        f"{mark} {what} {days} at {job.at} for the cluster {escape(job.cluster)}, by {job.backend}{gone}",
        soft_wrap=True,
    )
    if state.present:
        out.print(f"  next  {state.next:%a %Y-%m-%d %H:%M}")
    if job.backend == "cron":
        out.print("  [dim]A cron daemon must be running for it, and skips what it missed.[/dim]")
    if state.last_at:
        out.print(f"  last  {_when(state.last_at)}: {escape(state.last_says)}", soft_wrap=True)
    else:
        out.print("  last  not yet")


def _when(time: float) -> str:
    return f"{datetime.fromtimestamp(time).astimezone():%a %Y-%m-%d %H:%M}"


def status_json(state: State) -> None:
    """Print the same as JSON."""
    emit_json("schedule", status_shape(state))


def status_shape(state: State) -> dict[str, Any]:
    """Shape of `schedule status`. Times in seconds since 1970."""
    job = state.job
    return {
        "installed": state.present,
        "job": job and {
            "at": job.at, "weekdays": job.weekdays, "recover": job.recover, "cluster": job.cluster, "backend": job.backend,
            "python": job.python,
        },
        "next": round(state.next.timestamp()) if state.next and state.present else None,
        "last": {"at": round(state.last_at), "says": state.last_says} if state.last_at else None,
    }  # fmt: skip


def removed(backends: list[str]) -> None:
    """Say what was removed."""
    console.result().print(
        f"removed from {', '.join(backends)}" if backends else "Nothing was scheduled."
    )


def removed_json(backends: list[str]) -> None:
    """Print the same as JSON."""
    emit_json("schedule-remove", {"removed": backends})


def ran(report: Report) -> None:
    """Say what was done, nothing where there was nothing to do."""
    # Cron is told nothing where all is well.
    if report.says or sys.stdout.isatty():
        mark = "[green]✓[/green]" if report.well else "[red]✗[/red]"
        console.result().print(f"{mark} {escape(report.says or 'All is well.')}", soft_wrap=True)


def ran_json(report: Report) -> None:
    """Print the same as JSON."""
    emit_json("schedule-run", {"says": report.says, "well": report.well})
