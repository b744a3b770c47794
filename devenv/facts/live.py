"""One live request, its answer, its line in Envoy's access log, and what the two together prove."""

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from devenv.ports import HttpAnswer, HttpRequest
from devenv.profiles.model import LiveRequest, Route

# AIBrix's EnvoyPatchPolicy names it so in every release (docs/facts/aibrix.md)
PATCHED_ROUTE = "original_route"
# Set by the plugin on every answer that it has seen.
REACHED = "x-went-into-req-headers"
# How a mock model names its pod, AIBrix's own too.
_POD = re.compile(r"\(pod ([a-z0-9.-]+)\)")


@dataclass(frozen=True)
class Sent:
    """A request with a user agent of its own, by which its line in the access log is found."""

    live: LiveRequest
    http: HttpRequest
    agent: str


@dataclass(frozen=True)
class AccessLine:
    """What Envoy's access log says of one request (field names of Envoy Gateway v1.2's default JSON format)."""

    route: str
    cluster: str
    flags: str
    details: str
    # Address of the pod.
    upstream: str

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "AccessLine":
        """Read one entry of the log."""
        keys = (
            "route_name",
            "upstream_cluster",
            "response_flags",
            "response_code_details",
            "upstream_host",
        )
        return cls(*(str(entry.get(key) or "-") for key in keys))


@dataclass(frozen=True)
class Proof:
    """What one request showed. `failures` is empty when it proves its route; `line` is None while the log has not got it."""

    name: str
    route: Route
    answer: HttpAnswer
    line: AccessLine | None
    # That says it answered, else the one that Envoy's log shows; "" for none.
    pod: str
    failures: tuple[str, ...] = field(default=())
    # All is right but that the answer does not name the pod that gave it.
    unnamed: bool = False

    @property
    def ok(self) -> bool:
        """Whether the request took its route and was answered."""
        return not self.failures

    @property
    def lasting(self) -> bool:
        """Whether it fails, and no later look will differ: somebody must change the request."""
        return not self.ok and (self.unnamed or self.keyless or not self.answer.sent)

    @property
    def keyless(self) -> bool:
        """Whether an API key is wanted that the request has not got."""
        return self.answer.status == _UNAUTHORIZED

    @property
    def by_gateway(self) -> bool:
        """Whether Envoy or gateway-plugins gave the answer: no pod was asked."""
        return self.line is not None and self.line.upstream in {"", "-"}


_OK, _UNAUTHORIZED = 200, 401
# Headers by which gateway-plugins says why.
_REFUSED = "x-error-"


def agent_of(route: str) -> str:
    """Return how the user agents of live requests by this route begin."""
    return f"devenv/{route}/"


def compose(
    live: LiveRequest, port: int, timeout: float = 10.0, headers: Mapping[str, str] | None = None
) -> Sent:
    """Return the HTTP request that takes the live request's route. `headers`: its own, as they are sent."""
    agent = f"{agent_of(live.route)}{uuid.uuid4().hex}"
    own_headers = {"user-agent": agent}
    # With a routing strategy it would go into the patched route, and nowhere (docs/facts/aibrix.md)
    if live.route is Route.MODELS:
        request = HttpRequest(
            port, "/v1/models", "GET", {**(headers or {}), **own_headers}, timeout=timeout
        )
        return Sent(live, request, agent)
    own_headers["content-type"] = "application/json"
    if live.route is Route.DIRECT:
        own_headers["model"] = live.model
    if live.route is Route.EXTENSION:
        own_headers["routing-strategy"] = live.strategy
    body = {
        "model": live.model,
        "messages": [{"role": "user", "content": "hello"}],
        "stream": live.stream,
    }
    request = HttpRequest(
        port,
        "/v1/chat/completions",
        headers={**(headers or {}), **own_headers},
        body=json.dumps(body).encode(),
        timeout=timeout,
    )
    return Sent(live, request, agent)


