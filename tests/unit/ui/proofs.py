"""Proofs for the tests of reports, and the shape of one."""

from devenv.facts.live import AccessLine, Proof
from devenv.ports.gateway import HttpAnswer, Obstacle
from devenv.profiles.model import Route

LINE = AccessLine(
    "original_route", "original_destination_cluster", "-", "via_upstream", "10.0.0.1:8000"
)
PROOF = Proof(
    "extension",
    Route.EXTENSION,
    HttpAnswer(200, {"target-pod": "mock-1"}, "hello", 0.0123),
    LINE,
    "mock-1",
)
BROKEN = Proof(
    "direct",
    Route.DIRECT,
    HttpAnswer(0, error="connection refused", obstacle=Obstacle.REFUSED),
    None,
    "",
    ("no answer (connection refused)",),
)
REFUSED = HttpAnswer(
    503,
    {"x-error-routing": "true"},
    '{"error": {"message": "error on selecting target pod"}}',
    0.0123,
)
NO_TARGET = Proof(
    "extension",
    Route.EXTENSION,
    REFUSED,
    AccessLine("original_route", "c", "-", "ext_proc_local_reply", "-"),
    "",
    (f"503 ({REFUSED.body})", "the plugin itself refused it: x-error-routing"),
)

PROOF_JSON = {
    "name": "extension", "route": "extension", "ok": True, "failures": [], "pod": "mock-1",
    "answer": {"status": 200, "seconds": 0.0123, "headers": {"target-pod": "mock-1"}, "body": "hello", "error": "", "obstacle": None},
    "access_log": {"route": "original_route", "cluster": "original_destination_cluster", "flags": "-",
                   "details": "via_upstream", "upstream": "10.0.0.1:8000"},
}  # fmt: skip
