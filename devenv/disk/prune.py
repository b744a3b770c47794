"""Prunes disks: plans, shows, and removes exactly what was shown, measuring after each step."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from devenv.base.errors import DevenvError, Exit, NotFoundError
from devenv.base.wait import locked
from devenv.disk.budget import taken
from devenv.disk.engine import BUILD_CACHE
from devenv.disk.keep import tags_among
from devenv.disk.ledgers import Disk, Survey
from devenv.disk.node import NodeStock
from devenv.disk.plan import ENGINE, HOST, Removal, Thing, Worth, plan
from devenv.disk.survey import Surveyor
from devenv.ports.host import Space
from devenv.ports.reporter import Reporter

# Bytes. With less free space, even a removal may fail for lack of it.
_NEARLY_FULL = 32 << 20
# The goal of a plan that removes all it may.
_EVERYTHING = 1 << 62
# A prune gives up if so many removals should have freed so many bytes, but freed under a tenth.
_FUTILE_REMOVALS, _FUTILE_BYTES = 3, 1 << 30
# Who confirmed a prune.
USER, SCHEDULE, POLICY = "user", "schedule", "auto_prune"


@dataclass(frozen=True)
class DiskPlan:
    """What to remove from one disk.

    `goal`: bytes to free. If inodes are short, the plan removes all that it may: devenv does not
    know which things have them. `on_request`: whether the user asked for so many bytes, whatever
    the budget says.
    """

    disk: Disk
    goal: int
    removals: tuple[Removal, ...]
    on_request: bool = False

    @property
    def frees(self) -> int:
        """Bytes that the whole plan frees."""
        return sum(removal.frees for removal in self.removals)


@dataclass(frozen=True)
class Proposal:
    """What was seen, and the plan of each disk. Plans are empty for disks below their high mark."""

    survey: Survey
    plans: tuple[DiskPlan, ...]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to remove."""
        return not any(disk_plan.removals for disk_plan in self.plans)


@dataclass(frozen=True)
class RemovalResult:
    """How a removal went. Sizes in bytes. `skipped`: why it was not done, "" if it was."""

    thing: Thing
    estimated: int
    measured: int
    skipped: str = ""


@dataclass(frozen=True)
class Outcome:
    """The result of a prune.

    `removals`: those that were tried. `disks`: as they were before. `spaces`: of the same disks,
    afterwards. `unfinished`: disks that are still above their high mark, or of which less was freed
    than was asked for.
    """

    removals: tuple[RemovalResult, ...]
    disks: tuple[Disk, ...]
    spaces: tuple[Space, ...]
    unfinished: tuple[Disk, ...]

    @property
    def freed(self) -> int:
        """Bytes, as measured."""
        return sum(removal.measured for removal in self.removals)


@dataclass(frozen=True)
class _Run:
    """One run of a prune. `who` confirmed it: the user, or a policy of theirs."""

    proposal: Proposal
    who: str
    current_things: Mapping[tuple[str, str], Thing]

    def current(self, thing: Thing) -> Thing | None:
        """Return a thing as it is now, None if it is gone."""
        return self.current_things.get((thing.place, thing.id))


