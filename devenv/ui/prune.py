"""`prune`: what would be removed, what was, and the journal."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from devenv.base.json_types import JsonMap, JsonObject
from devenv.disk.ledgers import Disk
from devenv.disk.plan import Thing
from devenv.disk.prune import DiskPlan, Outcome, Proposal, RemovalResult
from devenv.ports.host import Space
from devenv.ports.reporter import Say
from devenv.profiles.quantities import show
from devenv.ui import console, prompts
from devenv.ui.console import print_line
from devenv.ui.disk import (
    disk_names,
    disk_shape,
    name_shape,
    name_with_place,
    removal_lines,
    removal_shape,
    thing_shape,
)
from devenv.ui.marks import CHECK, PART_CROSS, QUESTION, dim
from devenv.ui.render import Report, shapes, show_aside
from devenv.ui.times import local_second


def plan(proposed: Proposal) -> Report:
    """Report what would be removed, disk by disk."""

    def text(out: Console) -> None:
        for disk_plan in proposed.plans:
            _print_disk_plan(out, disk_plan)
            if disk_plan.frees < _reachable_goal(disk_plan):
                _print_kept(out, proposed.survey.on(disk_plan.disk))
        if not any(disk_plan.goal for disk_plan in proposed.plans):
            advice = "nothing is to be removed. --free SIZE frees more."
            out.print(f"{CHECK} No disk is above its budget; {advice}")
        for name, reason in proposed.survey.unknown.items():
            print_line(out, f"{QUESTION} {escape(name)} stays as it is: {escape(reason)}")

    return Report("prune-plan", lambda: plan_shape(proposed), text)


def confirm_first(proposed: Proposal, say: Say) -> bool:
    """Show the plan of a prune that another command needs, and return whether it may run."""
    show_aside(plan(proposed))
    if not console.interactive():
        say(
            "This is not a terminal, so devenv can't ask. "
            "Run `devenv prune`, or set `auto_prune: yes` in config.yaml."
        )
    return prompts.confirmed("Remove all of this first?")


def _reachable_goal(disk_plan: DiskPlan) -> int:
    """Return the bytes that should go.

    If inodes are short, the goal is to free everything: the disk's size stands for that.
    """
    return min(disk_plan.goal, disk_plan.disk.space.total)


def _print_disk_plan(out: Console, disk_plan: DiskPlan) -> None:
    """Print what would be removed from a disk; nothing if the disk has no goal."""
    if not disk_plan.goal:
        return
    names = escape(disk_names(disk_plan.disk))
    if not disk_plan.removals:
        print_line(out, f"{PART_CROSS} {names}: nothing that may be removed frees anything.")
        return
    size = show(disk_plan.frees)
    print_line(out, f"[bold]{names}[/bold]: {size} can be freed{_shortfall(disk_plan)}")
    for line in removal_lines(disk_plan):
        print_line(out, f"  {escape(line)}")


def _shortfall(disk_plan: DiskPlan) -> str:
    """Say how much should go if less can. Nothing is said if inodes are short."""
    goal = disk_plan.goal
    if disk_plan.frees >= goal or goal > disk_plan.disk.space.total:
        return ""
    return f"; the goal is {show(goal)}"


def _print_kept(out: Console, things: Sequence[Thing]) -> None:
    """Print why things stay, and how many for each reason; `-o json` says which."""
    counts = Counter[str]()
    parts: dict[str, dict[tuple[str, str], int]] = {}
    for thing in things:
        if thing.kept:
            reason = _reason(thing)
            counts[reason] += 1
            # A part that several things share counts once.
            parts.setdefault(reason, {}).update(_placed_parts(thing))
    for reason, count in counts.most_common():
        size = show(sum(parts[reason].values()))
        items = "1 item stays" if count == 1 else f"{count} items stay"
        line = dim(f"{size:>10}  {items}: {reason}")
        print_line(out, f"  {line}")


def _placed_parts(thing: Thing) -> dict[tuple[str, str], int]:
    """Return a thing's parts by place and name: two nodes have a layer each on its own."""
    return {(thing.place, name): size for name, size in thing.parts.items()}


def _reason(thing: Thing) -> str:
    """Return why a thing stays, without names, so that equal reasons can be counted."""
    if thing.kept.startswith("the container "):
        return "a container uses it"
    return thing.kept


def plan_shape(proposed: Proposal) -> JsonObject:
    """Shape of `prune --dry-run`. Sizes in bytes."""
    kept_things = [thing for thing in proposed.survey.things if thing.kept]
    return {
        "disks": shapes(_disk_plan_shape, proposed.plans),
        "kept": shapes(_kept_shape, kept_things),
        "unknown": dict(proposed.survey.unknown),
    }


def _disk_plan_shape(disk_plan: DiskPlan) -> JsonObject:
    return {
        **disk_shape(disk_plan.disk),
        "goal": _reachable_goal(disk_plan),
        "frees": disk_plan.frees,
        "removals": shapes(removal_shape, disk_plan.removals),
    }


