"""Live requests: what each one proved."""

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console
from rich.markup import escape

from devenv.base.json_types import JsonObject
from devenv.facts.answers import outcome
from devenv.facts.live import AccessLine, Proof, by_failures
from devenv.ports.gateway import HttpAnswer
from devenv.ui.console import print_line
from devenv.ui.marks import CHECK, CROSS
from devenv.ui.render import shapes


def proof_line(proofs: Sequence[Proof]) -> str:
    """Return one line: whether requests proved their routes, by which pod, and why not.

    Several proofs have failed in the same way.
    """
    names = ", ".join(proof.name for proof in proofs)
    slowest = max(proofs, key=lambda proof: proof.answer.seconds)
    head = proof_head(replace(slowest, name=names))
    # Without an answer, the head has said why.
    failures = slowest.failures if slowest.answer.status else slowest.other_failures
    if not failures:
        return head
    reasons = "; ".join(failures)
    return f"{head}: {escape(reasons)}"


def proof_head(proof: Proof) -> str:
    """Return the name, outcome, duration and pod of a request, in columns."""
    mark = CHECK if proof.ok else CROSS
    name = escape(proof.name.ljust(10))
    if not proof.answer.status:
        return f"{mark} {name} {_outcome(proof.answer)}"
    pod = escape(proof.pod or "no pod")
    return f"{mark} {name} {_outcome(proof.answer):<15} {pod}"


def _outcome(answer: HttpAnswer) -> str:
    milliseconds = answer.seconds * 1000
    preposition = "in" if answer.status else "after"
    return f"{outcome(answer)} {preposition} {milliseconds:.0f} ms"


def print_proofs(out: Console, proofs: Sequence[Proof]) -> None:
    """Print a line for each proof; those that failed in the same way share one."""
    for group in by_failures(proofs):
        print_line(out, f"  {proof_line(group)}")


def proof_shapes(proofs: Sequence[Proof]) -> list[JsonObject]:
    """Shape of the live requests at the end of a command."""
    return shapes(proof_shape, proofs)


def proof_shape(proof: Proof) -> JsonObject:
    """Shape of one proof. `access_log` is null while the log does not have the line."""
    access_log = None
    if proof.line:
        access_log = access_shape(proof.line)
    return {
        "name": proof.name,
        "route": proof.route.value,
        "ok": proof.ok,
        "failures": list(proof.failures),
        "pod": proof.pod,
        "answer": _answer_shape(proof),
        "access_log": access_log,
    }


def _answer_shape(proof: Proof) -> JsonObject:
    answer = proof.answer
    return {
        "status": answer.status,
        "seconds": round(answer.seconds, 4),
        "headers": dict(answer.headers),
        "body": answer.body,
        "error": answer.error,
        "obstacle": answer.obstacle and answer.obstacle.value,
    }


def access_shape(line: AccessLine) -> JsonObject:
    """Shape of a line of Envoy's access log."""
    return {
        "route": line.route,
        "cluster": line.cluster,
        "flags": line.flags,
        "details": line.details,
        "upstream": line.upstream,
    }
