"""One live request, its answer, its line in Envoy's access log, and what both prove."""

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from devenv.facts.answers import is_stream, whole_text
from devenv.ports.gateway import HttpAnswer, HttpRequest, Obstacle
from devenv.profiles.model import LiveRequest, Route

# The name that AIBrix's EnvoyPatchPolicy gives its route in every release (docs/facts/aibrix.md).
PATCHED_ROUTE = "original_route"
# A header that the plugin sets on every answer that it has observation.
REACHED = "x-went-into-req-headers"
# The header with the pod that it chose.
_TARGET = "target-pod"
_UNSEEN = f"the answer has no {REACHED}: the plugin never saw the request"
_UNCHOSEN = f"the answer has no {_TARGET}"
# The failure of a request whose line and pods could not be read. Saved facts hold this text, and a
# diagnosis compares it.
UNPROVEN = "the API server does not answer, so its route can't be proven"
# What the name of a long request's proof adds to that of the profile's request.
LONG = ", long"
_OK, _UNAUTHORIZED = 200, 401
# Characters of a bad answer that its failure shows.
EXCERPT = 200
# How the headers begin by which gateway-plugins says why it refuses a request.
_REFUSED = "x-error-"
_WORD = "hello"
# Obstacles of which the failure says no more than their name.
_SAID_ALONE = {Obstacle.REFUSED, Obstacle.RESET, Obstacle.TIMEOUT}
# How a mock model names its pod. AIBrix's own mock does so too.
_POD = re.compile(r"\(pod ([a-z0-9.-]+)\)")


@dataclass(frozen=True)
class Extra:
    """What a request asks for besides proving its route.

    Only a mock is asked for the first two, which would cost tokens of a real model. `size` is in
    bytes: the question is at least that large. `delay` is in seconds: the answer does not begin
    before. `prompt` is the question itself, "" for devenv's own.
    """

    size: int = 0
    delay: float = 0.0
    prompt: str = ""


@dataclass(frozen=True)
class Sent:
    """A request whose user agent is its own, so that its line in the access log can be found."""

    live: LiveRequest
    http: HttpRequest
    agent: str


@dataclass(frozen=True)
class AccessLine:
    """What Envoy's access log says of one request.

    The log's field names are those of Envoy Gateway v1.2's default JSON format.
    """

    route: str
    cluster: str
    flags: str
    details: str
    # Address of the pod.
    upstream: str

    @property
    def by_none(self) -> bool:
        """Whether Envoy sent the request to no pod."""
        return self.upstream in {"", "-"}

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
    """What one request showed.

    `failures` is empty if the request proves its route. The log may lack its `line`.
    """

    name: str
    route: Route
    answer: HttpAnswer
    line: AccessLine | None
    # The pod that the answer names, otherwise the one in Envoy's log; "" if neither tells.
    pod: str
    failures: tuple[str, ...] = field(default=())
    # Whether the only failure is that the answer does not name the pod that gave it.
    unnamed: bool = False
    # Bytes of the request's body.
    size: int = 0

    @property
    def ok(self) -> bool:
        """Whether the request took its route and was answered."""
        return not self.failures

    @property
    def lasting(self) -> bool:
        """Whether it fails, and will fail until a user changes the request."""
        return not self.ok and (self.unnamed or self.keyless or not self.answer.sent)

    @property
    def keyless(self) -> bool:
        """Whether the server wants an API key that the request does not have."""
        return self.answer.status == _UNAUTHORIZED

    @property
    def other_failures(self) -> tuple[str, ...]:
        """The failures that neither the answer's status nor its body says already."""
        if not self.failures:
            return ()
        first_failure, *others = self.failures
        if self.answer.status:
            first_failure = first_failure.removesuffix(f" ({_excerpt(self.answer)})")
        if first_failure == str(self.answer.status) or self.answer.obstacle in _SAID_ALONE:
            return tuple(others)
        return (first_failure, *others)

    @property
    def by_gateway(self) -> bool:
        """Whether Envoy or gateway-plugins gave the answer, so that no pod was asked."""
        return self.line is not None and self.line.by_none


