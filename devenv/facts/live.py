"""One live request, its answer, its line in Envoy's access log, and what the two together prove."""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from devenv.ports import HttpAnswer, HttpRequest
from devenv.profiles.model import LiveRequest, Route

PATCHED_ROUTE = "original_route"  # AIBrix's EnvoyPatchPolicy names it so in every release (facts/aibrix.md)
REACHED = "x-went-into-req-headers"  # set by the plugin on every answer that it has seen
_POD = re.compile(r"\(pod ([a-z0-9.-]+)\)")  # how a mock model names its pod, AIBrix's own too


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
    upstream: str  # address of the pod

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "AccessLine":
        """Read one entry of the log."""
        keys = ("route_name", "upstream_cluster", "response_flags", "response_code_details", "upstream_host")
        return cls(*(str(entry.get(key) or "-") for key in keys))


@dataclass(frozen=True)
class Proof:
    """What one request showed. `failures` is empty when it proves its route; `line` is None while the log has not got it."""

    name: str
    route: Route
    answer: HttpAnswer
    line: AccessLine | None
    pod: str  # that says it answered, "" where none did
    failures: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether the request took its route and was answered."""
        return not self.failures


_REFUSED = "x-error-"  # headers by which gateway-plugins says why


def agent_of(route: str) -> str:
    """Return how the user agents of live requests by this route begin."""
    return f"devenv/{route}/"


def compose(live: LiveRequest, port: int, timeout: float = 10.0) -> Sent:
    """Return the HTTP request that takes the live request's route."""
    agent = f"{agent_of(live.route)}{uuid.uuid4().hex}"
    if live.route is Route.MODELS:  # with a routing strategy it would go into the patched route, and nowhere (facts/aibrix.md)
        return Sent(live, HttpRequest(port, "/v1/models", "GET", {"user-agent": agent}, timeout=timeout), agent)
    headers = {"content-type": "application/json", "user-agent": agent}
    if live.route is Route.DIRECT:
        headers["model"] = live.model
    if live.route is Route.EXTENSION:
        headers["routing-strategy"] = live.strategy
    body = {"model": live.model, "messages": [{"role": "user", "content": "hello"}], "stream": live.stream}
    return Sent(
        live,
        HttpRequest(port, "/v1/chat/completions", headers=headers, body=json.dumps(body).encode(), timeout=timeout),
        agent,
    )


def find_line(log: str, agent: str) -> AccessLine | None:
    """Return the entry of the request that had this user agent."""
    for text in reversed(log.splitlines()):
        if agent in text:
            try:
                return AccessLine.of(json.loads(text))
            except ValueError:
                continue
    return None


def prove(live: LiveRequest, answer: HttpAnswer, line: AccessLine | None, pods: Mapping[str, str], namespace: str) -> Proof:
    """Judge one request. `pods` maps the model's pods to their addresses; `namespace` is that of AIBrix's routes.

    A 200 alone proves no route: it may have come by another one. So each kind shows what only its own route can show.
    """
    pod = answering_pod(answer) or (_upstream_pod(line, pods) if live.anonymous and line else "")
    if answer.status not in {0, 200}:  # nothing that a good answer shows can be looked for in it
        refused = [f"the plugin itself refused it: {h}" for h in answer.headers if h.startswith(_REFUSED)]
        failures = [*_answered(answer, live), *refused, *_routed(live, line, namespace)]
        return Proof(live.name or live.route.value, live.route, answer, line, pod, tuple(failures))
    if live.route is Route.MODELS:
        failures = [*_answered(answer, live), *_listed(answer, live.model), *_routed(live, line, namespace)]
        return Proof(live.name or live.route.value, live.route, answer, line, "", tuple(failures))
    failures = [*_answered(answer, live), *_from_model(pod, pods), *_routed(live, line, namespace)]
    if line and pod in pods and line.upstream.rsplit(":", 1)[0] != pods[pod]:
        failures.append(f"Envoy sent it to {line.upstream}, but the pod that answered, {pod}, has the address {pods[pod]}")
    if live.route is not Route.DIRECT and REACHED not in answer.headers:
        failures.append(f"the answer has no {REACHED}: the plugin never saw the request")
    if live.route is Route.EXTENSION:
        failures += _chosen(answer.headers, pod, pods)
    return Proof(live.name or live.route.value, live.route, answer, line, pod, tuple(failures))


