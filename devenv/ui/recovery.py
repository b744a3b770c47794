"""`recover`: the plan before it, and what was done."""

from collections.abc import Iterator
from itertools import chain

from rich.console import Console
from rich.markup import escape

from devenv.base.json_types import JsonObject
from devenv.diagnosis.changes import Change
from devenv.diagnosis.model import Diagnosis, Finding
from devenv.disk.plan import Removal
from devenv.recovery.drift import Drift
from devenv.recovery.plan import Kind, RepairStep
from devenv.recovery.proposal import Proposal
from devenv.recovery.recover import Recovery
from devenv.ui.console import print_line
from devenv.ui.diagnosis import diagnosis_shape, one_line
from devenv.ui.disk import removal_lines, removal_shape
from devenv.ui.marks import CHECK, CROSS, QUESTION, UNDER_WAY, bold
from devenv.ui.proofs import print_proofs, proof_shapes
from devenv.ui.render import Report, shapes

_WORDS = {
    Kind.ROOM: "free space on {}, as `devenv prune --caches` does, until it is below its low mark",
    Kind.NETWORK: "create the engine's network {} as kind does, and connect the nodes to it",
    Kind.START: "start the node {}",
    Kind.UNIT: "start the unit {}, and wait until its node is ready",
    Kind.STATIC_POD: "write the manifest of {} as kind made it, and keep the one that is there",
    Kind.CONTEXT: "write the context {} into the kubeconfig again (kind makes it the current one)",
    Kind.PUT_BACK: "put back what the profile {} has",
    Kind.RELEASE: "remove the finalizers of {}, which is being deleted, so that it can be put back",
    Kind.CERTIFY: "delete all certificates of Envoy Gateway, and let certgen make new ones for {}",
    Kind.SCALE: "scale {} up again",
    Kind.UNDO: "return {} to the image that was proven before",
    Kind.RESTART: "restart {}, and wait for its gates; delete a lease whose holder's pod is gone",
}

# What a step that puts back says if nothing differs.
UNCHANGED = "no object is missing or changed; other images than the profile's are replaced"
# What stands for two values of which only is known that they differ.
HIDDEN = "another value, not shown"
# Characters of a value.
_VALUE = 60


def plan(cluster: str, proposed: Proposal) -> Report:
    """Report what is wrong, and what `recover` would do."""
    return Report(
        "recover-plan",
        lambda: plan_shape(cluster, proposed),
        lambda out: _print_plan(out, proposed),
    )


def _print_plan(out: Console, proposed: Proposal) -> None:
    _print_problems(out, proposed.diagnosis)
    for line in _step_lines(proposed):
        print_line(out, line)
    for finding in proposed.plan.beyond:
        out.print(f"devenv can't repair {finding.code} itself:")
        for fix in finding.fix:
            print_line(out, f"  {escape(str(fix))}")


def _print_problems(out: Console, diagnosis: Diagnosis) -> None:
    """Print root causes, what is still under way, and what could not be read."""
    for cause in diagnosis.causes:
        root = cause.root
        out.print(f"{CROSS} {bold(root.code)} {escape(root.says)}")
    if diagnosis.healthy:
        out.print(f"{CHECK} Nothing to repair.")
    for cause in diagnosis.progress:
        out.print(f"{UNDER_WAY} {escape(cause.root.says)}")
    for what, reason in diagnosis.unknown:
        out.print(f"{QUESTION} {escape(what)} could not be read: {escape(reason)}")


def _step_lines(proposed: Proposal) -> list[str]:
    """Return the plan's lines, in rich's markup; none if there is nothing to do."""
    steps = proposed.plan.steps
    if not steps:
        return []
    lines = ["Plan:"]
    for number, step in enumerate(steps, 1):
        task = escape(words(step))
        codes = ", ".join(step.codes)
        lines.append(f"  {number}. {task}  [dim]({codes})[/dim]")
        lines += [f"       {escape(detail)}" for detail in _details(step, proposed)]
    unique_codes = dict.fromkeys(code for step in steps for code in step.codes)
    all_codes = ", ".join(unique_codes)
    proof = f"prove the repair with the live requests ({all_codes})"
    return [*lines, f"  {len(steps) + 1}. {proof}"]


def words(step: RepairStep) -> str:
    """Return what a step does."""
    return _WORDS[step.kind].format(step.target)