@dataclass(frozen=True)
class Prune:
    """Plans and runs prunes. `caches`: whether devenv's own caches may go too."""

    surveyor: Surveyor
    reporter: Reporter
    caches: bool = False

    def propose(
        self, free: int | None = None, *, incoming: int = 0, place: str = "", least: int = 0
    ) -> Proposal:
        """Return what to remove. Changes nothing.

        A disk above its high mark gets a plan down to its low mark; with `free`, every disk gets a
        plan for so many bytes. `incoming`: bytes that are about to be written, and must fit too.
        `place`: only its disk. `least`: bytes that must be free whatever the budget says.

        Raises DevenvError if the place does not exist, or if a budget leaves nothing of a disk.
        """
        survey = self.surveyor.look(plan=True, caches=self.caches)
        disks = _select_disks(survey, place)
        if free is None:
            _refuse_empty_budgets(disks)
        plans = []
        for disk in disks:
            on_request = free is not None
            goal = free if free is not None else _goal(disk, incoming, least)
            plans.append(DiskPlan(disk, goal, plan(survey.on(disk), goal), on_request))
        return Proposal(survey, tuple(plans))

    def run(self, proposal: Proposal, who: str, wait: float) -> Outcome:
        """Remove what is in the proposal, until each disk has its goal.

        `wait`: seconds to wait for locks. What can be removed without space goes first, then the
        ballast, which is created again at the end. Raises LockedError or DevenvError if it may not
        begin.
        """
        host, clock = self.surveyor.session.host, self.surveyor.session.clock
        with ExitStack() as locks:
            for name in (f"cluster-{self.surveyor.session.cluster}", "images"):
                locks.enter_context(locked(host, clock, name, self.reporter.say, wait))
            return self.run_locked(proposal, who)

    def run_locked(self, proposal: Proposal, who: str) -> Outcome:
        """Do the same as `run`, for a caller that holds the cluster's lock."""
        # The proposal may be old: a question or a lock may have taken long.
        survey = self.surveyor.look(plan=True, caches=self.caches)
        current_things = {(thing.place, thing.id): thing for thing in survey.things}
        run = _Run(proposal, who, current_things)
        removals_of: dict[str, list[RemovalResult]] = {}
        try:
            for disk_plan in proposal.plans:
                removals_of[disk_plan.disk.device] = self._prune_disk(disk_plan, run)
            spaces = tuple(self._space(disk_plan, run) for disk_plan in proposal.plans)
        finally:
            self.surveyor.ballast.restore(proposal.survey.node_names)
        disks, unfinished_disks = [], []
        for disk_plan, space in zip(proposal.plans, spaces, strict=True):
            disk = disk_plan.disk
            disks.append(disk)
            if disk_plan.goal and not _is_reached(disk_plan, space, removals_of[disk.device]):
                unfinished_disks.append(disk)
            self.surveyor.history.sample(disk.device, taken(space), space.total)
        return Outcome(
            removals=tuple(chain.from_iterable(removals_of.values())),
            disks=tuple(disks),
            spaces=spaces,
            unfinished=tuple(unfinished_disks),
        )

    def _space(self, disk_plan: DiskPlan, run: _Run) -> Space:
        return self.surveyor.space(disk_plan.disk, run.proposal.survey)

    def _prune_disk(self, disk_plan: DiskPlan, run: _Run) -> list[RemovalResult]:
        """Remove the things of a plan, until the disk has its goal or removing turns out futile."""
        if not disk_plan.removals:
            return []
        results: list[RemovalResult] = []
        total = len(disk_plan.removals)
        disk_name = disk_plan.disk.names[0]
        step_name = f"make room on {disk_name}"
        self.reporter.begin(step_name)
        for number, removal in enumerate(disk_plan.removals):
            space = self._space(disk_plan, run)
            if _is_reached(disk_plan, space, results) or _is_futile(results):
                break
            if space.free < _NEARLY_FULL and removal.thing.worth > Worth.STALE:
                self.surveyor.ballast.drop(run.proposal.survey.node_names)
            self.reporter.update(step_name, number, total, "steps")
            self.reporter.detail(step_name, removal.thing.name)
            results.append(self._remove_journalled(removal, disk_plan, run))
        done_count = len(_successful(results))
        self.reporter.end(step_name, f"{done_count} of {total} steps")
        return results

    def _remove_journalled(self, removal: Removal, disk_plan: DiskPlan, run: _Run) -> RemovalResult:
        """Remove one thing. The journal has an entry before and one after."""
        thing = removal.thing
        self._note("remove", run.who, removal)
        space_before = self._space(disk_plan, run)
        reason = self._remove_unless_needed(thing, run)
        space_after = self._space(disk_plan, run)
        measured = _freed_bytes(space_before, space_after)
        event = "skipped" if reason else "removed"
        self._note(event, run.who, removal, measured=measured, why=reason)
        return RemovalResult(
            thing=thing,
            estimated=removal.frees,
            measured=measured,
            skipped=reason,
        )

    def _note(self, event: str, who: str, removal: Removal, **details: object) -> None:
        """Write an entry into the journal.

        A policy does not ask the user, so nothing goes before its entry is on the disk.
        """
        thing = removal.thing
        write_entry = partial(
            self.surveyor.history.note,
            event,
            who=who,
            place=thing.place,
            name=thing.name,
            id=thing.id,
            estimated=removal.frees,
            **details,
        )
        try:
            write_entry()
        except OSError as error:
            if who == USER:
                return
            # The ballast's space may suffice for the entry.
            with suppress(OSError):
                self.surveyor.ballast.drop(())
                write_entry()
                return
            raise DevenvError(
                "The journal can't be written, and devenv removes nothing that is not in it first.",
                str(error),
                "Run `devenv prune` yourself.",
            ) from error

    # Removing one thing, and whether it may still go

    def _remove_unless_needed(self, thing: Thing, run: _Run) -> str:
        """Remove a thing; return why it stays, "" if it was removed."""
        reason = _why_changed(thing, run.current(thing)) or self._why_in_use(thing)
        if reason:
            return reason
        try:
            self._remove(thing)
        except NotFoundError:
            return "it was already gone"
        except (DevenvError, OSError) as error:
            return _describe_failure(error)
        return ""

    def _why_in_use(self, thing: Thing) -> str:
        """Return why a thing must stay right now: a container may have begun to use it."""
        is_no_image = thing.id == BUILD_CACHE or thing.worth is Worth.BLOB
        if thing.place == HOST or is_no_image:
            return ""
        if thing.place == ENGINE:
            return self._why_engine_uses(thing)
        nodes = NodeStock(self.surveyor.session.containers)
        if thing.id in nodes.used_images(thing.place):
            return "a container now uses it"
        return ""

    def _why_engine_uses(self, image: Thing) -> str:
        """Return which container of the engine uses an image, "" if none does."""
        for container in self.surveyor.stock.listed_containers():
            if container.image == image.id or container.image_name in image.names:
                return f"the container {container.name} now uses it"
        return ""

    def _remove(self, thing: Thing) -> None:
        """Remove a thing by the means of its place."""
        nodes = NodeStock(self.surveyor.session.containers)
        if thing.place == HOST:
            _delete(Path(thing.id))
        elif thing.id == BUILD_CACHE:
            # What came after the survey stays.
            unused_for = max(0.0, self.surveyor.session.clock.now() - thing.used)
            self.surveyor.stock.trim_build_cache(unused_for)
        elif thing.place == ENGINE:
            self._remove_image(thing)
        elif thing.worth is Worth.BLOB:
            nodes.remove_blobs(thing.place, thing.names)
        else:
            nodes.remove_image(thing.place, thing.id)

    def _remove_image(self, thing: Thing) -> None:
        """Remove an image from the engine by its ID, which can't mean another image.

        The engine accepts the ID once the image has no more than one tag.
        """
        stock = self.surveyor.stock
        for tag in tags_among(thing.names)[1:]:
            image = stock.image(tag)
            if image and image.id == thing.id:
                stock.untag(tag)
        stock.untag(thing.id)


