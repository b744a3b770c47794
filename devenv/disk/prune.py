"""`prune`: makes room. Plans, shows, and removes exactly what was shown, measuring after each step."""

import shutil
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from devenv.disk.budget import used
from devenv.disk.node import NodeStock
from devenv.disk.plan import ENGINE, HOST, Removal, Thing, Worth, plan
from devenv.disk.survey import Disk, Survey, Surveyor
from devenv.errors import DevenvError, Exit, NotFoundError
from devenv.ports import Reporter, Space
from devenv.wait import locked

_FULL = 32 << 20  # bytes: with less, even a removal may fail for want of room
_EVERYTHING = 1 << 62
USER, SCHEDULE, POLICY, RECOVER = "user", "schedule", "auto_prune", "recover"  # who confirmed


@dataclass(frozen=True)
class DiskPlan:
    """What would be removed from one disk. `goal` in bytes; `inodes`: these are short, and nobody knows who has how many."""

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

    def propose(self, free: int | None = None, *, more: int = 0, place: str = "") -> Proposal:
        """Return what would be done: down to the low mark where a disk is above its high one; with `free`, so many bytes.

        `more`: bytes that are about to be written, and must fit too. `place`: only its disk. Changes nothing.
        """
        survey = self.surveyor.look(plan=True, caches=self.caches)
        disks = [d for d in survey.disks if not place or place in d.names]
        if not disks and place not in survey.unknown:
            known = ", ".join(name for d in survey.disks for name in d.names)
            raise DevenvError(f"There is no ledger {place}.", next_step=f"There are: {known}.", exit_code=Exit.USAGE)
        return Proposal(survey, tuple(_plan(survey, disk, free, more) for disk in disks))

    def run(self, proposal: Proposal, who: str, wait: float) -> Outcome:
        """Remove what is in the proposal, until each disk has its goal. `wait`: seconds for whoever holds a lock.

        Whatever needs no space goes first, then the ballast, which is made anew at the end. Raises LockedError or DevenvError
        where it may not begin.
        """
        at = self.surveyor
        with ExitStack() as held:
            for name in (f"cluster-{at.cluster}", "images"):
                held.enter_context(locked(at.host, at.clock, name, self.reporter.say, wait))
            return self.run_locked(proposal, who)

    def run_locked(self, proposal: Proposal, who: str) -> Outcome:
        """The same for a caller that holds the cluster's lock."""
        at = self.surveyor
        nodes = tuple(x.name for x in proposal.survey.ledgers if x.name not in {HOST, ENGINE})
        done: list[Done] = []
        try:
            for planned in proposal.plans:
                done += self._disk(planned, proposal.survey, who, nodes)
        finally:
            at.ballast.restore(nodes)
        after = tuple(at.space(p.disk, proposal.survey) for p in proposal.plans)
        left = tuple(p.disk for p, space in zip(proposal.plans, after, strict=True) if p.goal and not _reached(p, space))
        for planned, space in zip(proposal.plans, after, strict=True):
            at.history.sample(planned.disk.device, used(space), space.total)
        return Outcome(tuple(done), tuple(p.disk for p in proposal.plans), after, left)

    def _disk(self, planned: DiskPlan, survey: Survey, who: str, nodes: tuple[str, ...]) -> list[Done]:
        at, done, total = self.surveyor, list[Done](), len(planned.removals)
        name = f"make room on {planned.disk.names[0]}"
        if not planned.removals:
            return []
        self.reporter.begin(name)
        for number, removal in enumerate(planned.removals):
            space = at.space(planned.disk, survey)
            if _reached(planned, space):
                break
            if space.free < _FULL and removal.thing.worth > Worth.STALE:
                at.ballast.drop(nodes)
            self.reporter.update(name, number, total, "steps")
            self.reporter.detail(name, removal.thing.name)
            done.append(self._one(removal, planned.disk, survey, who))
        self.reporter.end(name, f"{len([d for d in done if not d.skipped])} of {total} steps")
        return done

    def _one(self, removal: Removal, disk: Disk, survey: Survey, who: str) -> Done:
        """Remove one thing, journalled before and after."""
        at, thing = self.surveyor, removal.thing
        self._note("remove", who, thing, removal.frees)
        before = at.space(disk, survey)
        why = self._refused(thing)
        if not why:
            try:
                self._remove(thing)
            except NotFoundError:
                why = "it was gone already"
            except (DevenvError, OSError) as error:
                why = getattr(error, "why", "") or getattr(error, "what", "") or str(error)
        after = at.space(disk, survey)
        measured = _gone(before, after)
        self._note("skipped" if why else "removed", who, thing, removal.frees, measured=measured, why=why)
        return Done(thing, removal.frees, measured, why)

    def _note(self, event: str, who: str, thing: Thing, estimated: int, **more: object) -> None:
        """Nobody was asked where a policy prunes: then nothing goes before it is on the disk that it is to go."""
        at = self.surveyor
        try:
            at.history.note(event, who=who, place=thing.place, name=thing.name, id=thing.id, estimated=estimated, **more)
        except OSError as error:
            if who == USER:
                return
            with suppress(OSError):  # once more, with the space of the ballast
                at.ballast.drop(())
                at.history.note(event, who=who, place=thing.place, name=thing.name, id=thing.id, estimated=estimated, **more)
                return
            what = "Nothing is removed that is not in the journal first, and it can't be written."
            raise DevenvError(what, str(error), "Run `devenv prune` yourself.") from error

    # Each thing's own way, and whether it may still go

    def _refused(self, thing: Thing) -> str:
        """Return why a thing must stay by now: somebody may have begun to use it since it was shown."""
        at = self.surveyor
        if thing.place == ENGINE and thing.id != "build cache":
            return self._engine_refuses(thing)
        if thing.place not in {HOST, ENGINE} and thing.worth is not Worth.BLOB:
            if thing.id in NodeStock(at.containers).users(thing.place):
                return "a container has it by now"
            if (named := at.named()) is None:
                return "the API server can't say whether a workload needs it"
            return "a workload names it by now" if named & set(thing.names) else ""
        return ""

    def _engine_refuses(self, thing: Thing) -> str:
        stock = self.surveyor.stock
        listed = next((i for i in stock.listed_images() if i.id == thing.id), None)
        if listed is None:
            return "it was gone already"
        if set(listed.names) != set(thing.names):
            return "its names are others by now"
        held = [c.name for c in stock.listed_containers() if c.image == thing.id or c.image_name in thing.names]
        return f"the container {held[0]} has it by now" if held else ""

    def _remove(self, thing: Thing) -> None:
        at = self.surveyor
        if thing.place == HOST:
            _unlink(Path(thing.id))
        elif thing.id == "build cache":
            at.stock.trim_build_cache(at.profile.keep_newer * 3600)
        elif thing.place == ENGINE:
            for name in [n for n in thing.names if "@" not in n] or [thing.id]:
                at.stock.untag(name)
            if at.stock.image(thing.id):  # known by its digest besides
                at.stock.untag(thing.id)
        elif thing.worth is Worth.BLOB:
            NodeStock(at.containers).remove_blobs(thing.place, thing.names)
        else:
            NodeStock(at.containers).remove_image(thing.place, thing.id)


def _plan(survey: Survey, disk: Disk, free: int | None, more: int) -> DiskPlan:
    goal = free if free is not None else disk.goal_for(more)
    if free is None and disk.marks.short_of_inodes(disk.space):
        goal = _EVERYTHING
    return DiskPlan(disk, goal, plan(survey.on(disk), goal) if goal else ())


def _reached(planned: DiskPlan, space: Space) -> bool:
    """Whether a disk has what the plan is for."""
    if planned.goal == _EVERYTHING:
        return not planned.disk.marks.short_of_inodes(space) and used(space) <= planned.disk.marks.high
    if planned.disk.over and planned.goal == planned.disk.goal:
        return used(space) <= planned.disk.marks.low
    return _gone(planned.disk.space, space) >= planned.goal


def _gone(before: Space, after: Space) -> int:
    """Return the bytes that were freed; what root alone may have counts too."""
    return (after.free + after.reserved) - (before.free + before.reserved)


def _unlink(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