@dataclass(frozen=True)
class _Observation:
    """All that was seen of one request."""

    live: LiveRequest
    answer: HttpAnswer
    line: AccessLine | None
    # The names of the model's pods → their addresses.
    pods: Mapping[str, str]
    # The namespace of AIBrix's routes.
    namespace: str

    @property
    def named_pod(self) -> str:
        """The pod that the answer names, "" if it names none."""
        return answering_pod(self.answer, self.pods)

    @property
    def logged_pod(self) -> str:
        """The model's pod that Envoy sent the request to, "" if it was none of them."""
        if self.line is None:
            return ""
        upstream = self.line.upstream.rpartition(":")[0]
        for name, address in self.pods.items():
            if address and address == upstream:
                return name
        return ""

    @property
    def pod(self) -> str:
        return self.named_pod or self.logged_pod

    def proof(self, failures: Iterable[str], pod: str, *, unnamed: bool = False) -> Proof:
        live = self.live
        return Proof(
            name=live.name or live.route.value,
            route=live.route,
            answer=self.answer,
            line=self.line,
            pod=pod,
            failures=tuple(failures),
            unnamed=unnamed,
        )


def agent_of(route: str) -> str:
    """Return how the user agents of live requests by this route begin."""
    return f"devenv/{route}/"


def compose(
    live: LiveRequest,
    port: int,
    timeout: float = 10.0,
    headers: Mapping[str, str] | None = None,
    extra: Extra | None = None,
) -> Sent:
    """Return the HTTP request that takes the live request's route.

    `headers` are its own, as they are sent; `timeout` is in seconds.
    """
    agent = f"{agent_of(live.route)}{uuid.uuid4().hex}"
    all_headers = {**(headers or {}), "user-agent": agent}
    if live.route is Route.MODELS:
        # With a routing strategy, it would take the patched route, which leads nowhere for it
        # (docs/facts/aibrix.md).
        request = HttpRequest(port, "/v1/models", "GET", all_headers, timeout=timeout)
        return Sent(live, request, agent)
    all_headers["content-type"] = "application/json"
    if live.route is Route.DIRECT:
        all_headers["model"] = live.model
    if live.route is Route.EXTENSION:
        all_headers["routing-strategy"] = live.strategy
    body = _question(live, extra or Extra())
    request = HttpRequest(
        port, "/v1/chat/completions", headers=all_headers, body=body, timeout=timeout
    )
    return Sent(live, request, agent)


def _question(live: LiveRequest, extra: Extra) -> bytes:
    content = (extra.prompt or _WORD) + " " * extra.size
    messages = [{"role": "user", "content": content}]
    body: dict[str, Any] = {"model": live.model, "messages": messages, "stream": live.stream}
    if extra.delay:
        # A field that only devenv's mock knows (images/vllm-mock).
        body["mock_delay"] = extra.delay
    return json.dumps(body).encode()


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
    """Judge one request.

    `pods` maps the model's pods to their addresses; `namespace` is that of AIBrix's routes.

    A 200 alone proves no route, since it may have come by another one. So each kind of request must
    show what only its own route can show.
    """
    observation = _Observation(live, answer, line, pods, namespace)
    # An answer that is not good can't show what a good one does.
    if answer.status not in {0, _OK}:
        failures = [
            *_answer_failures(observation),
            *_refusals(answer),
            *_route_failures(observation),
        ]
        return observation.proof(failures, observation.pod)
    if live.route is Route.MODELS:
        failures = [
            *_answer_failures(observation),
            *_list_failures(observation),
            *_route_failures(observation),
        ]
        return observation.proof(failures, pod="")
    if answer.status == 0:
        return observation.proof(_answer_failures(observation), observation.pod)
    return _prove_good_answer(observation)


