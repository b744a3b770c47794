"""`recover`: diagnoses, shows the plan, runs it gate after gate, and proves the routes again.

If a gate fails, the rest of the plan is not run: the cluster is diagnosed again, which makes a new
plan. It ends once everything works, or after a round that has changed nothing.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

from devenv.base.errors import DevenvError
from devenv.base.steps import step
from devenv.base.wait import Deadline, locked, until
from devenv.cluster.node_repair import NodeRepair
from devenv.diagnosis.diagnose import diagnose
from devenv.diagnosis.model import Command, Diagnosis, Finding, Fix, Subject
from devenv.disk.prune import USER, Prune
from devenv.disk.prune import Proposal as RoomProposal
from devenv.facts.collect import API, CRD, is_of
from devenv.facts.live import Proof
from devenv.facts.model import WORKLOADS, Facts
from devenv.facts.objects import full_name
from devenv.facts.revisions import is_ending
from devenv.gates.live import Prober
from devenv.gates.proving import REQUESTS, prove_routes
from devenv.install.context import Context
from devenv.install.manifests import key
from devenv.install.settled import RolledOut
from devenv.ports.envoy import Envoy
from devenv.ports.kube import Manifest, ObjectKey
from devenv.ports.names import Names
from devenv.profiles.model import Component
from devenv.recovery import progress
from devenv.recovery.drift import Drift
from devenv.recovery.plan import Kind, RepairStep
from devenv.recovery.proposal import Proposal, planned
from devenv.recovery.room import ENOUGH, NodeSpace
from devenv.restart import Restart
from devenv.state.record import own_context, own_nodes
from devenv.up import Up

_ROUNDS = 4
# Seconds for the facts.
_BUDGET = 10.0
# Seconds for the API server to answer again.
_API = 180.0
# Seconds to wait for another process that builds images.
_BUILDING = 60.0
# Seconds for the live requests.
_PROOF = 60.0
# Seconds for what is in progress.
_SETTLE = 120.0
# Seconds in which a repair shows once all rollouts are over: conditions are written again.
_PATIENCE = 20.0
# So many good readings in a row end the wait: the first may come before what goes wrong next.
_READINGS = 2
# Seconds between two readings.
_BETWEEN = 2.0
# Steps beneath Kubernetes.
_NODE_KINDS = (Kind.NETWORK, Kind.START, Kind.UNIT, Kind.STATIC_POD)
# Seconds for an object to go once no finalizer holds it.
_END = 30.0


@dataclass(frozen=True)
class Recovery:
    """What a recovery came to."""

    cluster: str
    before: Diagnosis
    after: Diagnosis
    # In the order in which they were run.
    done: tuple[RepairStep, ...]
    proofs: tuple[Proof, ...]
    # The codes of all root causes, of the first round and of later ones.
    repaired: tuple[str, ...] = ()


@dataclass
class _Readings:
    """Diagnoses repeatedly, until enough good readings came in a row."""

    propose: Callable[[], Proposal]
    # How long a root cause may still go away by itself.
    patience: Deadline
    latest: Proposal | None = None
    good_in_a_row: int = 0

    def take(self) -> str:
        """Diagnose once, and return what is still awaited, "" for nothing."""
        self.latest = self.propose()
        diagnosis = self.latest.diagnosis
        if diagnosis.healthy:
            self.good_in_a_row += 1
            return "" if self.good_in_a_row >= _READINGS else "a second good reading"
        self.good_in_a_row = 0
        if diagnosis.progress or self.patience.left() > 0:
            return _summary(diagnosis)
        # What is not repaired by now is for the next round.
        return ""


@dataclass
class Recover:
    """One recovery of one cluster. `up` has the parts that put things back."""

    up: Up
    envoy: Envoy
    prober: Prober
    prune: Prune
    # Collects facts within so many seconds.
    facts: Callable[[float], Facts]
    # Shows a proposal and asks; raises DevenvError if the answer is no.
    agree: Callable[[Proposal], None]
    # Returns to the images that were proven before, by their names in the nodes.
    undo: Callable[[Sequence[str]], None]
    # Who agrees, for the journal: the user, or the schedule.
    who: str = USER
    _done: list[RepairStep] = field(default_factory=list)
    _root_codes: list[str] = field(default_factory=list)
    # Rollouts that this round began.
    _rollouts: list[RolledOut] = field(default_factory=list)

    @property
    def _context(self) -> Context:
        return self.up.context

    def run(self, wait: float) -> Recovery:
        """Repair the cluster.

        `wait`: seconds to wait for another process that has the cluster's lock. Raises DevenvError
        with the fixes of the root causes that devenv can't repair.
        """
        context = self._context
        lock = f"cluster-{context.cluster}"
        with locked(context.host, context.clock, lock, context.reporter.say, wait):
            initial = self.propose(holding=True)
            latest = self._run_rounds(initial)
            return self._finish(initial, latest)

    def _run_rounds(self, proposal: Proposal) -> Proposal:
        """Repair and diagnose in turns, and return the last proposal.

        What is only under way may end well or turn out to be a fault, so it is awaited, too.
        """
        for _ in range(_ROUNDS):
            if proposal.plan.steps:
                self.agree(proposal)
                self._run_round(proposal)
            elif not _is_only_under_way(proposal.diagnosis):
                break
            previous_causes = _causes(proposal)
            proposal = self._diagnose_when_settled()
            if _causes(proposal) == previous_causes:
                break
        return proposal

    def _finish(self, initial: Proposal, latest: Proposal) -> Recovery:
        context = self._context
        if latest.diagnosis.causes:
            raise _not_repaired(latest.diagnosis)
        hint = "Look at it with `devenv doctor`."
        proofs = prove_routes(context.reporter, self.prober, _PROOF, hint)
        return Recovery(
            context.cluster,
            initial.diagnosis,
            latest.diagnosis,
            tuple(self._done),
            tuple(proofs),
            tuple(dict.fromkeys(self._root_codes)),
        )

    # The proposal

    def propose(self, *, holding: bool = False) -> Proposal:
        """Diagnose the cluster, and return what would be done. Changes nothing.

        `holding`: whether this process has the cluster's lock. Raises DevenvError if the cluster is
        not devenv's.
        """
        context = self._context
        own_nodes(context.records, context.engine, context.containers, context.cluster)
        facts = self.facts(_BUDGET)
        if holding:
            # The facts name this process itself as one that changes the cluster.
            facts = facts.model_copy(update={"changing": ""})
        diagnosis = diagnose(facts)
        repair_plan, drifts = planned(
            diagnosis,
            context.profile,
            self._owned_deployments(facts),
            context.kube.get,
            lambda: self._objects,
        )
        removals = [
            self.prune.propose(place=node, least=ENOUGH) for node in repair_plan.targets(Kind.ROOM)
        ]
        return Proposal(diagnosis, repair_plan, tuple(removals), drifts)

    @cached_property
    def _objects(self) -> list[Manifest]:
        """The profile's objects, kept since reading 2 MB of YAML takes a second."""
        return self.up.objects()

    def _owned_deployments(self, facts: Facts) -> list[str]:
        """Return the Deployments in the profile's manifests, as NAMESPACE/NAME."""
        if API in facts.unknown:
            return []
        deployments = [obj["metadata"] for obj in self._objects if obj["kind"] == "Deployment"]
        return [f"{meta.get('namespace', '')}/{meta['name']}" for meta in deployments]

    # A round

    def _run_round(self, proposal: Proposal) -> None:
        """Run the steps.

        The first gate that fails ends the round: the next diagnosis says what it means.
        """
        self._root_codes += [root.code for root in _roots(proposal.diagnosis)]
        began = self._node_repair.newest_renewal()
        reporter = self._context.reporter
        step_names = progress.step_names(proposal.plan)
        reporter.plan(step_names)
        for repair in proposal.plan.steps:
            try:
                self._run_step(repair, proposal)
            except DevenvError as error:
                # On a full disk nothing else can work.
                if repair.kind is Kind.ROOM:
                    raise
                self._report(error)
                self._skip_rest(step_names)
                # One of these rollouts was just waited for in vain.
                self._rollouts.clear()
                return
            self._done.append(repair)
        if any(proposal.plan.targets(kind) for kind in (Kind.UNIT, Kind.STATIC_POD)):
            self._await_control_plane(began)

    def _skip_rest(self, step_names: Names) -> None:
        """Take from the reporter's plan what a failed gate leaves out; its end still comes."""
        for name in step_names:
            if name not in (progress.DIAGNOSIS, REQUESTS):
                self._context.reporter.skip(name)

    def _await_control_plane(self, began: float) -> None:
        """Wait for what depends on the programs that were started; `began` as in NodeRepair."""
        try:
            self._node_repair.await_control_plane(began)
        except DevenvError as error:
            self._report(error)
        self._rollouts += self.up.settled.of(self._context.profile.workloads)

    def _run_step(self, repair: RepairStep, proposal: Proposal) -> None:
        target = repair.target
        runs: dict[Kind, Callable[[], None]] = {
            Kind.ROOM: lambda: self._free_space(target, proposal.removals_on(target)),
            **dict.fromkeys(_NODE_KINDS, lambda: self._repair_node(repair)),
            Kind.CONTEXT: self._write_context,
            Kind.RELEASE: lambda: self._release(target),
            Kind.PUT_BACK: lambda: self._put_back(proposal.drifts),
            Kind.CERTIFY: self._renew_certificates,
            Kind.SCALE: lambda: self._scale(target),
            Kind.UNDO: lambda: self.undo([target]),
            Kind.RESTART: lambda: self._restart(target),
        }
        runs[repair.kind]()

    def _diagnose_when_settled(self) -> Proposal:
        """Return a proposal once all rollouts of this round are over and readings stay good.

        A bad reading begins the count again.
        """
        clock = self._context.clock
        self._await_rollouts()
        readings = _Readings(lambda: self.propose(holding=True), Deadline(clock, _PATIENCE))
        with step(self._context.reporter, progress.DIAGNOSIS), suppress(DevenvError):
            deadline = Deadline(clock, _SETTLE)
            until("What is in progress", readings.take, deadline, pause=_BETWEEN)
        return readings.latest or self.propose(holding=True)

    def _await_rollouts(self) -> None:
        """Return once the rollouts of this round are over.

        If one does not end, the diagnosis has its cause.
        """
        try:
            self.up.settled.run(self._rollouts, _SETTLE)
        except DevenvError as error:
            self._report(error)
        self._rollouts.clear()

    def _report(self, error: DevenvError) -> None:
        self._context.reporter.say(error.in_one_line)

    # The steps

    def _free_space(self, node: str, removals: RoomProposal) -> None:
        """Remove what was listed, unless even all of it would not be enough."""
        context, space = self._context, NodeSpace(self._context.containers)
        removable = sum(disk_plan.frees for disk_plan in removals.plans)
        if not space.would_have_enough(node, removable):
            raise _full_disk(space, node)
        with locked(context.host, context.clock, "images", context.reporter.say, _BUILDING):
            self.prune.run_locked(removals, self.who)
        if not space.has_enough(node):
            raise _full_disk(space, node)
        self._await_api()

    def _start_node(self, node: str) -> None:
        context = self._context
        with step(context.reporter, progress.start_step(node)):
            context.containers.start(node)
            self._await_api()
        self._rollouts += self.up.settled.of(context.profile.workloads)

    def _repair_node(self, repair: RepairStep) -> None:
        match repair.kind:
            case Kind.NETWORK:
                self._node_repair.restore_network(self._context.nodes())
            case Kind.START:
                self._start_node(repair.target)
            case Kind.UNIT:
                self._node_repair.start_unit(*repair.target.split("/"))
            case Kind.STATIC_POD:
                self._node_repair.write_manifest(*repair.target.split("/"))

    @property
    def _node_repair(self) -> NodeRepair:
        return NodeRepair(self._context)

    def _await_api(self) -> None:
        context = self._context
        until(
            "The API server",
            context.kube.why_unready,
            Deadline(context.clock, _API),
            f"docker logs {context.cluster}-control-plane",
        )

    def _write_context(self) -> None:
        context = self._context
        with step(context.reporter, progress.CONTEXT):
            context.kind.export_kubeconfig(context.cluster, lambda _: None)
            context.kube.forget()

    def _release(self, target: str) -> None:
        """Remove the finalizers of an object, and wait until it is gone."""
        self._require_own_context()
        with step(self._context.reporter, progress.release_step(target)):
            for manifest in self._objects:
                if f"{manifest['kind']} {full_name(manifest)}" == target:
                    self._release_object(manifest)

    def _release_object(self, manifest: Manifest) -> None:
        context, object_key = self._context, key(manifest)
        context.kube.merge(_without_finalizers(object_key))
        until(
            f"The end of {manifest['kind']} {full_name(manifest)}",
            lambda: self._find_ending(object_key),
            Deadline(context.clock, _END),
        )

    def _find_ending(self, object_key: ObjectKey) -> str:
        """Return what is left of an object in deletion, "" once it is gone or made again."""
        obj = self._context.kube.get(*object_key)
        return "its end" if obj and is_ending(obj) else ""

    def _put_back(self, drifts: Sequence[Drift]) -> None:
        self._require_own_context()
        # `up` applies all definitions before the objects.
        objects = [drift for drift in drifts if drift.manifest["kind"] != CRD]
        manifests = [drift.manifest for drift in objects]
        changed = [drift.manifest for drift in objects if not drift.is_missing]
        workloads = [manifest for manifest in manifests if manifest["kind"] in WORKLOADS]
        self._rollouts += map(self._rollout, workloads)
        self.up.put_back(manifests, replaced=changed)

    def _renew_certificates(self) -> None:
        self._require_own_context()
        self.up.renew_certificates()

    def _rollout(self, workload: Manifest) -> RolledOut:
        kind = workload["kind"]
        return RolledOut.of(kind, workload, self._component_of(workload))

    def _component_of(self, workload: Manifest) -> Component | None:
        for component in self._context.profile.components:
            if component.resource.kind == workload["kind"] and is_of(component, workload):
                return component
        return None

    def _scale(self, target: str) -> None:
        context = self._context
        namespace, _, name = target.partition("/")
        self._require_own_context()
        self._rollouts.append(RolledOut("Deployment", namespace, name))
        with step(context.reporter, progress.scale_step(target)):
            context.kube.apply(
                {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "metadata": {"namespace": namespace, "name": name},
                    "spec": {"replicas": progress.REPLICAS},
                }
            )

    def _restart(self, component: str) -> None:
        context = self._context
        restart = Restart(
            context.profile, context.kube, self.envoy, context.clock, context.reporter
        )
        self._require_own_context()
        order = restart.order([component])
        self._rollouts += self.up.settled.of(order)
        restart.run(order)

    def _require_own_context(self) -> None:
        context = self._context
        own_context(context.kube, context.nodes(), context.cluster)