def _kept_shape(thing: Thing) -> JsonObject:
    return {**name_shape(thing), "why": thing.kept}


def outcome(result: Outcome) -> Report:
    """Report what was removed, what it freed, and how full the disks are now."""

    def text(out: Console) -> None:
        for step in _skipped(result):
            name = escape(name_with_place(step.thing))
            print_line(out, f"[yellow]-[/yellow] {name} stays: {escape(step.skipped)}")
        out.print(_sum_line(result))
        _print_disks(out, result)

    return Report("prune", lambda: outcome_shape(result), text)


def _print_disks(out: Console, result: Outcome) -> None:
    for disk, space in _disks_with_space(result):
        names = escape(disk_names(disk))
        free, earlier_free = show(space.free), show(disk.space.free)
        print_line(out, f"  {names}: {free} free, {earlier_free} before")
    for disk in result.unfinished:
        name = escape(disk.names[0])
        failure = "is still too full" if disk.over else "gave back less than you asked for"
        out.print(f"{PART_CROSS} {name} {failure}; `devenv disk` shows what uses it.")


def _disks_with_space(result: Outcome) -> Iterator[tuple[Disk, Space]]:
    """Return the disks as they were before the prune, each with its space after it."""
    return zip(result.disks, result.spaces, strict=True)


def _sum_line(result: Outcome) -> str:
    """Compare what was freed with what was expected."""
    mark = PART_CROSS if result.unfinished else CHECK
    removed = _removed(result)
    freed = show(max(0, result.freed))
    expected = show(_estimate(removed))
    plural = "" if len(removed) == 1 else "s"
    return f"{mark} Freed {freed} with {len(removed)} removal{plural}; expected {expected}."


def _removed(result: Outcome) -> list[RemovalResult]:
    return [step for step in result.removals if not step.skipped]


def _skipped(result: Outcome) -> list[RemovalResult]:
    return [step for step in result.removals if step.skipped]


def _estimate(steps: Sequence[RemovalResult]) -> int:
    return sum(step.estimated for step in steps)


def outcome_shape(result: Outcome) -> JsonObject:
    """Shape of `prune`. Sizes in bytes."""
    removed = _removed(result)
    disks = []
    for disk, space in _disks_with_space(result):
        is_unfinished = disk in result.unfinished
        disks.append({**disk_shape(disk), "free_after": space.free, "left": is_unfinished})
    return {
        "removed": shapes(_removal_result_shape, removed),
        "skipped": shapes(_removal_result_shape, _skipped(result)),
        "freed": result.freed,
        "estimated": _estimate(removed),
        "disks": disks,
    }


def _removal_result_shape(step: RemovalResult) -> JsonObject:
    return {
        **thing_shape(step.thing),
        "estimated": step.estimated,
        "measured": step.measured,
        "why": step.skipped,
    }


def history(entries: Sequence[JsonMap]) -> Report:
    """Report the journal, estimated against measured."""

    def text(out: Console) -> None:
        shown_entries = _without_ended_starts(entries)
        for entry in shown_entries:
            time = local_second(float(entry["at"]))
            sentence = escape(_entry_text(entry))
            print_line(out, f"{time}  {sentence}")
        if not shown_entries:
            out.print("Nothing was removed so far.")

    return Report("prune-history", lambda: {"entries": shapes(dict, entries)}, text)


def _without_ended_starts(entries: Sequence[JsonMap]) -> list[JsonMap]:
    """Leave out the start of each removal whose end is in the journal, too."""
    ended = set()
    for entry in entries:
        if entry.get("event") in {"removed", "skipped"}:
            ended.add(_removal_key(entry))

    def is_over(entry: JsonMap) -> bool:
        return entry.get("event") == "remove" and _removal_key(entry) in ended

    return [entry for entry in entries if not is_over(entry)]


def _removal_key(entry: JsonMap) -> tuple[Any, ...]:
    """Return what the entries about one removal have in common."""
    return (entry.get("place"), entry.get("id"), entry.get("estimated"))


def _entry_text(entry: JsonMap) -> str:
    """Say what a journal entry records; other events have a sentence of their own."""
    name = entry.get("name")
    who = f"({entry.get('who', '')})"
    match entry.get("event"):
        case "removed":
            return f"removed {name}: {_entry_sizes(entry)} {who}"
        case "skipped":
            return f"kept {name}: {entry.get('why')} {who}"
        case "remove":
            return f"started to remove {name}; the result was not recorded {who}"
        case event:
            return f"{event}: {entry.get('says', '')}"


def _entry_sizes(entry: JsonMap) -> str:
    measured = int(entry.get("measured", 0))
    estimated = int(entry.get("estimated", 0))
    return f"{show(measured)} freed, {show(estimated)} expected"