def _prove_good_answer(observation: _Observation) -> Proof:
    pod_failures = _pod_failures(observation)
    failures = [
        *_answer_failures(observation),
        *_route_failures(observation),
        *_address_failures(observation),
        *_plugin_failures(observation),
    ]
    is_known_from_log = bool(observation.logged_pod) and not observation.named_pod
    unnamed = bool(pod_failures) and is_known_from_log and not failures
    return observation.proof([*pod_failures, *failures], observation.pod, unnamed=unnamed)


def unproven(live: LiveRequest, answer: HttpAnswer) -> Proof:
    """Return what an answer shows if neither pods nor logs can be read."""
    observation = _Observation(live, answer, line=None, pods={}, namespace="")
    return observation.proof(_answer_failures(observation) or [UNPROVEN], observation.pod)


def by_failures(proofs: Iterable[Proof]) -> list[list[Proof]]:
    """Return the proofs with those that failed in the same way together, in their order."""
    groups: dict[object, list[Proof]] = {}
    for number, proof in enumerate(proofs):
        # No answer is the same, whichever pod was asked.
        pod = proof.pod if proof.answer.status else ""
        key = number if proof.ok else (proof.failures, proof.answer.status, pod)
        groups.setdefault(key, []).append(proof)
    return list(groups.values())


def plugin_failure(route: Route, answer: HttpAnswer) -> str:
    """Return what a good answer lacks if gateway-plugins did not do its part; "" if it did."""
    if route in {Route.EXTENSION, Route.PLAIN} and REACHED not in answer.headers:
        return _UNSEEN
    if route is Route.EXTENSION and not answer.headers.get(_TARGET):
        return _UNCHOSEN
    return ""


def remedies(proofs: Iterable[Proof]) -> list[str]:
    """Return what the user must change in requests whose failures last."""
    failed = list(proofs)
    fixes: list[str] = []
    if any(proof.keyless for proof in failed):
        fixes.append(
            "Give the requests the API key: "
            '`requests: [{name: direct, headers: {Authorization: "Bearer ${API_KEY}"}}]` '
            "in the profile, or `--header` with `devenv request` and `devenv model`."
        )
    entries = [f"{{name: {proof.name}, anonymous: true}}" for proof in failed if proof.unnamed]
    if entries:
        entries_in_yaml = ", ".join(entries)
        fixes.append(
            "If the model never names its pod, say so in the profile: "
            f"`requests: [{entries_in_yaml}]`."
        )
    header_errors = [proof.answer.error for proof in failed if not proof.answer.sent]
    if header_errors:
        different_errors = "; ".join(dict.fromkeys(header_errors))
        fixes.append(f"Set what the headers refer to: {different_errors}.")
    return fixes


def answering_pod(answer: HttpAnswer, pods: Iterable[str] = ()) -> str:
    """Return the pod that the reply names, "" if it names none. A stream's pieces are joined first.

    A mock says "(pod NAME)". AIBrix's own mock has other sentences too, so any of `pods` counts
    wherever it stands, if it is the only one.
    """
    text = whole_text(answer)
    if match := _POD.search(text):
        return match[1]
    mentioned_pods = [pod for pod in pods if _mentions(text, pod)]
    if len(mentioned_pods) != 1:
        return ""
    return mentioned_pods[0]


def _mentions(text: str, pod: str) -> bool:
    """Whether the name stands alone in the text, not as a part of a longer name."""
    return bool(re.search(rf"(?<![a-z0-9.-]){re.escape(pod)}(?![a-z0-9-])", text))


# What keeps a request from proving its route. Each function returns its failures.


def _answer_failures(observation: _Observation) -> list[str]:
    answer = observation.answer
    if answer.status == 0:
        obstacle = "no answer" if answer.sent else "not sent"
        return [f"{obstacle} ({answer.error})"]
    if answer.status != _OK:
        return [f"{_status_in_words(observation)} ({_excerpt(answer)})"]
    if observation.live.stream and not is_stream(answer):
        return ["the request asked for a stream, but the answer is not one"]
    return []


