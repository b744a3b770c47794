"""`disk`: each file system once, against its budget, and what uses it."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape

from devenv.base.json_types import JsonObject
from devenv.diagnosis.waste import earlier_builds
from devenv.disk.accounts import Share
from devenv.disk.budget import taken, used
from devenv.disk.ledgers import Disk, Ledger, Survey
from devenv.disk.plan import ENGINE, HOST, Removal, Thing, Worth
from devenv.disk.prune import DiskPlan
from devenv.disk.waste import Waste
from devenv.ports.host import Space
from devenv.profiles.quantities import show
from devenv.ui.console import print_line
from devenv.ui.marks import CHECK, NOTE, PART_CROSS, QUESTION, bold, dim
from devenv.ui.render import Report, shapes
from devenv.ui.times import local_minute

# Columns of a bar.
_BAR = 24
# Single images, volumes and containers of a ledger that are shown without --all.
_SINGLE_SHARES = 4
_DAYS_FROM = 48
# What stands before the second line of a share.
_INDENT = "              "
# Why a thing may go.
REASONS = {
    Worth.STALE: "nothing will use it again",
    Worth.BUILD_CACHE: "made again by the next build",
    Worth.DANGLING: "has no name",
    Worth.BLOB: "kept twice",
    Worth.SUPERSEDED: "a newer one has taken its place",
    Worth.CACHE: "made again by the next build",
    Worth.IMAGE: "not used",
}


def survey(survey: Survey, *, everything: bool) -> Report:
    """Report each disk once, and below it what uses it."""

    def text(out: Console) -> None:
        for disk in survey.disks:
            _print_disk(out, disk)
            _print_uses(out, survey, disk, everything=everything)
        for name in survey.down:
            out.print(f"{QUESTION} {escape(name)} is not running, so its contents are unknown")
        for name, reason in survey.unknown.items():
            print_line(out, f"{QUESTION} {escape(name)} could not be examined: {escape(reason)}")

    return Report("disk", lambda: survey_shape(survey), text)


def _print_disk(out: Console, disk: Disk) -> None:
    """Print a disk's bar and sizes; root's reserve is neither free nor in use."""
    print_line(out, bold(disk_names(disk)))
    out.print(f"  {_coloured_bar(disk)} {_sizes(disk.space)}")
    reserved = disk.space.reserved
    if reserved:
        size = show(reserved)
        note = dim("not in use, but only root can use it")
        out.print(f"  {size:>10}  reserved for root  {note}")
    _print_warnings(out, disk)


def _coloured_bar(disk: Disk) -> str:
    colour = "green"
    if disk.over:
        colour = "red"
    return f"[{colour}]{_bar(disk)}[/{colour}]"


def _sizes(space: Space) -> str:
    """Say how much is in use and free. Blocks reserved for root are neither."""
    in_use, total, free = show(used(space)), show(space.total), show(space.free)
    return f"{in_use} of {total} in use, {free} free"


def _print_warnings(out: Console, disk: Disk) -> None:
    """Print how the disk stands against its budget, and whether it will soon be full."""
    space = disk.space
    if disk.marks.short_of_inodes(space):
        inodes = f"{space.free_inodes} of {space.total_inodes} inodes"
        out.print(f"  {PART_CROSS} only {inodes} are free; run `devenv prune`")
    print_line(out, f"  {_budget_line(disk)}")
    if disk.full_in is not None:
        duration = _duration(disk.full_in)
        out.print(f"  {NOTE} full in about {duration} at the current rate")


def disk_names(disk: Disk) -> str:
    """Return the names of all that keep something on a disk."""
    return " + ".join(disk.names)


def _budget_line(disk: Disk) -> str:
    """Compare with the budget, and say how large it is, so that the figures beside it add up."""
    high = disk.marks.high
    excess = taken(disk.space) - high
    budget = f"the budget of {show(high)}"
    if disk.space.reserved:
        budget += f", which includes the {show(disk.space.reserved)} reserved for root"
    if excess > 0:
        return f"{PART_CROSS} {show(excess)} above {budget}; run `devenv prune`"
    return f"{CHECK} {show(-excess)} below {budget}"


def _bar(disk: Disk) -> str:
    """Draw what is in use, what is reserved for root, and where the budget ends."""
    used_cells = _column(used(disk.space), disk)
    taken_cells = _column(taken(disk.space), disk)
    reserved_cells = taken_cells - used_cells
    cells = [*"█" * used_cells, *"▒" * reserved_cells]
    cells += "░" * (_BAR - len(cells))
    mark = min(_BAR - 1, _column(disk.marks.high, disk))
    if cells[mark] == "░":
        cells[mark] = "│"
    return "".join(cells)


def _column(size: int, disk: Disk) -> int:
    """Return the cells of a bar that stand for `size` bytes."""
    return round(_BAR * size / max(disk.space.total, 1))


def _duration(seconds: float) -> str:
    hours = seconds / 3600
    if hours < _DAYS_FROM:
        return f"{hours:.0f} hours"
    return f"{hours / 24:.0f} days"


def _print_uses(out: Console, survey: Survey, disk: Disk, *, everything: bool) -> None:
    """Print each ledger of a disk, what no ledger has, and what a prune removes first."""
    ledgers = [ledger for ledger in survey.ledgers if ledger.device == disk.device]
    for ledger in ledgers:
        _print_ledger(out, ledger, everything=everything)
    unlisted = used(disk.space) - sum(map(_listed_size, ledgers))
    if unlisted > 0:
        size = show(unlisted)
        note = dim("not devenv's and, as far as devenv knows, not the engine's")
        out.print(f"  {size:>10}  everything else on this disk  {note}")
    waste_here = [waste for waste in survey.waste if waste.place in disk.names]
    for line in waste_lines(waste_here):
        print_line(out, f"  {NOTE} {escape(line)}; a prune removes this first")


def _listed_size(ledger: Ledger) -> int:
    """Return the bytes of a ledger's shares, without those that another share includes."""
    return sum(share.size or 0 for share in ledger.shares if not share.included)


