"""`request`: an answer with its proof, or what became of many requests."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape

from devenv.base.counting import counted
from devenv.base.json_types import JsonObject
from devenv.diagnosis.model import Diagnosis
from devenv.facts.answers import readable_text
from devenv.facts.live import Proof, remedies
from devenv.gates.series import FailureCount, RouteCount, SeriesResult
from devenv.ui import console
from devenv.ui import diagnosis as diagnoses
from devenv.ui.console import print_line
from devenv.ui.marks import CHECK, CROSS, FIX, NOTE, PART_CROSS, dim
from devenv.ui.proofs import access_shape, proof_head, proof_shape
from devenv.ui.render import Report, shapes
from devenv.ui.table import print_table

# What a header that tells of the route begins with.
_ROUTING_HEADERS = ("x-", "target-pod", "routing-")
_OK = 200
_HEADINGS = ("ROUTE", "REQUESTS", "FAILED", "MEDIAN", "SLOWEST")
_NUMBERS = {"REQUESTS", "FAILED", "MEDIAN", "SLOWEST"}
_NOTHING = "-"


@dataclass(frozen=True)
class Answered:
    """A request's proof.

    `hints` say what to change in the request. `diagnosis` is doctor's, after a failure.
    """

    proof: Proof
    hints: Sequence[str] = ()
    diagnosis: Diagnosis | None = None


def request(answered: Answered, url: str, *, is_raw: bool = False) -> Report:
    """Report an answer, and what proves its route. `is_raw`: without the answer's text.

    Only the JSON has the diagnosis: as text, it comes later.
    """
    proof = answered.proof

    def text(out: Console) -> None:
        answer = console.harmless_lines(readable_text(proof.answer))
        if answer and proof.answer.status == _OK and not is_raw:
            out.print(answer, markup=False, soft_wrap=True)
            out.print()
        out.print(f"{proof_head(proof)}  {dim(url)}")
        if answer and proof.answer.status != _OK and not is_raw:
            print_line(out, f"{CROSS} {escape(answer)}")
        for failure in proof.other_failures:
            print_line(out, f"{CROSS} {escape(failure)}")
        _print_rows(out, proof)
        for hint in _hints(answered):
            print_line(out, f"{FIX} {escape(hint)}")

    def content() -> JsonObject:
        return {
            **proof_shape(proof),
            "text": readable_text(proof.answer),
            "hints": _hints(answered),
            "diagnosis": _diagnosis_shape(answered.diagnosis),
        }

    return Report("request", content, text)


def print_body(proof: Proof) -> None:
    """Print the answer's body as it came."""
    if proof.answer.body:
        console.document(proof.answer.body.removesuffix("\n"))


def _hints(answered: Answered) -> list[str]:
    lasting = [answered.proof] if answered.proof.lasting else []
    return [*remedies(lasting), *answered.hints]


def _print_rows(out: Console, proof: Proof) -> None:
    """Print the headers that tell of the route, and what Envoy logged, below each other."""
    rows = [pair for pair in proof.answer.headers.items() if pair[0].startswith(_ROUTING_HEADERS)]
    if proof.line:
        rows += access_shape(proof.line).items()
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        label = dim(name.ljust(width))
        print_line(out, f"{label}  {escape(value)}")


def _diagnosis_shape(diagnosis: Diagnosis | None) -> JsonObject | None:
    return diagnoses.diagnosis_shape(diagnosis) if diagnosis else None


# A series


def series(result: SeriesResult, diagnosis: Diagnosis | None = None) -> Report:
    """Report what became of a series, by route and by reason. Only the JSON has the diagnosis."""

    def text(out: Console) -> None:
        _print_verdict(out, result)
        print_table(out, _HEADINGS, list(map(_route_row, result.routes)), _NUMBERS)
        for failures in _by_reason(result.failures):
            print_line(out, f"{PART_CROSS} {escape(_failure_line(failures))}")
        if result.unfinished and not result.is_interrupted:
            out.print(f"{NOTE} {counted(result.unfinished, 'request')} did not end in time.")

    return Report("requests", lambda: series_shape(result, diagnosis), text)


def _print_verdict(out: Console, result: SeriesResult) -> None:
    mark = CHECK if result.ok or (result.is_interrupted and not result.failed) else CROSS
    total = counted(result.total, "request")
    duration = f"in {result.duration:.1f} s"
    if result.is_interrupted:
        duration = f"in {result.duration:.1f} s, until the interrupt"
    out.print(f"{mark} {result.failed} of {total} failed {duration}.")


def _route_row(route: RouteCount) -> tuple[str, ...]:
    return (
        route.route.value,
        str(route.total),
        str(route.failed),
        _milliseconds(route.median),
        _milliseconds(route.slowest),
    )


def _milliseconds(seconds: float | None) -> str:
    return _NOTHING if seconds is None else f"{seconds * 1000:.0f} ms"


def _by_reason(failures: Iterable[FailureCount]) -> list[list[FailureCount]]:
    """Return the failures with those for the same reason together."""
    groups: dict[tuple[str, str], list[FailureCount]] = {}
    for failure in failures:
        groups.setdefault((failure.reason, failure.message), []).append(failure)
    return list(groups.values())


def _failure_line(failures: Sequence[FailureCount]) -> str:
    """Return one reason, on which routes, how often, and when."""
    reason = failures[0].message
    if failures[0].reason.isdecimal():
        reason = f"{failures[0].reason} ({reason or 'empty body'})"
    routes = ", ".join(f"{failure.route} {failure.count}" for failure in failures)
    first = min(failure.first for failure in failures)
    last = max(failure.last for failure in failures)
    return f"{reason}: {routes}; from {first:.1f} s to {last:.1f} s"


def series_shape(result: SeriesResult, diagnosis: Diagnosis | None) -> JsonObject:
    """Shape of a series. Times are in seconds, null without a good answer."""
    return {
        "ok": result.ok,
        "seconds": round(result.duration, 3),
        "concurrency": result.concurrency,
        "interrupted": result.is_interrupted,
        "total": result.total,
        "failed": result.failed,
        "unfinished": result.unfinished,
        "routes": shapes(_route_shape, result.routes),
        "failures": shapes(_failure_shape, result.failures),
        "diagnosis": _diagnosis_shape(diagnosis),
    }


def _route_shape(route: RouteCount) -> JsonObject:
    return {
        "route": route.route.value,
        "total": route.total,
        "failed": route.failed,
        "failing": route.is_failing,
        "median": _rounded(route.median),
        "slowest": _rounded(route.slowest),
    }


def _failure_shape(failure: FailureCount) -> JsonObject:
    return {
        "route": failure.route.value,
        "reason": failure.reason,
        "count": failure.count,
        "first": round(failure.first, 3),
        "last": round(failure.last, 3),
        "message": failure.message,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
