"""The live requests: what a user sees. Where they fail, something else is the cause, or nobody knows it yet."""

import json
from collections.abc import Iterator

from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.model import Evidence, Finding
from devenv.diagnosis.read import devenv, model_pods, seconds
from devenv.facts.labels import by_storm_service
from devenv.facts.live import UNPROVEN, Proof, agent_of, remedies
from devenv.facts.model import Facts
from devenv.profiles.model import Route


@check
def keys(facts: Facts) -> Iterator[Finding]:
    """No request lacks an API key. All of them that do, to one model, are one finding."""
    keyless: dict[str, list[Proof]] = {}
    sent = zip(facts.proofs, facts.profile.requests, strict=False)
    for proof, live in ((p, r) for p, r in sent if p.keyless):
        keyless.setdefault(live.model, []).append(proof)
    for model, proofs in keyless.items():
        yield _keyless(facts, model, proofs)


def _keyless(facts: Facts, model: str, proofs: list[Proof]) -> Finding:
    given = any(r.headers for r in facts.profile.requests if r.model == model)
    who = "The gateway" if all(p.by_gateway for p in proofs) else f"The model {model}"
    says = f"{who} wants an API key, and the profile's requests carry none."
    if given:
        says = f"{who} wants another API key than the profile's requests carry."
    evidence = [Evidence(f"request {p.name}", text) for p in proofs for text in _shown(p)]
    route = proofs[0].route.value
    words = ["--route", route, "--header", '"Authorization: Bearer ${API_KEY}"']
    fix = (*remedies(proofs), devenv(facts, "request", *words))
    keys = {f"model/{model}", *(f"route/{p.route}/{model}" for p in proofs)}
    return Finding("DE602", f"model {model}", says, tuple(evidence), fix, about=frozenset(keys))


@check
def profile(facts: Facts) -> Iterator[Finding]:
    """Every request can prove its route as the profile has it: its headers can be sent, and its model names its pod."""
    sent = zip(facts.proofs, facts.profile.requests, strict=False)
    for proof, live in ((p, r) for p, r in sent if p.lasting and not p.keyless):
        says = f"The request {proof.name} can't prove its route as the profile has it."
        evidence = tuple(Evidence(f"request {proof.name}", text) for text in _shown(proof))
        fix = (*remedies([proof]), devenv(facts, "request", "--route", proof.route))
        about = frozenset({f"route/{proof.route}/{live.model}"})
        yield Finding("DE603", f"request {proof.name}", says, evidence, fix, about=about)


@check
def requests(facts: Facts) -> Iterator[Finding]:
    """Every request of the profile takes its route and is answered."""
    for proof, live in zip(facts.proofs, facts.profile.requests, strict=False):
        if proof.ok or proof.lasting or proof.failures == (UNPROVEN,):
            continue
        about = frozenset({f"route/{proof.route}", f"route/{proof.route}/{live.model}", f"model/{live.model}"})
        evidence = [Evidence(f"request {proof.name}", text) for text in _shown(proof)]
        if proof.line and (first := first_failure(facts, proof.route, proof.line.route)):
            evidence.append(Evidence("access log", f"the first request by the route {proof.route} that failed", first))
        if live.route in {Route.DIRECT, Route.PLAIN} and by_storm_service(model_pods(facts, live.model)):
            text = "a StormService serves it, for which AIBrix makes no route: ask by the route extension"
            evidence.append(Evidence(f"model {live.model}", text))
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
