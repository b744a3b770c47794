"""The live requests: what a user sees. A failure that no other finding explains is a root cause."""

import re
from collections.abc import Callable, Iterator

from devenv.diagnosis import keys
from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.commands import devenv_command
from devenv.diagnosis.keys import Key
from devenv.diagnosis.log_lines import access_log
from devenv.diagnosis.model import Advice, Evidence, Finding, Joint, Subject
from devenv.diagnosis.served_models import ServedModel
from devenv.facts.labels import by_storm_service
from devenv.facts.live import EXCERPT, LONG, UNPROVEN, Proof, agent_of, remedies
from devenv.facts.model import Facts
from devenv.facts.telling import error_message
from devenv.profiles.model import LiveRequest, Route

# How gateway-plugins says that a model has no HTTPRoute.
_NO_HTTP_ROUTE = re.compile(r"httproutes?\b.*\bnot found", re.IGNORECASE | re.DOTALL)
_KEY_OPTIONS = ("--header", "'Authorization: Bearer ${API_KEY}'")


# Requests that their author must change


@check
def find_missing_api_keys(facts: Facts) -> Iterator[Finding]:
    """DE602: requests lack an API key. All requests to one model are one finding."""
    for model, proofs in _proofs_by_model(facts, _lacks_api_key).items():
        wanted_by = f"The model {model}"
        if all(proof.by_gateway for proof in proofs):
            wanted_by = "The gateway"
        message = f"{wanted_by} wants an API key, and the profile's requests carry none."
        if any(r.headers for r in facts.profile.requests if r.model == model):
            message = f"{wanted_by} wants another API key than the profile's requests carry."
        yield _unsuitable_requests(facts, "DE602", model, message, proofs, *_KEY_OPTIONS)


def _lacks_api_key(proof: Proof) -> bool:
    return proof.keyless


@check
def find_unprovable_requests(facts: Facts) -> Iterator[Finding]:
    """DE603: a request can't prove its route as the profile has it.

    Its headers can't be sent, or its model does not name the pod that answers.
    """
    for model, proofs in _proofs_by_model(facts, _is_unprovable).items():
        names = ", ".join(proof.name for proof in proofs)
        message = (
            f"The profile's requests to {model} can't prove their routes as they are: {names}."
        )
        yield _unsuitable_requests(facts, "DE603", model, message, proofs)


def _is_unprovable(proof: Proof) -> bool:
    return proof.lasting and not proof.keyless


def _proofs(facts: Facts) -> Iterator[tuple[Proof, LiveRequest]]:
    """Yield each proof with the profile's request that it is of. Some may not have been sent.

    A long one counts if the short one proved its route: otherwise it shows nothing more.
    """
    by_name: dict[str, LiveRequest] = {}
    for proof, request in zip(facts.proofs, facts.profile.requests, strict=False):
        yield proof, request
        if proof.ok:
            by_name[f"{proof.name}{LONG}"] = request
    for proof in facts.long_proofs:
        if request_of_proof := by_name.get(proof.name):
            yield proof, request_of_proof


def _proofs_by_model(facts: Facts, is_concerned: Callable[[Proof], bool]) -> dict[str, list[Proof]]:
    """Return the proofs that are concerned, by the model that was asked."""
    by_model: dict[str, list[Proof]] = {}
    for proof, request in _proofs(facts):
        if is_concerned(proof):
            by_model.setdefault(request.model, []).append(proof)
    return by_model


def _unsuitable_requests(
    facts: Facts, code: str, model: str, message: str, proofs: list[Proof], *options: str
) -> Finding:
    """Return the finding that requests must be changed. `options`: of a request that works."""
    retry = devenv_command(facts, "request", "--route", proofs[0].route.value, *options)
    routes = {keys.route(proof.route, model) for proof in proofs}
    return Finding(
        code=code,
        subject=Subject("model", model),
        says=message,
        evidence=tuple(Evidence(f"request {p.name}", p.failures[0]) for p in proofs),
        fix=(*map(Advice, remedies(proofs)), retry),
        about=frozenset({keys.model(model), *routes}),
    )


