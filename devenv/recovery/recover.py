"""`recover`: diagnose, show the plan, do it gate after gate, and end with the requests that failed.

Where a gate fails, the rest of the plan is not done: what is seen then is diagnosed anew, and makes a new plan. It ends
when all is well, or when a round has changed nothing.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

from devenv.diagnosis.diagnose import diagnose
from devenv.diagnosis.model import Diagnosis, Finding
from devenv.disk.prune import USER, Prune
from devenv.disk.prune import Proposal as RoomProposal
from devenv.errors import DevenvError
from devenv.facts.collect import API, CRD, is_of
from devenv.facts.live import Proof
from devenv.facts.model import WORKLOADS, Facts
from devenv.gates.live import Prober
from devenv.lifecycle.record import own_context, own_nodes
from devenv.lifecycle.restart import Restart
from devenv.lifecycle.settled import RolledOut
from devenv.lifecycle.steps import prove, step
from devenv.lifecycle.up import Up
from devenv.ports import Envoy, Manifest
from devenv.recovery.drift import Drift, concerned, to_put_back
from devenv.recovery.plan import Kind, Plan, Planned, plan
from devenv.recovery.room import ENOUGH, Room
from devenv.wait import Deadline, locked, until

_ROUNDS = 4
# Seconds for the facts.
_BUDGET = 10.0
# Seconds for the API server to answer again.
_API = 180.0
# Seconds for whoever builds images.
_BUILDING = 60.0
_PROOF = 60.0
# Seconds for what is merely under way.
_SETTLE = 120.0
# Seconds in which a repair shows, once all rollouts are over: conditions are written again.
_PATIENCE = 20.0
# Good ones in a row end the wait: the first may come before what goes wrong next.
_READINGS = 2
# Seconds between two readings.
_BETWEEN = 2.0
# Of CoreDNS: kind's own choice.
_REPLICAS = 2


@dataclass(frozen=True)
class Proposal:
    """What is about to be done: the plan, and exactly what its steps delete and put back."""

    diagnosis: Diagnosis
    plan: Plan
    # One for each step that makes room, in their order.
    room: tuple[RoomProposal, ...] = ()
    drifts: tuple[Drift, ...] = ()


@dataclass(frozen=True)
class Recovery:
    """What it came to. `done`: the steps, in their order."""

    cluster: str
    before: Diagnosis
    after: Diagnosis
    done: tuple[Planned, ...]
    proofs: tuple[Proof, ...]
    # The codes of all roots, of the first round and of later ones.
    repaired: tuple[str, ...] = ()


@dataclass
class Recover:
    """One recovery of one cluster. `up` has the parts that put things back."""

    up: Up
    envoy: Envoy
    prober: Prober
    prune: Prune
    facts: Callable[[float], Facts]
    # Shows it, and asks; raises where the answer is no.
    agree: Callable[[Proposal], None]
    # Returns to the images that were proven before, by their names in the nodes.
    undo: Callable[[Sequence[str]], None]
    # Who agrees: nobody, where it runs by itself.
    who: str = USER
    _done: list[Planned] = field(default_factory=list)
    # codes.
    _roots: list[str] = field(default_factory=list)
    # That this round began.
    _rollouts: list[RolledOut] = field(default_factory=list)

    def propose(self, *, holding: bool = False) -> Proposal:
        """Look, and return what would be done. Changes nothing. Raises DevenvError where the cluster isn't devenv's.

        `holding`: this process itself holds the cluster's lock.
        """
        context = self.up.context
        own_nodes(context.records, context.engine, context.containers, context.cluster)
        facts = self.facts(_BUDGET)
        if holding:
            facts = facts.model_copy(update={"changing": ""})
        diagnosis = diagnose(facts)
        owned = self._owned(facts)
        repair_plan = plan(diagnosis, context.profile, owned)
        drifts: tuple[Drift, ...] = ()
        if any(s.kind is Kind.PUT_BACK for s in repair_plan.steps):
            drifts = self._drifts(diagnosis)
            repair_plan = plan(
                diagnosis, context.profile, owned, lambda root: self._has_drifted(root, drifts)
            )
        rooms = [s.target for s in repair_plan.steps if s.kind is Kind.ROOM]
        return Proposal(
            diagnosis,
            repair_plan,
            tuple(self.prune.propose(place=node, least=ENOUGH) for node in rooms),
            drifts,
        )

    def run(self, wait: float) -> Recovery:
        """Repair. Raises DevenvError where something is left that devenv can't mend, with whose fix it is."""
        context = self.up.context
        with locked(
            context.host, context.clock, f"cluster-{context.cluster}", context.reporter.say, wait
        ):
            initial = latest = self.propose(holding=True)
            for _ in range(_ROUNDS):
                if not latest.plan.steps:
                    break
                self.agree(latest)
                self._round(latest)
                proposal = self._settled()
                if _codes(proposal) == _codes(latest):
                    latest = proposal
                    break
                latest = proposal
            return self._finish(initial, latest)

    def _finish(self, initial: Proposal, latest: Proposal) -> Recovery:
        context = self.up.context
        if latest.diagnosis.causes:
            roots = latest.diagnosis.causes
            what = "devenv can't repair all of it: " + "; ".join(
                f"{c.root.code} {c.root.says}" for c in roots
            )
            fixes = [f for c in roots for f in c.root.fix if not f.startswith("devenv recover")]
            raise DevenvError(what, "\n".join(fixes), "`devenv doctor` has the evidence.")
        proofs = prove(context.reporter, self.prober, _PROOF, "Look at it with `devenv doctor`.")
        repaired = tuple(dict.fromkeys(self._roots))
        return Recovery(
            context.cluster,
            initial.diagnosis,
            latest.diagnosis,
            tuple(self._done),
            tuple(proofs),
            repaired,
        )

    @cached_property
    def _objects(self) -> list[Manifest]:
        """The profile's objects. Reading 2 MB of YAML takes a second, and each look at the cluster needs them."""
        return self.up.objects()

    def _owned(self, facts: Facts) -> list[str]:
        if API in facts.unknown:
            return []
        return [
            f"{o['metadata'].get('namespace', '')}/{o['metadata']['name']}"
            for o in self._objects
            if o["kind"] == "Deployment"
        ]

    def _drifts(self, diagnosis: Diagnosis) -> tuple[Drift, ...]:
        context = self.up.context
        return to_put_back(
            context.kube, self._objects, [c.root for c in diagnosis.causes], context.profile
        )

    def _has_drifted(self, root: Finding, drifts: Sequence[Drift]) -> bool:
        return any(concerned(d.manifest, root.about, self.up.context.profile) for d in drifts)

    def _settled(self) -> Proposal:
        """Diagnose again once all rollouts of this round are over, until readings are good and stay so.

        A reading that is not good begins the count anew. What is not mended by then is for the next round.
        """
        clock = self.up.context.clock
        self._await_rollouts()
        latest: list[Proposal] = []
        good: list[Proposal] = []
        patience = Deadline(clock, _PATIENCE)

        def missing() -> str:
            latest[:] = [self.propose(holding=True)]
            diagnosis = latest[0].diagnosis
            if diagnosis.healthy:
                good.append(latest[0])
                return "" if len(good) >= _READINGS else "a second good reading"
            good.clear()
            if diagnosis.progress or patience.left() > 0:
                messages = [c.root.says for c in (*diagnosis.progress, *diagnosis.causes)]
                return messages[0] if messages else ", ".join(name for name, _ in diagnosis.unknown)
            return ""

        with step(self.up.context.reporter, "diagnose again"), suppress(DevenvError):
            until("What is under way", missing, Deadline(clock, _SETTLE), pause=_BETWEEN)
        return latest[0] if latest else self.propose(holding=True)

    def _await_rollouts(self) -> None:
        """Return when the rollouts of this round are over. Where one does not end, the diagnosis has its cause."""
        try:
            self.up.settled.run(self._rollouts, _SETTLE)
        except DevenvError as error:
            self._tell(error)
        self._rollouts.clear()

    def _tell(self, error: DevenvError) -> None:
        self.up.context.reporter.say(error.in_one_line)

    # The steps

    def _round(self, proposal: Proposal) -> None:
        """Do the steps. The first gate that fails ends the round: what it means is for the next diagnosis to say."""
        self._roots += [c.root.code for c in proposal.diagnosis.causes]
        for planned in proposal.plan.steps:
            try:
                self._do(planned, proposal)
            except DevenvError as error:
                if planned.kind is Kind.ROOM:
                    raise
                self._tell(error)
                # One of them has just been waited for in vain.
                self._rollouts.clear()
                return
            self._done.append(planned)

    def _do(self, planned: Planned, proposal: Proposal) -> None:
        context = self.up.context
        if planned.kind is Kind.ROOM:
            number = [s.target for s in proposal.plan.steps if s.kind is Kind.ROOM].index(
                planned.target
            )
            self._room(planned.target, proposal.room[number])
        elif planned.kind is Kind.START:
            with step(context.reporter, f"start {planned.target}"):
                context.containers.start(planned.target)
                self._await_api()
            self._rollouts += self.up.settled.of(
                c for c in context.profile.components if c.gate == "workload"
            )
        elif planned.kind is Kind.CONTEXT:
            with step(context.reporter, "write the context again"):
                context.kind.export_kubeconfig(context.cluster, lambda _: None)
                context.kube.forget()
        elif planned.kind is Kind.PUT_BACK:
            self._put_back(proposal.drifts)
        elif planned.kind is Kind.SCALE:
            self._scale(planned.target)
        elif planned.kind is Kind.UNDO:
            self.undo([planned.target])
        else:
            restart = Restart(
                context.profile, context.kube, self.envoy, context.clock, context.reporter
            )
            own_context(context.kube, context.nodes(), context.cluster)
            order = restart.order([planned.target])
            self._rollouts += self.up.settled.of(order)
            restart.run(order)

    def _room(self, node: str, proposal: RoomProposal) -> None:
        """Remove what was listed, unless all of it would not be enough."""
        context, room = self.up.context, Room(self.up.context.containers)
        if not room.could_be_enough(node, sum(p.frees for p in proposal.plans)):
            raise self._no_room(room, node)
        with locked(context.host, context.clock, "images", context.reporter.say, _BUILDING):
            self.prune.run_locked(proposal, self.who)
        if not room.enough(node):
            raise self._no_room(room, node)
        self._await_api()

    def _no_room(self, room: Room, node: str) -> DevenvError:
        """Devenv removes nothing but what `prune` may: what else takes the disk is for the user to judge."""
        largest = "\n".join(room.largest(node))
        fix = (
            f"Remove what you don't need (docker exec {node} rm …), then `devenv recover` again. "
            "`devenv prune --dry-run -o json` says of each image why it stays."
        )
        return DevenvError(
            f"The disk of {node} is full, and what may go is not enough.",
            f"What takes most in it:\n{largest}",
            fix,
        )

    def _await_api(self) -> None:
        context = self.up.context
        until(
            "The API server",
            lambda: "" if context.kube.ready() else "an answer",
            Deadline(context.clock, _API),
            f"docker logs {context.cluster}-control-plane",
        )

    def _put_back(self, drifts: Sequence[Drift]) -> None:
        context = self.up.context
        own_context(context.kube, context.nodes(), context.cluster)
        # Definitions are applied before them, all.
        objects = [d for d in drifts if d.manifest["kind"] != CRD]
        workloads = [d.manifest for d in objects if d.manifest["kind"] in WORKLOADS]
        self._rollouts += [self._rollout(w) for w in workloads]
        changed = [d.manifest for d in objects if not d.missing]
        self.up.put_back([d.manifest for d in objects], replaced=changed)

    def _rollout(self, workload: Manifest) -> RolledOut:
        components = (
            c for c in self.up.context.profile.components if c.resource.kind == workload["kind"]
        )
        component = next((c for c in components if is_of(c, workload)), None)
        return RolledOut.of(workload["kind"], workload, component)

    def _scale(self, target: str) -> None:
        context = self.up.context
        namespace, _, name = target.partition("/")
        own_context(context.kube, context.nodes(), context.cluster)
        self._rollouts.append(RolledOut("Deployment", namespace, name))
        with step(context.reporter, f"scale {target} to {_REPLICAS}"):
            context.kube.apply({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": namespace, "name": name},
                "spec": {"replicas": _REPLICAS},
            })  # fmt: skip


def _codes(proposal: Proposal) -> set[tuple[str, str]]:
    return {(c.root.code, c.root.subject) for c in proposal.diagnosis.causes}
