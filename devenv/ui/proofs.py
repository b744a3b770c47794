"""Live requests: what each one proved."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from devenv.base.json_types import JsonObject
from devenv.facts.live import AccessLine, Proof, remedies
from devenv.ui.console import print_line
from devenv.ui.marks import CHECK, CROSS, FIX, dim
from devenv.ui.render import Report, shapes

# What a header that tells of the route begins with.
_ROUTING_HEADERS = ("x-", "target-pod", "routing-")


def request(proof: Proof, url: str) -> Report:
    """Report an answer, and what proves its route."""

    def text(out: Console) -> None:
        out.print(f"{_proof_head(proof)}  {dim(url)}")
        _print_rows(out, [*_answer_rows(proof), *_log_rows(proof.line)])
        for failure in proof.failures:
            out.print(f"{CROSS} {escape(failure)}")
        if proof.lasting:
            for remedy in remedies([proof]):
                print_line(out, f"{FIX} {escape(remedy)}")

    return Report("request", lambda: proof_shape(proof), text)


def _print_rows(out: Console, rows: list[tuple[str, str]]) -> None:
    """Print pairs of a name and a value, with the values below each other."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        label = dim(name.ljust(width))
        out.print(f"{label}  {escape(value)}")


def _answer_rows(proof: Proof) -> list[tuple[str, str]]:
    """Return the answer, and those of its headers that tell of the route."""
    answer = proof.answer
    headers = [
        (name, value) for name, value in answer.headers.items() if name.startswith(_ROUTING_HEADERS)
    ]
    text = answer.body.strip() or answer.error
    return [("answer", text), *headers]


def _log_rows(line: AccessLine | None) -> list[tuple[str, str]]:
    """Return what Envoy's access log has about the request."""
    if line is None:
        return [("access log", "does not have the request's line yet")]
    return list(_access_shape(line).items())


def proof_line(proof: Proof) -> str:
    """Return one line: whether the request proved its route, by which pod, and why not."""
    if not proof.failures:
        return _proof_head(proof)
    failures = "; ".join(proof.failures)
    return f"{_proof_head(proof)}: {escape(failures)}"


def _proof_head(proof: Proof) -> str:
    """Return the name, status, duration and pod of a request, in columns."""
    mark = CHECK if proof.ok else CROSS
    name = escape(proof.name.ljust(10))
    milliseconds = proof.answer.seconds * 1000
    took = f"{proof.answer.status} in {milliseconds:.0f} ms"
    pod = escape(proof.pod or "no pod")
    return f"{mark} {name} {took:<15} {pod}"


def print_proofs(out: Console, proofs: Sequence[Proof]) -> None:
    """Print a line for each proof."""
    for proof in proofs:
        print_line(out, f"  {proof_line(proof)}")


def proof_shapes(proofs: Sequence[Proof]) -> list[JsonObject]:
    """Shape of the live requests at the end of a command."""
    return shapes(proof_shape, proofs)


def proof_shape(proof: Proof) -> JsonObject:
    """Shape of one proof. `access_log` is null while the log does not have the line."""
    access_log = None
    if proof.line:
        access_log = _access_shape(proof.line)
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
    }


def _access_shape(line: AccessLine) -> JsonObject:
    return {
        "route": line.route,
        "cluster": line.cluster,
        "flags": line.flags,
        "details": line.details,
        "upstream": line.upstream,
    }
