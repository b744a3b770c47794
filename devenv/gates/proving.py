"""The gate at the end of a command: the live requests, shown as a step."""

from devenv.base.steps import step
from devenv.facts.live import Proof
from devenv.gates.live import Prober
from devenv.ports.reporter import Reporter

# The step's name.
REQUESTS = "live requests"


def prove_routes(reporter: Reporter, prober: Prober, seconds: float, hint: str) -> list[Proof]:
    """Show the live requests as a step, and return their proofs.

    Raises DevenvError if one does not prove its route within `seconds`.
    """
    with step(reporter, REQUESTS) as note:
        proofs = prober.until_proven(seconds, hint)
        note.append(f"{len(proofs)} of {len(proofs)} proved their routes")
    return proofs