# Requests that fail


@check
def find_failing_requests(facts: Facts) -> Iterator[Finding]:
    """DE601: a request is not answered, or takes another route than it should."""
    for proof, request in _proofs(facts):
        was_judged = proof.failures != (UNPROVEN,)
        if was_judged and not proof.ok and not proof.lasting:
            yield _failing_request(facts, proof, request)


def _failing_request(facts: Facts, proof: Proof, request: LiveRequest) -> Finding:
    route, model = proof.route, request.model
    reason = _reason(proof)
    return Finding(
        code="DE601",
        subject=Subject("request", proof.name),
        says=f"Requests by the route {route} fail: {reason}.",
        joint=Joint(route.value, f"Requests by the routes {{}} fail: {reason}."),
        evidence=(
            *_what_it_showed(proof),
            *_evidence_of_onset(facts, proof),
            *_evidence_of_storm_service(facts, request),
        ),
        fix=(devenv_command(facts, "request", "--route", route),),
        about=frozenset({keys.route(route), keys.route(route, model), keys.model(model)}),
        names=frozenset(_blamed_by(proof, model)),
        # What fails for devenv fails for users, too.
        affects=frozenset({keys.route(route, model)}),
    )


def _reason(proof: Proof) -> str:
    """Return the first failure, with the message in the answer's JSON instead of its beginning.

    The evidence has it whole.
    """
    reason, body = proof.failures[0], proof.answer.body.strip()
    message = error_message(body)
    return reason.replace(body[:EXCERPT], message) if message else reason


def _blamed_by(proof: Proof, model: str) -> Iterator[Key]:
    """Yield the key of the object that the answer itself blames."""
    if any(
        map(_NO_HTTP_ROUTE.search, (*proof.failures, proof.answer.body if proof.answer else ""))
    ):
        yield keys.http_route(model)


def _what_it_showed(proof: Proof) -> Iterator[Evidence]:
    """Yield each failure of a request, and what Envoy logged of it."""
    source = f"request {proof.name}"
    for failure in proof.failures:
        yield Evidence(source, failure)
    if line := proof.line:
        text = f"Envoy: route {line.route}, flags {line.flags}, {line.details}"
        yield Evidence(source, text)


def _evidence_of_onset(facts: Facts, proof: Proof) -> Iterator[Evidence]:
    """Yield since when such requests fail, if they failed before this look's own requests."""
    if proof.line is None:
        return
    began = first_failure(facts, proof.route, proof.line.route)
    if 0 < began < facts.now:
        text = f"the first request by the route {proof.route} that failed"
        yield Evidence("access log", text, began)


def first_failure(facts: Facts, kind: str, envoy_route: str) -> float:
    """Return since when requests of a kind have failed without exception; 0 if the log has none.

    A live request's user agent names its kind. Requests of users count if Envoy took the same route
    for them.
    """
    began = 0.0
    for entry in access_log(facts):
        agent = entry.text("user-agent")
        is_live_request = agent.startswith(agent_of(kind))
        is_users = not agent.startswith("devenv/")
        same_route = entry.fields.get("route_name") == envoy_route
        if not is_live_request and not (is_users and same_route):
            continue
        if not entry.has_failed:
            began = 0.0
        elif not began:
            began = entry.time
    return began


def _evidence_of_storm_service(facts: Facts, request: LiveRequest) -> Iterator[Evidence]:
    """Yield that a request can't succeed: AIBrix makes no HTTPRoute for a StormService."""
    needs_http_route = request.route in {Route.DIRECT, Route.PLAIN}
    pods = ServedModel(facts, request.model).pods
    if needs_http_route and by_storm_service(pods):
        text = (
            "a StormService serves it, for which AIBrix makes no route: "
            "send requests by the route extension"
        )
        yield Evidence(f"model {request.model}", text)