def find_line(log: str, agent: str) -> AccessLine | None:
    """Return the entry of the request that had this user agent."""
    for text in reversed(log.splitlines()):
        if agent in text:
            try:
                return AccessLine.of(json.loads(text))
            except ValueError:
                continue
    return None


def prove(
    live: LiveRequest,
    answer: HttpAnswer,
    line: AccessLine | None,
    pods: Mapping[str, str],
    namespace: str,
) -> Proof:
    """Judge one request. `pods` maps the model's pods to their addresses; `namespace` is that of AIBrix's routes.

    A 200 alone proves no route: it may have come by another one. So each kind shows what only its own route can show.
    """
    name = live.name or live.route.value
    named_pod, logged_pod = answering_pod(answer, pods), _upstream_pod(line, pods) if line else ""
    pod = named_pod or logged_pod
    # Nothing that a good answer shows can be looked for in it.
    if answer.status not in {0, _OK}:
        refused = [
            f"the plugin itself refused it: {h}" for h in answer.headers if h.startswith(_REFUSED)
        ]
        failures = [*_answered(answer, live), *refused, *_routed(live, line, namespace)]
        return Proof(name, live.route, answer, line, pod, tuple(failures))
    if live.route is Route.MODELS:
        failures = [
            *_answered(answer, live),
            *_listed(answer, live.model),
            *_routed(live, line, namespace),
        ]
        return Proof(name, live.route, answer, line, "", tuple(failures))
    if answer.status == 0:
        return Proof(name, live.route, answer, line, pod, tuple(_answered(answer, live)))
    failures = [*_answered(answer, live), *_routed(live, line, namespace)]
    if line and named_pod in pods and line.upstream.rsplit(":", 1)[0] != pods[named_pod]:
        failures.append(
            f"Envoy sent it to {line.upstream}, but the pod that answered, {named_pod}, has the address {pods[named_pod]}"
        )
    if live.route is not Route.DIRECT and REACHED not in answer.headers:
        failures.append(f"the answer has no {REACHED}: the plugin never saw the request")
    if live.route is Route.EXTENSION:
        failures += _chosen(answer.headers, pod, pods)
    strange = _from_model(named_pod, logged_pod, live, pods, line)
    unnamed = bool(strange and logged_pod and not named_pod and not failures)
    return Proof(name, live.route, answer, line, pod, (*strange, *failures), unnamed)


UNPROVEN = "the API server does not answer, so its route can't be proven"


def unproven(live: LiveRequest, answer: HttpAnswer) -> Proof:
    """Say what an answer shows where neither pods nor logs can be read."""
    failures = _answered(answer, live) or [UNPROVEN]
    return Proof(
        live.name or live.route.value,
        live.route,
        answer,
        None,
        answering_pod(answer),
        tuple(failures),
    )


def remedies(proofs: Iterable[Proof]) -> list[str]:
    """Return what to change where no waiting helps."""
    failed = list(proofs)
    fixes: list[str] = []
    if any(p.keyless for p in failed):
        fixes.append(
            'Give the requests the API key: requests: [{name: direct, headers: {Authorization: "Bearer'
            ' ${API_KEY}"}}] in the profile, or --header with `devenv request` and `devenv model`.'
        )
    if unnamed := [p.name for p in failed if p.unnamed]:
        entries = ", ".join(f"{{name: {name}, anonymous: true}}" for name in unnamed)
        fixes.append(
            f"Where the model never names its pod, say so in the profile: requests: [{entries}]."
        )
    if unsent := [p.answer.error for p in failed if not p.answer.sent]:
        fixes.append(f"Set what the headers refer to: {'; '.join(dict.fromkeys(unsent))}.")
    return fixes


