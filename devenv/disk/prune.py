"""`prune`: makes room. Plans, shows, and removes exactly what was shown, measuring after each step."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from devenv.disk.budget import taken
from devenv.disk.engine import BUILD_CACHE
from devenv.disk.node import NodeStock
from devenv.disk.plan import ENGINE, HOST, Removal, Thing, Worth, plan
from devenv.disk.survey import Disk, Survey, Surveyor
from devenv.errors import DevenvError, Exit, NotFoundError
from devenv.ports import Reporter, Space
from devenv.wait import locked

# Bytes: with less, even a removal may fail for want of room.
_FULL = 32 << 20
_EVERYTHING = 1 << 62
# Removals, and bytes that they should have freed.
_TRIES, _MUCH = 3, 1 << 30
# Who confirmed.
USER, SCHEDULE, POLICY = "user", "schedule", "auto_prune"


@dataclass(frozen=True)
class DiskPlan:
    """What would be removed from one disk. `goal` in bytes; all that may go where inodes are short: nobody knows who has them."""

    disk: Disk
    goal: int
    removals: tuple[Removal, ...]

    @property
    def frees(self) -> int:
        """Bytes that all of it frees."""
        return sum(r.frees for r in self.removals)


@dataclass(frozen=True)
class Proposal:
    """What was seen, and what would be done, disk by disk. Nothing where every disk is below its high mark."""

    survey: Survey
    plans: tuple[DiskPlan, ...]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to remove."""
        return not any(p.removals for p in self.plans)


@dataclass(frozen=True)
class Done:
    """One step as it went. Bytes. `skipped` says why it was not done."""

    thing: Thing
    estimated: int
    measured: int
    skipped: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a prune came to. `left`: disks that are still above their high mark, or short of what was asked for."""

    done: tuple[Done, ...]
    before: tuple[Disk, ...]
    after: tuple[Space, ...]
    left: tuple[Disk, ...]

    @property
    def freed(self) -> int:
        """Bytes, as measured."""
        return sum(d.measured for d in self.done)


@dataclass(frozen=True)
class Prune:
    """One prune. `who` confirms it: the user, or a policy of theirs."""

    surveyor: Surveyor
    reporter: Reporter
    caches: bool = False

    def propose(
        self, free: int | None = None, *, incoming: int = 0, place: str = "", least: int = 0
    ) -> Proposal:
        """Return what would be done: down to the low mark where a disk is above its high one; with `free`, so many bytes.

        `incoming`: bytes that are about to be written, and must fit too. `place`: only its disk. `least`: bytes that must be free
        whatever the budget says. Changes nothing. Raises DevenvError where there is no such place, or where a budget leaves
        nothing of a disk.
        """
        survey = self.surveyor.look(plan=True, caches=self.caches)
        disks = [d for d in survey.disks if not place or place in d.names]
        if not disks and place not in survey.unknown:
            ledger_names = ", ".join(name for d in survey.disks for name in d.names)
            raise DevenvError(
                f"There is no ledger {place}.",
                next_step=f"There are: {ledger_names}.",
                exit_code=Exit.USAGE,
            )
        if free is None and (wrong := [d.names[0] for d in disks if d.marks.high <= 0]):
            fix = "Mend keep_free and max_use in the profile or in config.yaml."
            raise DevenvError(
                f"The budget leaves nothing of the disk of {', '.join(wrong)}.", "", fix, Exit.USAGE
            )
        return Proposal(survey, tuple(_plan(survey, disk, free, incoming, least) for disk in disks))

    def run(self, proposal: Proposal, who: str, wait: float) -> Outcome:
        """Remove what is in the proposal, until each disk has its goal. `wait`: seconds for whoever holds a lock.

        Whatever needs no space goes first, then the ballast, which is made anew at the end. Raises LockedError or DevenvError
        where it may not begin.
        """
        surveyor = self.surveyor
        with ExitStack() as locks:
            for name in (f"cluster-{surveyor.cluster}", "images"):
                locks.enter_context(
                    locked(surveyor.host, surveyor.clock, name, self.reporter.say, wait)
                )
            return self.run_locked(proposal, who)

    def run_locked(self, proposal: Proposal, who: str) -> Outcome:
        """The same for a caller that holds the cluster's lock."""
        surveyor = self.surveyor
        nodes = tuple(x.name for x in proposal.survey.ledgers if x.name not in {HOST, ENGINE})
        # Somebody may have waited for a lock.
        current_things = {
            (t.place, t.id): t for t in surveyor.look(plan=True, caches=self.caches).things
        }
        steps: list[Done] = []
        try:
            for planned in proposal.plans:
                steps += self._disk(planned, proposal.survey, who, nodes, current_things)
            spaces = tuple(surveyor.space(p.disk, proposal.survey) for p in proposal.plans)
        finally:
            surveyor.ballast.restore(nodes)
        unfinished_disks = tuple(
            p.disk
            for p, space in zip(proposal.plans, spaces, strict=True)
            if p.goal and not _reached(p, space)
        )
        for planned, space in zip(proposal.plans, spaces, strict=True):
            surveyor.history.sample(planned.disk.device, taken(space), space.total)
        return Outcome(
            tuple(steps), tuple(p.disk for p in proposal.plans), spaces, unfinished_disks
        )

    def _disk(
        self,
        planned: DiskPlan,
        survey: Survey,
        who: str,
        nodes: tuple[str, ...],
        current_things: Mapping[tuple[str, str], Thing],
    ) -> list[Done]:
        surveyor, steps, total = self.surveyor, list[Done](), len(planned.removals)
        name = f"make room on {planned.disk.names[0]}"
        if not planned.removals:
            return []
        self.reporter.begin(name)
        for number, removal in enumerate(planned.removals):
            space = surveyor.space(planned.disk, survey)
            if _reached(planned, space) or _in_vain(steps):
                break
            if space.free < _FULL and removal.thing.worth > Worth.STALE:
                surveyor.ballast.drop(nodes)
            self.reporter.update(name, number, total, "steps")
            self.reporter.detail(name, removal.thing.name)
            steps.append(
                self._one(
                    removal,
                    planned.disk,
                    survey,
                    who,
                    current_things.get((removal.thing.place, removal.thing.id)),
                )
            )
        self.reporter.end(name, f"{len([d for d in steps if not d.skipped])} of {total} steps")
        return steps

    def _one(
        self, removal: Removal, disk: Disk, survey: Survey, who: str, current_thing: Thing | None
    ) -> Done:
        """Remove one thing, journalled before and after."""
        surveyor, thing = self.surveyor, removal.thing
        self._note("remove", who, thing, removal.frees)
        space_before = surveyor.space(disk, survey)
        reason = _changed(thing, current_thing) or self._refused(thing)
        if not reason:
            try:
                self._remove(thing)
            except NotFoundError:
                reason = "it was gone already"
            except (DevenvError, OSError) as error:
                reason = getattr(error, "why", "") or getattr(error, "what", "") or str(error)
        space_after = surveyor.space(disk, survey)
        measured = _gone(space_before, space_after)
        self._note(
            "skipped" if reason else "removed",
            who,
            thing,
            removal.frees,
            measured=measured,
            why=reason,
        )
        return Done(thing, removal.frees, measured, reason)

    def _note(self, event: str, who: str, thing: Thing, estimated: int, **details: object) -> None:
        """Nobody was asked where a policy prunes: then nothing goes before it is on the disk that it is to go."""
        surveyor = self.surveyor
        write_note = partial(
            surveyor.history.note,
            event,
            who=who,
            place=thing.place,
            name=thing.name,
            id=thing.id,
            estimated=estimated,
            **details,
        )
        try:
            write_note()
        except OSError as error:
            if who == USER:
                return
            # Once more, with the space of the ballast.
            with suppress(OSError):
                surveyor.ballast.drop(())
                write_note()
                return
            what = "Nothing is removed that is not in the journal first, and it can't be written."
            raise DevenvError(what, str(error), "Run `devenv prune` yourself.") from error

    # Each thing's own way, and whether it may still go

    def _refused(self, thing: Thing) -> str:
        """Return why a thing must stay right now: a container may have begun to use it a moment ago."""
        surveyor = self.surveyor
        if thing.place == ENGINE and thing.id != BUILD_CACHE:
            containers = [
                c.name
                for c in surveyor.stock.listed_containers()
                if c.image == thing.id or c.image_name in thing.names
            ]
            return f"the container {containers[0]} has it by now" if containers else ""
        if thing.place not in {HOST, ENGINE} and thing.worth is not Worth.BLOB:
            return (
                "a container has it by now"
                if thing.id in NodeStock(surveyor.containers).users(thing.place)
                else ""
            )
        return ""

    def _remove(self, thing: Thing) -> None:
        surveyor = self.surveyor
        if thing.place == HOST:
            _unlink(Path(thing.id))
        elif thing.id == BUILD_CACHE:
            # Not what came after it was listed.
            surveyor.stock.trim_build_cache(max(0.0, surveyor.clock.now() - thing.used))
        elif thing.place == ENGINE:
            self._remove_image(thing)
        elif thing.worth is Worth.BLOB:
            NodeStock(surveyor.containers).remove_blobs(thing.place, thing.names)
        else:
            NodeStock(surveyor.containers).remove_image(thing.place, thing.id)

    def _remove_image(self, thing: Thing) -> None:
        """Remove an image from the engine: by its ID, which can't mean another, once it has no more than one name."""
        stock = self.surveyor.stock
        for name in [n for n in thing.names if "@" not in n][1:]:
            image = stock.image(name)
            if image and image.id == thing.id:
                stock.untag(name)
        stock.untag(thing.id)


