"""The live requests: what a user sees. Where they fail, something else is the cause, or nobody knows it yet."""

import json
from collections.abc import Iterator

from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.model import Evidence, Finding
from devenv.diagnosis.read import devenv, seconds
from devenv.facts.live import UNPROVEN, Proof, agent_of
from devenv.facts.model import Facts


@check
def requests(facts: Facts) -> Iterator[Finding]:
    """Every request of the profile takes its route and is answered."""
    for proof, live in zip(facts.proofs, facts.profile.requests, strict=False):
        if proof.ok or proof.failures == (UNPROVEN,):
            continue
        about = frozenset({f"route/{proof.route}", f"route/{proof.route}/{live.model}", f"model/{live.model}"})
        evidence = [Evidence(f"request {proof.name}", text) for text in _shown(proof)]
        if proof.line and (first := first_failure(facts, proof.route, proof.line.route)):
            evidence.append(Evidence("access log", f"the first request by the route {proof.route} that failed", first))
        says = f"Requests by the route {proof.route} fail: {proof.failures[0]}."
        yield Finding(
            "DE601",
            f"request {proof.name}",
            says,
            tuple(evidence),
            (devenv(facts, "request", "--route", proof.route),),
            about=about,
        )


def _shown(proof: Proof) -> list[str]:
    line = proof.line
    told = list(proof.failures)
    return [*told, f"Envoy: route {line.route}, flags {line.flags}, {line.details}"] if line else told


def first_failure(facts: Facts, kind: str, name: str) -> float:
    """Return when requests of this kind began to fail without a good one since. 0: Envoy's log has none.

    A live request's user agent says its kind; others' requests count where Envoy took the same route, by its `name`.
    """
    first = 0.0
    for _, line in facts.lines():
        when, _, text = line.partition(" ")
        if not text.startswith("{"):
            continue
        try:
            entry = json.loads(text)
        except ValueError:
            continue
        agent = str(entry.get("user-agent"))
        if agent.startswith(agent_of(kind)) or (entry.get("route_name") == name and not agent.startswith("devenv/")):
            failed = int(entry.get("response_code") or 0) >= 500  # noqa: PLR2004
            first = (first or seconds(when)) if failed else 0.0
    return first