UNPROVEN = "the API server does not answer, so its route can't be proven"


def unproven(live: LiveRequest, answer: HttpAnswer) -> Proof:
    """Say what an answer shows where neither pods nor logs can be read."""
    failures = _answered(answer, live) or [UNPROVEN]
    return Proof(live.name or live.route.value, live.route, answer, None, answering_pod(answer), tuple(failures))


def answering_pod(answer: HttpAnswer) -> str:
    """Return the pod that the reply names, "" where it names none. A stream's pieces are put together first."""
    text = answer.body
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        text = "".join(_piece(event[len("data: ") :]) for event in text.splitlines() if event.startswith("data: {"))
    found = _POD.search(text)
    return found[1] if found else ""


def _upstream_pod(line: AccessLine, pods: Mapping[str, str]) -> str:
    """Return the pod at the address that Envoy sent the request to, "" where it is none of the model's."""
    address = line.upstream.rpartition(":")[0]
    return next((name for name, own in pods.items() if own and own == address), "")


def _piece(event: str) -> str:
    try:
        choices = json.loads(event)["choices"]
        return "".join(str((c.get("delta") or {}).get("content") or "") for c in choices)
    except (ValueError, KeyError):
        return ""


def _answered(answer: HttpAnswer, live: LiveRequest) -> list[str]:
    if answer.status == 0:
        return [f"no answer: {answer.error}"]
    if answer.status != 200:  # noqa: PLR2004
        return [f"{answer.status}: {answer.body.strip()[:200] or 'with an empty body'}"]
    streamed = answer.headers.get("content-type", "").startswith("text/event-stream")
    return ["a stream was asked for, and the answer is none"] if live.stream and not streamed else []


def _listed(answer: HttpAnswer, model: str) -> list[str]:
    """The metadata service lists models that have a running pod, ready or not."""
    if answer.status != 200:  # noqa: PLR2004
        return []
    try:
        names = [str(entry["id"]) for entry in json.loads(answer.body)["data"]]
    except (ValueError, LookupError, TypeError):
        return ["the answer is no list of models"]
    return [] if model in names else [f"the list has {', '.join(names) or 'no model'}, and not {model}"]


def _from_model(pod: str, pods: Mapping[str, str]) -> list[str]:
    if not pod:
        return ["the answer names no pod"]
    return [] if pod in pods else [f"{pod} answered, which is no pod of the model"]


def _routed(live: LiveRequest, line: AccessLine | None, namespace: str) -> list[str]:
    if line is None:
        return ["the access log has not got its line yet"]
    if live.route is Route.EXTENSION:
        fits, wanted = line.route == PATCHED_ROUTE, PATCHED_ROUTE
    else:
        wanted = f"httproute/{namespace}/{live.http_route}/"
        fits = line.route.startswith(wanted)
    return [] if fits else [f"Envoy took the route {line.route} instead of {wanted}"]


def _chosen(headers: Mapping[str, str], pod: str, pods: Mapping[str, str]) -> list[str]:
    """Until v0.5 `target-pod` holds the address, from v0.6 the pod's name (facts/aibrix.md)."""
    target = headers.get("target-pod", "")
    if not target:
        return ["the answer has no target-pod"]
    by_name, by_address = target == pod, target.rsplit(":", 1)[0] == pods.get(pod)
    return [] if by_name or by_address else [f"the plugin chose {target}, and {pod or 'no pod'} answered"]
