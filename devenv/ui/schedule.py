"""`schedule`: when the daily job runs, and what its last run did."""

import sys
from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.markup import escape

from devenv.base.json_types import JsonObject
from devenv.disk.schedule import Job
from devenv.recovery import scheduled
from devenv.ui.console import print_line
from devenv.ui.marks import CHECK, PART_CROSS
from devenv.ui.render import Report
from devenv.workstation.schedule import State

_TIME = "%a %Y-%m-%d %H:%M"


def installed(state: State) -> Report:
    """Report that the job is installed, and how to remove it."""

    def text(out: Console) -> None:
        _print_status(out, state)
        out.print("`devenv schedule remove` removes it; `devenv schedule run` runs it now.")

    return Report("schedule", lambda: status_shape(state), text)


def status(state: State) -> Report:
    """Report when the job runs, and how its last run went."""
    return Report("schedule", lambda: status_shape(state), lambda out: _print_status(out, state))


def _print_status(out: Console, state: State) -> None:
    """Print the job, whether its backend still has it, and what the last run said."""
    job = state.job
    if job is None:
        example = "devenv schedule install --at 11:45 --weekdays"
        out.print(f"Nothing is scheduled. Schedule a daily job with `{example}`.")
        return
    sentence = f"{_plan(job)}, by {job.backend}"
    if state.present:
        print_line(out, f"{CHECK} {sentence}")
        out.print(f"  next  {state.next:{_TIME}}")
    else:
        note = "but it was removed there; install it again"
        print_line(out, f"{PART_CROSS} {sentence}, {note}")
    if job.backend == "cron":
        out.print("  [dim]Needs a running cron daemon. Missed runs are skipped.[/dim]")
    if state.last_at:
        time = _spell(state.last_at)
        print_line(out, f"  last  {time}: {escape(state.last_says)}")
    else:
        out.print("  last  not yet")


def _plan(job: Job) -> str:
    """Say what the job does, when, and for which cluster."""
    what = "prune, doctor and recover" if job.recover else "prune and doctor"
    days = "on weekdays" if job.weekdays else "every day"
    return f"{what} {days} at {job.at} for the cluster {escape(job.cluster)}"


def _spell(time: float) -> str:
    return f"{datetime.fromtimestamp(time).astimezone():{_TIME}}"


def status_shape(state: State) -> JsonObject:
    """Shape of `schedule status`. Times in seconds since 1970."""
    next_run = None
    if state.next and state.present:
        next_run = round(state.next.timestamp())
    last_run = None
    if state.last_at:
        last_run = {"at": round(state.last_at), "says": state.last_says}
    return {
        "installed": state.present,
        "job": _job_shape(state.job),
        "next": next_run,
        "last": last_run,
    }


def _job_shape(job: Job | None) -> JsonObject | None:
    if job is None:
        return None
    return {
        "at": job.at,
        "weekdays": job.weekdays,
        "recover": job.recover,
        "cluster": job.cluster,
        "backend": job.backend,
        "python": job.python,
    }


def removed(backends: Sequence[str]) -> Report:
    """Report from which schedulers the job was removed."""

    def text(out: Console) -> None:
        if backends:
            out.print(f"removed from {', '.join(backends)}")
        else:
            out.print("Nothing was scheduled.")

    return Report("schedule-remove", lambda: {"removed": list(backends)}, text)


def ran(report: scheduled.Report) -> Report:
    """Report what a run did.

    In a pipe, the text is empty if there was nothing to do: cron mails every output.
    """

    def text(out: Console) -> None:
        if report.says or sys.stdout.isatty():
            mark = CHECK if report.well else PART_CROSS
            sentence = report.says or "All is well."
            print_line(out, f"{mark} {escape(sentence)}")

    return Report("schedule-run", lambda: {"says": report.says, "well": report.well}, text)