def _select_disks(survey: Survey, place: str) -> list[Disk]:
    """Return the disk of a place, or without a place all disks.

    Returns none if the place could not be read. Raises DevenvError if the place does not exist.
    """
    disks = [disk for disk in survey.disks if not place or place in disk.names]
    if not disks and place not in survey.unknown:
        ledger_names = ", ".join(name for disk in survey.disks for name in disk.names)
        raise DevenvError(
            f"The ledger {place} does not exist.",
            next_step=f"Name one of these: {ledger_names}.",
            exit_code=Exit.USAGE,
        )
    return disks


def _refuse_empty_budgets(disks: Sequence[Disk]) -> None:
    """Raise DevenvError if a budget leaves nothing of a disk: it would empty the disk."""
    unusable_names = [disk.names[0] for disk in disks if disk.marks.high <= 0]
    if unusable_names:
        names = ", ".join(unusable_names)
        raise DevenvError(
            f"The budget leaves nothing of the disk of {names}.",
            next_step="Correct keep_free and max_use in the profile or in config.yaml.",
            exit_code=Exit.USAGE,
        )


def _goal(disk: Disk, incoming: int, least: int) -> int:
    """Return the bytes to free so that a disk is within its budget, and has `least` bytes free."""
    if disk.marks.short_of_inodes(disk.space):
        return _EVERYTHING
    return max(disk.goal_for(incoming), least - disk.space.free, 0)


def _why_changed(thing: Thing, current_thing: Thing | None) -> str:
    """Return why a thing must stay that was planned a while ago, as it is seen now."""
    if current_thing is None:
        return "it was already gone"
    if current_thing.kept:
        return f"meanwhile, {current_thing.kept}"
    if set(current_thing.names) - set(thing.names):
        return "it now has other names"
    return ""


def _describe_failure(error: DevenvError | OSError) -> str:
    if isinstance(error, DevenvError):
        return error.why or error.what
    return str(error)


def _successful(results: Sequence[RemovalResult]) -> list[RemovalResult]:
    return [result for result in results if not result.skipped]


def _is_futile(results: Sequence[RemovalResult]) -> bool:
    """Whether much was removed and the disk has almost nothing of it.

    Then the things were on another disk, for one because the engine runs in a VM.
    """
    expected = measured = 0
    removals = _successful(results)
    for result in removals:
        expected += result.estimated
        measured += result.measured
    if len(removals) < _FUTILE_REMOVALS or expected < _FUTILE_BYTES:
        return False
    return measured < expected // 10


def _is_reached(disk_plan: DiskPlan, space: Space, results: Sequence[RemovalResult]) -> bool:
    """Whether a disk has what its plan is for.

    Who asked for bytes gets those that the removals freed. Something else may write at the same
    time, and then the disk has fewer.
    """
    removed_bytes = sum(result.measured for result in results)
    if disk_plan.on_request and removed_bytes >= disk_plan.goal:
        return True
    disk = disk_plan.disk
    if disk_plan.goal == _EVERYTHING:
        return not disk.marks.short_of_inodes(space) and taken(space) <= disk.marks.high
    if disk.over and disk_plan.goal == disk.goal:
        return taken(space) <= disk.marks.low
    return _freed_bytes(disk.space, space) >= disk_plan.goal


def _freed_bytes(space_before: Space, space_after: Space) -> int:
    """Return the bytes that were freed. Space that only root may use counts too."""
    free_before = space_before.free + space_before.reserved
    free_after = space_after.free + space_after.reserved
    return free_after - free_before


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