def _excerpt(answer: HttpAnswer) -> str:
    return answer.body.strip()[:EXCERPT] or "empty body"


def _status_in_words(observation: _Observation) -> str:
    if observation.answer.status != _UNAUTHORIZED:
        return str(observation.answer.status)
    if observation.live.headers:
        return "401, its headers have no API key that is accepted"
    return "401, it has no API key"


def _refusals(answer: HttpAnswer) -> list[str]:
    return [
        f"the plugin itself refused it: {name}"
        for name in answer.headers
        if name.startswith(_REFUSED)
    ]


def _list_failures(observation: _Observation) -> list[str]:
    """The metadata service lists models that have a running pod, ready or not."""
    if observation.answer.status != _OK:
        return []
    try:
        entries = json.loads(observation.answer.body)["data"]
        names = [str(entry["id"]) for entry in entries]
    except (ValueError, LookupError, TypeError):
        return ["the answer is not a list of models"]
    model = observation.live.model
    if model in names:
        return []
    listed_names = ", ".join(names) or "no model"
    return [f"the list has {listed_names}, but not {model}"]


def _pod_failures(observation: _Observation) -> list[str]:
    """The answer must come from a pod of the model."""
    if observation.named_pod in observation.pods:
        return []
    if observation.named_pod:
        return [f"{observation.named_pod} answered, which is not a pod of the model"]
    if observation.logged_pod and observation.live.anonymous:
        return []
    if observation.logged_pod:
        remedy = "set `anonymous: true` for the request in the profile to let the log count"
        return [
            f"the answer names no pod; by Envoy's log {observation.logged_pod} gave it: {remedy}"
        ]
    if observation.line:
        destination = f"{observation.line.upstream}, which is not a pod of the model"
        return [f"the answer names no pod, and Envoy sent it to {destination}"]
    return ["the answer names no pod"]


def _route_failures(observation: _Observation) -> list[str]:
    if observation.line is None:
        return ["the access log does not have its line yet"]
    route = observation.line.route
    if observation.live.route is Route.EXTENSION:
        expected_route = PATCHED_ROUTE
        is_expected = route == expected_route
    else:
        expected_route = f"httproute/{observation.namespace}/{observation.live.http_route}/"
        is_expected = route.startswith(expected_route)
    return [] if is_expected else [f"Envoy took the route {route} instead of {expected_route}"]


def _address_failures(observation: _Observation) -> list[str]:
    """Envoy must have sent the request to the pod that says it answered."""
    pod, line = observation.named_pod, observation.line
    if line is None or pod not in observation.pods:
        return []
    address = observation.pods[pod]
    if line.upstream.rsplit(":", 1)[0] == address:
        return []
    answered = f"the pod that answered, {pod}, has the address {address}"
    return [f"Envoy sent it to {line.upstream}, but {answered}"]


def _plugin_failures(observation: _Observation) -> list[str]:
    """gateway-plugins must have seen the request, and chosen the pod by the route `extension`."""
    failures: list[str] = []
    if observation.live.route is not Route.DIRECT and REACHED not in observation.answer.headers:
        failures.append(_UNSEEN)
    if observation.live.route is Route.EXTENSION:
        failures += _choice_failures(observation)
    return failures


def _choice_failures(observation: _Observation) -> list[str]:
    """The pod that the plugin chose must have answered.

    Until v0.5 `target-pod` holds its address, from v0.6 its name (docs/facts/aibrix.md).
    """
    target = observation.answer.headers.get(_TARGET, "")
    if not target:
        return [_UNCHOSEN]
    # If nothing tells which pod answered, that is a failure of its own.
    if not observation.pod:
        return []
    is_address = target.rsplit(":", 1)[0] == observation.pods.get(observation.pod)
    if target == observation.pod or is_address:
        return []
    return [f"the plugin chose {target}, but {observation.pod} answered"]