def _changed(thing: Thing, current_thing: Thing | None) -> str:
    """Return why a thing must stay that may have been planned long ago: as it is seen now."""
    if current_thing is None:
        return "it was gone already"
    if current_thing.kept:
        return f"{current_thing.kept} by now"
    return "its names are others by now" if set(current_thing.names) - set(thing.names) else ""


def _in_vain(steps: Sequence[Done]) -> bool:
    """Whether much was removed and the disk has nothing of it: then it is not this disk that all of it was on."""
    removed = [d for d in steps if not d.skipped]
    expected = sum(d.estimated for d in removed)
    return (
        len(removed) >= _TRIES
        and expected >= _MUCH
        and sum(d.measured for d in removed) < expected // 10
    )


def _plan(survey: Survey, disk: Disk, free: int | None, incoming: int, least: int) -> DiskPlan:
    goal = free if free is not None else max(disk.goal_for(incoming), least - disk.space.free, 0)
    if free is None and disk.marks.short_of_inodes(disk.space):
        goal = _EVERYTHING
    return DiskPlan(disk, goal, plan(survey.on(disk), goal) if goal else ())


def _reached(planned: DiskPlan, space: Space) -> bool:
    """Whether a disk has what the plan is for."""
    if planned.goal == _EVERYTHING:
        return (
            not planned.disk.marks.short_of_inodes(space)
            and taken(space) <= planned.disk.marks.high
        )
    if planned.disk.over and planned.goal == planned.disk.goal:
        return taken(space) <= planned.disk.marks.low
    return _gone(planned.disk.space, space) >= planned.goal


def _gone(space_before: Space, space_after: Space) -> int:
    """Return the bytes that were freed; what root alone may have counts too."""
    return (space_after.free + space_after.reserved) - (space_before.free + space_before.reserved)


def _unlink(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