def answering_pod(answer: HttpAnswer, pods: Iterable[str] = ()) -> str:
    """Return the pod that the reply names, "" where it names none. A stream's pieces are put together first.

    A mock says "(pod NAME)"; AIBrix's own has other sentences too, so any of `pods` counts wherever
    it stands.
    """
    text = answer.body
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        text = "".join(
            _piece(event[len("data: ") :])
            for event in text.splitlines()
            if event.startswith("data: {")
        )
    if match := _POD.search(text):
        return match[1]
    mentioned_pods = [
        p for p in pods if re.search(rf"(?<![a-z0-9.-]){re.escape(p)}(?![a-z0-9-])", text)
    ]
    return mentioned_pods[0] if len(mentioned_pods) == 1 else ""


def _upstream_pod(line: AccessLine, pods: Mapping[str, str]) -> str:
    """Return the pod at the address that Envoy sent the request to, "" where it is none of the model's."""
    address = line.upstream.rpartition(":")[0]
    return next(
        (name for name, pod_address in pods.items() if pod_address and pod_address == address), ""
    )


def _piece(event: str) -> str:
    try:
        choices = json.loads(event)["choices"]
        return "".join(str((c.get("delta") or {}).get("content") or "") for c in choices)
    except (ValueError, KeyError):
        return ""


def _answered(answer: HttpAnswer, live: LiveRequest) -> list[str]:
    if answer.status == 0:
        return [f"{'no answer' if answer.sent else 'it was not sent'}: {answer.error}"]
    body = answer.body.strip()[:200] or "with an empty body"
    if answer.status == _UNAUTHORIZED:
        key = "its headers hold no key that is accepted" if live.headers else "it has no API key"
        return [f"401, {key}: {body}"]
    if answer.status != _OK:
        return [f"{answer.status}: {body}"]
    streamed = answer.headers.get("content-type", "").startswith("text/event-stream")
    return (
        ["a stream was asked for, and the answer is none"] if live.stream and not streamed else []
    )


def _listed(answer: HttpAnswer, model: str) -> list[str]:
    """The metadata service lists models that have a running pod, ready or not."""
    if answer.status != _OK:
        return []
    try:
        names = [str(entry["id"]) for entry in json.loads(answer.body)["data"]]
    except (ValueError, LookupError, TypeError):
        return ["the answer is no list of models"]
    return (
        []
        if model in names
        else [f"the list has {', '.join(names) or 'no model'}, and not {model}"]
    )


def _from_model(
    named_pod: str,
    logged_pod: str,
    live: LiveRequest,
    pods: Mapping[str, str],
    line: AccessLine | None,
) -> list[str]:
    if named_pod:
        return [] if named_pod in pods else [f"{named_pod} answered, which is no pod of the model"]
    if logged_pod and live.anonymous:
        return []
    if logged_pod:
        remedy = "`anonymous: true` in the profile's request lets the log count"
        return [f"the answer names no pod; by Envoy's log {logged_pod} gave it: {remedy}"]
    if line:
        return [
            f"the answer names no pod, and Envoy sent it to {line.upstream}, which is none of the model's"
        ]
    return ["the answer names no pod"]


def _routed(live: LiveRequest, line: AccessLine | None, namespace: str) -> list[str]:
    if line is None:
        return ["the access log has not got its line yet"]
    if live.route is Route.EXTENSION:
        fits, expected_route = line.route == PATCHED_ROUTE, PATCHED_ROUTE
    else:
        expected_route = f"httproute/{namespace}/{live.http_route}/"
        fits = line.route.startswith(expected_route)
    return [] if fits else [f"Envoy took the route {line.route} instead of {expected_route}"]


def _chosen(headers: Mapping[str, str], pod: str, pods: Mapping[str, str]) -> list[str]:
    """Until v0.5 `target-pod` holds the address, from v0.6 the pod's name (docs/facts/aibrix.md)."""
    target = headers.get("target-pod", "")
    if not target:
        return ["the answer has no target-pod"]
    # That nothing tells which one answered is a failure of its own.
    if not pod:
        return []
    by_name, by_address = target == pod, target.rsplit(":", 1)[0] == pods.get(pod)
    return [] if by_name or by_address else [f"the plugin chose {target}, and {pod} answered"]