def _details(step: RepairStep, proposed: Proposal) -> list[str]:
    """Return what a step would remove or put back, with old and new values."""
    if step.kind is Kind.ROOM:
        return _removals_of(step, proposed) or ["nothing on it may be removed"]
    if step.kind is Kind.PUT_BACK:
        return list(chain.from_iterable(map(_drift_lines, proposed.drifts))) or [UNCHANGED]
    return []


def _drift_lines(drift: Drift) -> list[str]:
    """Return an object, and below it each field with the value that it has and the profile's."""
    lines = [f"{drift.name}: {drift.state}"]
    lines += [f"  {change.path}: {_values(change)}" for change in drift.changes]
    return lines


def _values(change: Change) -> str:
    if change.is_hidden:
        return HIDDEN
    return f"{shown_value(change.live)} → {shown_value(change.desired)}"


def shown_value(value: str) -> str:
    """Return a value of a field for a reader, cut to a line."""
    if not value:
        return "(none)"
    return one_line(value, _VALUE)


def _removals_of(step: RepairStep, proposed: Proposal) -> list[str]:
    """Return what a step that frees space would remove from its disk."""
    disks = [planned.target for planned in proposed.plan.steps if planned.kind is Kind.ROOM]
    space_plan = proposed.room[disks.index(step.target)]
    lines = []
    for disk_plan in space_plan.plans:
        lines += removal_lines(disk_plan)
    return lines


def plan_shape(cluster: str, proposed: Proposal) -> JsonObject:
    """Shape of `recover --dry-run`. Sizes in bytes."""
    return {
        "cluster": cluster,
        "diagnosis": diagnosis_shape(proposed.diagnosis),
        "steps": shapes(step_shape, proposed.plan.steps),
        "removals": shapes(removal_shape, _removals(proposed)),
        "put_back": shapes(str, proposed.drifts),
        "changes": shapes(_drift_shape, proposed.drifts),
        "beyond": shapes(_beyond_shape, proposed.plan.beyond),
    }


def _drift_shape(drift: Drift) -> JsonObject:
    """Shape of an object that is put back: each field's value in the cluster, and the profile's."""
    return {
        "object": drift.name,
        "missing": drift.is_missing,
        "by": list(drift.by),
        "fields": shapes(_change_shape, drift.changes),
    }


def _change_shape(change: Change) -> JsonObject:
    """Shape of a field. A missing value is null."""
    return {
        "path": change.path,
        "old": change.live or None,
        "new": change.desired or None,
    }


def _beyond_shape(finding: Finding) -> JsonObject:
    """Shape of a root that `recover` can't repair."""
    return {
        "code": finding.code,
        "says": finding.says,
        "fix": list(map(str, finding.fix)),
    }


def _removals(proposed: Proposal) -> Iterator[Removal]:
    for room in proposed.room:
        for disk_plan in room.plans:
            yield from disk_plan.removals


def step_shape(step: RepairStep) -> JsonObject:
    """Shape of one step. `code` is the first of `codes`, the roots that it is for."""
    return {
        "kind": step.kind.name.lower(),
        "target": step.target,
        "code": step.reason,
        "codes": list(step.codes),
    }


def recovery(result: Recovery) -> Report:
    """Report what was done, and that it works, or what is still not as it should be."""

    def text(out: Console) -> None:
        print_proofs(out, result.proofs)
        cluster = escape(result.cluster)
        if not result.after.healthy:
            _print_problems(out, result.after)
            out.print(f"{CROSS} {cluster} answers on every route but is not healthy.")
            out.print("See `devenv doctor`.")
        elif result.done:
            codes = ", ".join(result.repaired)
            out.print(
                f"{CHECK} The cluster {cluster} is repaired ({codes}) and answers on every route."
            )
        else:
            out.print(f"{CHECK} Nothing to repair: the cluster {cluster} answers on every route.")

    return Report("recover", lambda: recovery_shape(result), text)


def recovery_shape(result: Recovery) -> JsonObject:
    """Shape of `recover`."""
    return {
        "cluster": result.cluster,
        "before": diagnosis_shape(result.before),
        "after": diagnosis_shape(result.after),
        "done": shapes(step_shape, result.done),
        "repaired": list(result.repaired),
        "requests": proof_shapes(result.proofs),
    }
