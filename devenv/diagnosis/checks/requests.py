"""The live requests: what a user sees. Where they fail, something else is the cause, or nobody knows it yet."""

import json
from collections.abc import Callable, Iterator

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
    for model, proofs in _by_model(facts, lambda proof: proof.keyless).items():
        given = any(r.headers for r in facts.profile.requests if r.model == model)
        who = "The gateway" if all(p.by_gateway for p in proofs) else f"The model {model}"
        message = f"{who} wants an API key, and the profile's requests carry none."
        if given:
            message = f"{who} wants another API key than the profile's requests carry."
        yield _to_change(
            facts, "DE602", model, message, proofs, "--header", "'Authorization: Bearer ${API_KEY}'"
        )


@check
def profile(facts: Facts) -> Iterator[Finding]:
    """Every request can prove its route as the profile has it: its headers can be sent, and its model names its pod."""
    for model, proofs in _by_model(
        facts, lambda proof: proof.lasting and not proof.keyless
    ).items():
        names = ", ".join(p.name for p in proofs)
        message = (
            f"The profile's requests to {model} can't prove their routes as they are: {names}."
        )
        yield _to_change(facts, "DE603", model, message, proofs)


def _by_model(facts: Facts, concerns: Callable[[Proof], bool]) -> dict[str, list[Proof]]:
    """Return the proofs that are concerned, by the model that was asked."""
    by_model: dict[str, list[Proof]] = {}
    for proof, live in zip(facts.proofs, facts.profile.requests, strict=False):
        if concerns(proof):
            by_model.setdefault(live.model, []).append(proof)
    return by_model


def _to_change(
    facts: Facts, code: str, model: str, message: str, proofs: list[Proof], *options: str
) -> Finding:
    """Return the finding that somebody must change the requests; `options` of one that would do."""
    evidence = tuple(Evidence(f"request {p.name}", p.failures[0]) for p in proofs)
    fix = (*remedies(proofs), devenv(facts, "request", "--route", proofs[0].route.value, *options))
    about = {f"model/{model}", *(f"route/{p.route}/{model}" for p in proofs)}
    return Finding(code, f"model {model}", message, evidence, fix, about=frozenset(about))


@check
def requests(facts: Facts) -> Iterator[Finding]:
    """Every request of the profile takes its route and is answered."""
    for proof, live in zip(facts.proofs, facts.profile.requests, strict=False):
        if proof.ok or proof.lasting or proof.failures == (UNPROVEN,):
            continue
        about = frozenset(
            {f"route/{proof.route}", f"route/{proof.route}/{live.model}", f"model/{live.model}"}
        )
        evidence = [Evidence(f"request {proof.name}", text) for text in _shown(proof)]
        began = first_failure(facts, proof.route, proof.line.route) if proof.line else 0.0
        # One of this look's own requests began nothing: it only found what was there.
        if 0 < began < facts.taken:
            evidence.append(
                Evidence(
                    "access log", f"the first request by the route {proof.route} that failed", began
                )
            )
        if live.route in {Route.DIRECT, Route.PLAIN} and by_storm_service(
            model_pods(facts, live.model)
        ):
            text = "a StormService serves it, for which AIBrix makes no route: ask by the route extension"
            evidence.append(Evidence(f"model {live.model}", text))
        message = f"Requests by the route {proof.route} fail: {proof.failures[0]}."
        yield Finding(
            "DE601",
            f"request {proof.name}",
            message,
            tuple(evidence),
            (devenv(facts, "request", "--route", proof.route),),
            about=about,
        )


def _shown(proof: Proof) -> list[str]:
    line = proof.line
    texts = list(proof.failures)
    return (
        [*texts, f"Envoy: route {line.route}, flags {line.flags}, {line.details}"]
        if line
        else texts
    )


def first_failure(facts: Facts, kind: str, name: str) -> float:
    """Return when requests of this kind began to fail without a good one since. 0: Envoy's log has none.

    A live request's user agent says its kind; others' requests count where Envoy took the same route, by its `name`.
    """
    began = 0.0
    for _, line in facts.lines():
        when, _, text = line.partition(" ")
        if not text.startswith("{"):
            continue
        try:
            entry = json.loads(text)
        except ValueError:
            continue
        agent = str(entry.get("user-agent"))
        if agent.startswith(agent_of(kind)) or (
            entry.get("route_name") == name and not agent.startswith("devenv/")
        ):
            failed = int(entry.get("response_code") or 0) >= 500  # noqa: PLR2004
            began = (began or seconds(when)) if failed else 0.0
    return began