def waste_lines(waste: Sequence[Waste]) -> list[str]:
    """Name the owner of each waste."""
    return [f"{show(each.size)}: {_describe_waste(each)}" for each in waste]


def _describe_waste(waste: Waste) -> str:
    if waste.build_cache:
        return "build cache that no image needs"
    builds = earlier_builds(waste.count, waste.former_name)
    if waste.place == ENGINE:
        return builds
    return f"{builds} in {waste.place}"


def _print_ledger(out: Console, ledger: Ledger, *, everything: bool) -> None:
    """Print the shares of a ledger; without --all, only the largest single ones."""
    print_line(out, f"  {bold(ledger.name)}  {dim(ledger.path)}")
    shares = ledger.shares if everything else _largest(ledger.shares)
    for share in shares:
        _print_share(out, share)
    hidden = len(ledger.shares) - len(shares)
    if hidden:
        note = dim(f"and {hidden} more; --all shows them")
        out.print(f"{_INDENT}{note}")


def _print_share(out: Console, share: Share) -> None:
    """Print a share, and the command that frees it if devenv will not run that."""
    size = "unknown"
    if share.size is not None:
        size = show(share.size)
    line = f"  {size:>10}  {escape(share.what)}"
    note = _share_note(share)
    if note:
        line += f"  {dim(note)}"
    print_line(out, line)
    if share.command:
        advice = dim(f"devenv won't do this; you can: {share.command}")
        print_line(out, f"{_INDENT}{advice}")


def _share_note(share: Share) -> str:
    """Say how much of a share is shared with no other, and its note."""
    if share.alone is None or share.alone == share.size:
        return share.note
    parts = [f"{show(share.alone)} not shared", share.note]
    return ", ".join(filter(None, parts))


def _largest(shares: Sequence[Share]) -> list[Share]:
    """Return the sums, logs, and the largest of the single images, volumes and containers."""
    sized = [share for share in shares if share.size and _is_single(share)]
    sized.sort(key=lambda share: share.size or 0, reverse=True)
    largest = sized[:_SINGLE_SHARES]
    return [share for share in shares if share in largest or _is_always_shown(share)]


def _is_always_shown(share: Share) -> bool:
    """Whether a share is shown without --all, however small it is."""
    return not _is_single(share) or share.what.startswith("log of ")


def _is_single(share: Share) -> bool:
    """Whether there may be many like it."""
    return share.what.startswith(("image ", "volume ", "container ", "log of "))


def survey_shape(survey: Survey) -> JsonObject:
    """Shape of `disk`. Sizes in bytes, times in seconds."""
    return {
        "disks": shapes(disk_shape, survey.disks),
        "ledgers": shapes(_ledger_shape, survey.ledgers),
        "stopped": list(survey.down),
        "unknown": dict(survey.unknown),
        "waste": shapes(asdict, survey.waste),
    }


def _ledger_shape(ledger: Ledger) -> JsonObject:
    budget = ledger.budget
    return {
        "name": ledger.name,
        "path": ledger.path,
        "device": ledger.device,
        "budget": {
            "keep_free": budget.keep_free,
            "max_use": budget.max_use,
            "headroom": budget.headroom,
        },
        "shares": shapes(_share_shape, ledger.shares),
    }


def _share_shape(share: Share) -> JsonObject:
    return {
        "what": share.what,
        "size": share.size,
        "alone": share.alone,
        "note": share.note,
        "command": share.command,
    }


def disk_shape(disk: Disk) -> JsonObject:
    """Shape of one disk."""
    space = disk.space
    return {
        "device": disk.device,
        "names": list(disk.names),
        "total": space.total,
        "used": used(space),
        "free": space.free,
        "reserved": space.reserved,
        "total_inodes": space.total_inodes,
        "free_inodes": space.free_inodes,
        "high": disk.marks.high,
        "low": disk.marks.low,
        "over": disk.over,
        "full_in": None if disk.full_in is None else round(disk.full_in),
    }


def name_shape(thing: Thing) -> JsonObject:
    """Shape of what tells a thing from all others."""
    return {"place": thing.place, "name": thing.name}


def thing_shape(thing: Thing) -> JsonObject:
    """Shape of one thing that may go. `last_used` in seconds since 1970."""
    return {
        **name_shape(thing),
        "kind": thing.worth.name.lower(),
        "reason": REASONS[thing.worth],
        "last_used": round(thing.used),
    }


def removal_shape(removal: Removal) -> JsonObject:
    """Shape of one planned removal. `frees` in bytes."""
    return {**thing_shape(removal.thing), "frees": removal.frees}


def removal_lines(plan: DiskPlan) -> list[str]:
    """Return what would be removed: what it frees, what it is, and why it may go."""
    lines = []
    for removal in plan.removals:
        thing = removal.thing
        size = show(removal.frees)
        why = f"{REASONS[thing.worth]}{_last_use(thing)}"
        lines.append(f"{size:>10}  {name_with_place(thing)} ({why})")
    return lines


def name_with_place(thing: Thing) -> str:
    """Return a thing's name, and its node if it is in one."""
    if thing.place in {HOST, ENGINE}:
        return thing.name
    return f"{thing.name} in {thing.place}"


def _last_use(thing: Thing) -> str:
    """Say when a thing was last used, if that is known and matters."""
    if thing.used <= 0 or thing.worth is Worth.BLOB:
        return ""
    return f", last used {local_minute(thing.used)}"
