"""Who takes the disk, what would be removed, and what was."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape

from devenv.diagnosis.waste import earlier_builds
from devenv.disk.accounts import Share
from devenv.disk.budget import taken, used
from devenv.disk.plan import ENGINE, HOST, Thing, Worth
from devenv.disk.prune import DiskPlan, Done, Outcome, Proposal
from devenv.disk.survey import Disk, Ledger, Survey
from devenv.disk.waste import Waste
from devenv.profiles.quantities import show
from devenv.ui import console
from devenv.ui.reports import emit_json

# columns.
_BAR = 24
# Lines of a ledger.
_SHOWN = 6
_WORDS = {
    Worth.STALE: "nothing will use it again",
    Worth.BUILD_CACHE: "made again by the next build",
    Worth.DANGLING: "has no name",
    Worth.BLOB: "kept twice",
    Worth.SUPERSEDED: "a newer one has taken its place",
    Worth.CACHE: "made again by the next build",
    Worth.IMAGE: "not used",
}


def survey(survey: Survey, *, everything: bool) -> None:
    """Show each disk once, and below it who keeps what on it."""
    out = console.result()
    for disk in survey.disks:
        _disk(out, disk)
        ledgers = [x for x in survey.ledgers if x.device == disk.device]
        for ledger in ledgers:
            _ledger(out, ledger, everything=everything)
        listed = sum(share.size or 0 for x in ledgers for share in x.shares if not share.included)
        if (unlisted := used(disk.space) - listed) > 0:
            out.print(
                f"  {show(unlisted):>10}  everything else there  [dim]not devenv's, nor the engine's as far as is known[/dim]"
            )
        for line in waste_lines([w for w in survey.waste if w.place in disk.names]):
            out.print(
                f"  [yellow]![/yellow] {escape(line)}; a prune removes this first", soft_wrap=True
            )
    for name in survey.down:
        out.print(f"[yellow]?[/yellow] {escape(name)} does not run: what is in it is not known")
    for name, reason in survey.unknown.items():
        out.print(
            f"[yellow]?[/yellow] {escape(name)} could not be looked at: {escape(reason)}",
            soft_wrap=True,
        )


def _disk(out: Console, disk: Disk) -> None:
    space, colour = disk.space, "red" if disk.over else "green"
    bar = _bar(disk)
    names = " + ".join(disk.names)
    out.print(f"[bold]{escape(names)}[/bold]", soft_wrap=True)
    out.print(
        f"  [{colour}]{bar}[/{colour}] {show(used(space))} of {show(space.total)} in use, {show(space.free)} free"
    )
    if space.reserved:
        note = "[dim]not in use, but only root can use it[/dim]"
        out.print(f"  {show(space.reserved):>10}  reserved for root  {note}")
    over = taken(space) - disk.marks.high
    if disk.marks.short_of_inodes(space):
        out.print(
            f"  [red]✗[/red] only {space.free_inodes} of {space.total_inodes} inodes are free; run `devenv prune`"
        )
    if over > 0:
        out.print(
            f"  [red]✗[/red] {show(over)} above the budget, which {_end(disk)}; run `devenv prune`",
            soft_wrap=True,
        )
    else:
        out.print(f"  [green]✓[/green] {show(-over)} below the budget, which {_end(disk)}")
    if disk.full_in is not None:
        out.print(
            f"  [yellow]![/yellow] full in about {_duration(disk.full_in)} at the present rate"
        )


def _end(disk: Disk) -> str:
    """Say where the budget ends, so that the figures beside it add up."""
    counted = " with what is reserved" if disk.space.reserved else ""
    return f"ends at {show(disk.marks.high)}{counted}"


def _bar(disk: Disk) -> str:
    """Draw what is in use, what is reserved for root, and where the budget ends."""
    total = max(disk.space.total, 1)
    sizes = (used(disk.space), taken(disk.space), disk.marks.high)
    filled, reserved, mark = (round(_BAR * size / total) for size in sizes)
    cells = ["█" if n < filled else "▒" if n < reserved else "░" for n in range(_BAR)]
    mark = min(_BAR - 1, mark)
    if cells[mark] == "░":
        cells[mark] = "│"
    return "".join(cells)


def waste_lines(waste: Sequence[Waste]) -> list[str]:
    """Say whose waste it is, the largest first."""
    lines = []
    for each in waste:
        where = "" if each.place == ENGINE else f" in {each.place}"
        if each.build_cache:
            lines.append(f"{show(each.size)}: build cache that no image needs")
            continue
        lines.append(f"{show(each.size)}: {earlier_builds(each.count, each.former_name)}{where}")
    return lines


def _ledger(out: Console, ledger: Ledger, *, everything: bool) -> None:
    out.print(
        f"  [bold]{escape(ledger.name)}[/bold]  [dim]{escape(ledger.path)}[/dim]", soft_wrap=True
    )
    lines = ledger.shares if everything else _largest(ledger.shares)
    for share in lines:
        size = "unknown" if share.size is None else show(share.size)
        alone = (
            f"{show(share.alone)} of it alone"
            if share.alone is not None and share.alone != share.size
            else ""
        )
        note = ", ".join(filter(None, (alone, share.note)))
        out.print(
            f"  {size:>10}  {escape(share.what)}{f'  [dim]{escape(note)}[/dim]' if note else ''}",
            soft_wrap=True,
        )
        if share.command:
            command = f"[dim]devenv won't do this; you can: {escape(share.command)}[/dim]"
            out.print(f"              {command}", soft_wrap=True)
    if len(lines) < len(ledger.shares):
        out.print(
            f"              [dim]and {len(ledger.shares) - len(lines)} more; --all shows them[/dim]"
        )


def _largest(shares: Sequence[Share]) -> list[Share]:
    """The sums, and of single images, volumes and containers the largest."""
    single = _single(shares)
    largest = sorted((s for s in single if s.size), key=lambda s: -(s.size or 0))[
        : max(0, _SHOWN - 2)
    ]
    return [s for s in shares if s not in single or s in largest or s.what.startswith("log of ")]


def _single(shares: Sequence[Share]) -> list[Share]:
    """Return single things, of which there may be many."""
    return [s for s in shares if s.what.startswith(("image ", "volume ", "container ", "log of "))]


def survey_json(survey: Survey) -> None:
    """Print what was seen as JSON."""
    emit_json("disk", survey_shape(survey))


def survey_shape(survey: Survey) -> dict[str, Any]:
    """Shape of `disk`. Sizes in bytes, times in seconds."""
    return {
        "disks": [disk_shape(d) for d in survey.disks],
        "ledgers": [
            {
                "name": x.name, "path": x.path, "device": x.device,
                "budget": {"keep_free": x.budget.keep_free, "max_use": x.budget.max_use, "headroom": x.budget.headroom},
                "shares": [_share_shape(s) for s in x.shares],
            }
            for x in survey.ledgers
        ],
        "stopped": list(survey.down),
        "unknown": dict(survey.unknown),
        "waste": [asdict(w) for w in survey.waste],
    }  # fmt: skip


def _share_shape(share: Share) -> dict[str, Any]:
    shape = {"what": share.what, "size": share.size, "alone": share.alone, "note": share.note}
    return {**shape, "command": share.command}


def disk_shape(disk: Disk) -> dict[str, Any]:
    """Shape of one disk."""
    space = disk.space
    return {
        "device": disk.device, "names": list(disk.names), "total": space.total, "used": used(space), "free": space.free,
        "reserved": space.reserved,
        "total_inodes": space.total_inodes, "free_inodes": space.free_inodes, "high": disk.marks.high, "low": disk.marks.low,
        "over": disk.over, "full_in": None if disk.full_in is None else round(disk.full_in),
    }  # fmt: skip


# The plan


def proposal(proposed: Proposal) -> None:
    """Show what is about to be removed, before anybody is asked."""
    _show(console.progress(), proposed)


def planned(proposed: Proposal) -> None:
    """Show the same as a result."""
    _show(console.result(), proposed)


def _show(out: Console, proposed: Proposal) -> None:
    for each in proposed.plans:
        _plan(out, each)
        if each.frees < min(each.goal, each.disk.space.total):
            for line in _stays(proposed.survey.on(each.disk)):
                out.print(f"  [dim]{escape(line)}[/dim]", soft_wrap=True)
    if not any(p.goal for p in proposed.plans):
        out.print(
            "[green]✓[/green] No disk is above its budget; nothing is to be removed. --free SIZE frees more."
        )
    for name, reason in proposed.survey.unknown.items():
        out.print(
            f"[yellow]?[/yellow] {escape(name)} stays as it is: {escape(reason)}", soft_wrap=True
        )


def _plan(out: Console, each: DiskPlan) -> None:
    if not each.goal:
        return
    names = escape(" + ".join(each.disk.names))
    if not each.removals:
        out.print(f"[red]✗[/red] {names}: nothing that may go frees anything.", soft_wrap=True)
        return
    short = (
        ""
        if each.frees >= each.goal or each.goal > each.disk.space.total
        else f", of {show(each.goal)} that should go"
    )
    out.print(f"[bold]{names}[/bold]: {show(each.frees)} can be freed{short}", soft_wrap=True)
    for line in removal_lines(each):
        out.print(f"  {escape(line)}", soft_wrap=True)


def _stays(things: Sequence[Thing]) -> list[str]:
    """Return why things stay and how many for each reason; which they are `-o json` says."""
    counts, sizes = Counter[str](), Counter[str]()
    for thing in things:
        if thing.kept:
            counts[_reason(thing)] += 1
            # Parts that several things share count more than once: hence "up to".
            sizes[_reason(thing)] += thing.size
    return [
        f"{n:>10}  stay (up to {show(sizes[reason])}): {reason}"
        for reason, n in counts.most_common()
    ]


def _reason(thing: Thing) -> str:
    return "a container has it" if thing.kept.startswith("the container ") else thing.kept


def removal_lines(each: DiskPlan) -> list[str]:
    """Return what would be removed: what it frees, what it is, and why it may go."""
    lines = []
    for removal in each.removals:
        thing = removal.thing
        lines.append(
            f"{show(removal.frees):>10}  {_where(thing)} ({_WORDS[thing.worth]}{_last(thing)})"
        )
    return lines


def _where(thing: Thing) -> str:
    return thing.name if thing.place in {HOST, ENGINE} else f"{thing.name} in {thing.place}"


def _last(thing: Thing) -> str:
    if thing.used <= 0 or thing.worth is Worth.BLOB:
        return ""
    return f", last used {datetime.fromtimestamp(thing.used).astimezone():%Y-%m-%d %H:%M}"


def planned_json(proposed: Proposal) -> None:
    """Print a plan as JSON."""
    emit_json("prune-plan", plan_shape(proposed))


def plan_shape(proposed: Proposal) -> dict[str, Any]:
    """Shape of `prune --dry-run`. Sizes in bytes."""
    return {
        "disks": [
            {
                **disk_shape(p.disk), "goal": min(p.goal, p.disk.space.total), "frees": p.frees,
                "removals": [
                    {**thing_shape(r.thing), "frees": r.frees} for r in p.removals
                ],
            }
            for p in proposed.plans
        ],
        "kept": [{"place": t.place, "name": t.name, "why": t.kept} for t in proposed.survey.things if t.kept],
        "unknown": dict(proposed.survey.unknown),
    }  # fmt: skip


def thing_shape(thing: Thing) -> dict[str, Any]:
    """Shape of one thing."""
    return {
        "place": thing.place, "name": thing.name, "kind": thing.worth.name.lower(), "reason": _WORDS[thing.worth],
        "last_used": round(thing.used),
    }  # fmt: skip


# What came of it


def outcome(result: Outcome) -> None:
    """Say what was removed, what it freed, and how it stands now."""
    out = console.result()
    for step in result.done:
        if step.skipped:
            out.print(
                f"[yellow]-[/yellow] {escape(_where(step.thing))} stays: {escape(step.skipped)}",
                soft_wrap=True,
            )
    removed = [d for d in result.done if not d.skipped]
    mark = "[red]✗[/red]" if result.left else "[green]✓[/green]"
    estimate = sum(d.estimated for d in removed)
    out.print(
        f"{mark} {show(max(0, result.freed))} freed by {len(removed)} removals; {show(estimate)} were expected."
    )
    for disk, space in zip(result.before, result.after, strict=True):
        names = escape(" + ".join(disk.names))
        out.print(
            f"  {names}: {show(space.free)} free, {show(disk.space.free)} before", soft_wrap=True
        )
    for disk in result.left:
        out.print(
            f"[red]✗[/red] {escape(disk.names[0])} is still fuller than asked; `devenv disk` shows by what."
        )


def outcome_json(result: Outcome) -> None:
    """Print what came of it as JSON."""
    emit_json("prune", outcome_shape(result))


def outcome_shape(result: Outcome) -> dict[str, Any]:
    """Shape of `prune`. Sizes in bytes."""
    return {
        "removed": [_done_shape(d) for d in result.done if not d.skipped],
        "skipped": [_done_shape(d) for d in result.done if d.skipped],
        "freed": result.freed, "estimated": sum(d.estimated for d in result.done if not d.skipped),
        "disks": [
            {**disk_shape(d), "free_after": space.free, "left": d in result.left}
            for d, space in zip(result.before, result.after, strict=True)
        ],
    }  # fmt: skip


def _done_shape(step: Done) -> dict[str, Any]:
    return {
        **thing_shape(step.thing),
        "estimated": step.estimated,
        "measured": step.measured,
        "why": step.skipped,
    }


def history(entries: Sequence[Mapping[str, Any]]) -> None:
    """Show the journal, estimated against measured."""
    out = console.result()
    ended = {
        (e.get("place"), e.get("id"), e.get("estimated"))
        for e in entries
        if e.get("event") in {"removed", "skipped"}
    }
    shown = [
        e
        for e in entries
        if e.get("event") != "remove"
        or (e.get("place"), e.get("id"), e.get("estimated")) not in ended
    ]
    for entry in shown:
        time = datetime.fromtimestamp(float(entry["at"])).astimezone()
        out.print(f"{time:%Y-%m-%d %H:%M:%S}  {escape(_entry(entry))}", soft_wrap=True)
    if not shown:
        out.print("Nothing was removed so far.")


def _entry(entry: Mapping[str, Any]) -> str:
    who = f"({entry.get('who', '')})"
    if entry.get("event") == "removed":
        sizes = f"{show(int(entry.get('measured', 0)))} freed, {show(int(entry.get('estimated', 0)))} expected"
        return f"removed {entry.get('name')}: {sizes} {who}"
    if entry.get("event") == "skipped":
        return f"kept {entry.get('name')}: {entry.get('why')} {who}"
    if entry.get("event") == "remove":
        return f"began to remove {entry.get('name')}; the end of it was not written down {who}"
    return f"{entry.get('event')}: {entry.get('says', '')}"


def history_json(entries: Sequence[Mapping[str, Any]]) -> None:
    """Print the journal as JSON."""
    emit_json("prune-history", {"entries": [dict(e) for e in entries]})


def _duration(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"  # noqa: PLR2004