def _without_finalizers(object_key: ObjectKey) -> Manifest:
    """Return the change that removes an object's finalizers."""
    api_version, kind, namespace, name = object_key
    metadata: Manifest = {"name": name, "finalizers": None}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _roots(diagnosis: Diagnosis) -> list[Finding]:
    return [cause.root for cause in diagnosis.causes]


def _causes(proposal: Proposal) -> set[tuple[str, Subject]]:
    """Return the root causes, as (code, subject)."""
    return {(root.code, root.subject) for root in _roots(proposal.diagnosis)}


def _is_only_under_way(diagnosis: Diagnosis) -> bool:
    """Whether nothing is broken, but something is not ready yet."""
    return bool(diagnosis.progress) and not diagnosis.causes


def _summary(diagnosis: Diagnosis) -> str:
    """Return the first thing that keeps a diagnosis from being good."""
    for cause in (*diagnosis.progress, *diagnosis.causes):
        return cause.root.says
    return ", ".join(name for name, _ in diagnosis.unknown)


def _not_repaired(diagnosis: Diagnosis) -> DevenvError:
    roots = _roots(diagnosis)
    problems = "; ".join(f"{root.code} {root.says}" for root in roots)
    fixes = [str(fix) for root in roots for fix in root.fix if not _is_recover(fix)]
    return DevenvError(
        f"devenv can't repair everything: {problems}",
        "\n".join(fixes),
        "`devenv doctor` has the evidence.",
    )


def _is_recover(fix: Fix) -> bool:
    return isinstance(fix, Command) and fix.runs("devenv", "recover")


def _full_disk(space: NodeSpace, node: str) -> DevenvError:
    """Return the error of a disk on which `prune` can't free enough.

    devenv removes nothing but what `prune` may: the user must judge everything else.
    """
    largest = "\n".join(space.largest_folders(node))
    return DevenvError(
        f"The disk of {node} is full, and removing everything that may be removed is not enough.",
        f"The largest folders in it:\n{largest}",
        f"Remove what you don't need (docker exec {node} rm …), then run `devenv recover` again. "
        "`devenv prune --dry-run -o json` says why each image stays.",
    )
