"""Sends live requests, and compares their answers with Envoy's access log."""

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

from devenv.base.errors import DevenvError, NotFoundError
from devenv.base.wait import Deadline, until
from devenv.facts.labels import (
    GATEWAY_NAME,
    GATEWAY_NAMESPACE,
    LABEL_VALUE,
    MODEL,
    model_name,
    route_of,
)
from devenv.facts.live import (
    LONG,
    AccessLine,
    Extra,
    Proof,
    Sent,
    answering_pod,
    by_failures,
    compose,
    find_line,
    prove,
    remedies,
    unproven,
)
from devenv.facts.mock import is_mock
from devenv.facts.objects import name_of, namespace_of, status_of
from devenv.gates.headers import Resolved, resolve
from devenv.ports.clock import Clock
from devenv.ports.gateway import Gateway, HttpAnswer, Obstacle
from devenv.ports.kube import Kube, Manifest
from devenv.profiles.model import LiveRequest, Profile, Route

# Seconds for a line to get into the log. devenv makes Envoy flush it every 0.1 s.
_LOG_WAIT = 3.0
# Lines to read from the log's end.
_LOG_LINES = 400
# Routes that lead through an HTTPRoute of the model's own.
_MODEL_ROUTES = {Route.DIRECT, Route.PLAIN}
# Routes on which gateway-plugins gets the body whole, so that a limit of its size applies.
_BUFFERED = {Route.EXTENSION, Route.PLAIN}
# Bytes: more than the 32 KiB that Envoy Gateway buffers by default, and than 64 KiB.
_LARGE = Extra(size=80 << 10)


# Models → their pods.
_ModelPods = dict[str, list[Manifest]]


@dataclass(frozen=True)
class _Prepared:
    """A live request that is ready to be sent, unless its headers have problems."""

    sent: Sent
    headers: Resolved


@dataclass(frozen=True)
class _Exchange:
    """A live request with its answer."""

    sent: Sent
    answer: HttpAnswer

    @property
    def live(self) -> LiveRequest:
        return self.sent.live


@dataclass(frozen=True)
class Prober:
    """Proves routes with live requests."""

    kube: Kube
    gateway: Gateway
    clock: Clock
    profile: Profile

    def probe(
        self,
        requests: Iterable[LiveRequest],
        timeout: float = 10.0,
        log_wait: float = _LOG_WAIT,
        *,
        api: bool = True,
        prompt: str = "",
    ) -> list[Proof]:
        """Send all requests at once, then look for all their log lines together.

        Each proof says what went wrong with its request. `timeout` and `log_wait` are in seconds.
        With `api` false, the API server is not asked for what proves the routes, so no proof is
        `ok`. `prompt`: what the model is asked, without anything added to make the request large.
        """
        began = self.clock.monotonic()
        chosen = list(requests)
        model_pods: _ModelPods = {}
        large = self._large(chosen, model_pods) if api and not prompt else None
        prepared = []
        for live in chosen:
            extra = _LARGE if live is large else Extra(prompt=prompt)
            prepared.append(self._prepare(live, timeout, extra))
        exchanges = self._send_all(prepared)
        if not api:
            return [unproven(exchange.live, exchange.answer) for exchange in exchanges]
        return self._judge(exchanges, began, log_wait, model_pods)

    def send(self, live: LiveRequest, timeout: float, prompt: str = "") -> HttpAnswer:
        """Send one request and return its answer, without a proof. `timeout` is in seconds."""
        return self._send(self._prepare(live, timeout, Extra(prompt=prompt))).answer

    def probe_long(
        self, requests: Iterable[LiveRequest], delay: float, timeout: float
    ) -> list[Proof]:
        """Send those of the requests that ask devenv's mock, each for an answer that takes long.

        The mock waits for `delay` seconds; `timeout` is in seconds, too. Without a mock, nothing is
        sent or returned.
        """
        began = self.clock.monotonic()
        model_pods: _ModelPods = {}
        long_requests = [live for live in requests if self._asks_mock(live, model_pods)]
        extra = Extra(delay=delay)
        prepared = [self._prepare(live, timeout, extra) for live in long_requests]
        proofs = self._judge(self._send_all(prepared), began, _LOG_WAIT, model_pods)
        return [_long(proof, delay) for proof in proofs]

    def _large(self, requests: Sequence[LiveRequest], model_pods: _ModelPods) -> LiveRequest | None:
        """Return the request that gets a large body, None if none asks devenv's mock.

        It is one that gateway-plugins sees, if there is one.
        """
        ordered = sorted(requests, key=lambda live: live.route not in _BUFFERED)
        # Without an answer of the API server, it is not known who is asked.
        with suppress(DevenvError):
            return next((live for live in ordered if self._asks_mock(live, model_pods)), None)
        return None

    def _asks_mock(self, live: LiveRequest, model_pods: _ModelPods) -> bool:
        """Whether a request asks devenv's mock. The model's pods are noted in `model_pods`."""
        if live.route is Route.MODELS:
            return False
        if live.model not in model_pods:
            model_pods[live.model] = self._pods(live.model)
        return is_mock(model_pods[live.model])

    def _prepare(self, live: LiveRequest, timeout: float, extra: Extra) -> _Prepared:
        headers = resolve(live)
        port = self.profile.gateway.host_port
        sent = compose(live, port, timeout, headers.headers, extra)
        return _Prepared(sent, headers)

    def _send_all(self, requests: Sequence[_Prepared]) -> list[_Exchange]:
        with ThreadPoolExecutor(max_workers=len(requests) or 1) as pool:
            return list(pool.map(self._send, requests))

    def _send(self, request: _Prepared) -> _Exchange:
        sent, headers = request.sent, request.headers
        if headers.problems:
            error = "; ".join(headers.problems)
            return _Exchange(sent, HttpAnswer(0, error=error, sent=False))
        answer = self.gateway.send(sent.http)
        return _Exchange(sent, headers.clean(answer))

    def _judge(
        self,
        exchanges: Sequence[_Exchange],
        began: float,
        log_wait: float,
        model_pods: _ModelPods,
    ) -> list[Proof]:
        """Return what the answers prove. `model_pods`: as they were before the requests."""
        logged = [exchange.sent for exchange in exchanges if _is_logged(exchange.answer)]
        lines = self._lines(logged, began, log_wait)
        pods = self._pods_by_model(exchanges, model_pods)
        routes = self._model_routes(exchanges)
        namespace = self.profile.gateway.namespace
        proofs = []
        for exchange in exchanges:
            live = self._with_route(exchange.live, routes)
            line = lines.get(exchange.sent.agent)
            proof = prove(live, exchange.answer, line, pods[live.model], namespace)
            proofs.append(replace(proof, size=len(exchange.sent.http.body)))
        return proofs

    def _model_routes(self, exchanges: Iterable[_Exchange]) -> list[Manifest]:
        """Return the HTTPRoutes that may lead to models; none if no request needs one."""
        if not any(_needs_route(exchange.live) for exchange in exchanges):
            return []
        namespace = self.profile.gateway.namespace
        return self.kube.select("gateway.networking.k8s.io/v1", "HTTPRoute", namespace)

    def _with_route(self, live: LiveRequest, routes: Sequence[Manifest]) -> LiveRequest:
        """Return the request with the HTTPRoute that leads to its model in this cluster."""
        if not _needs_route(live):
            return live
        namespace = self.profile.gateway.namespace
        route = route_of(live.model, routes, namespace)
        if route is None:
            return live
        return live.model_copy(update={"by": name_of(route)})

    def until_proven(self, seconds: float, hint: str = "") -> list[Proof]:
        """Probe until every request of the profile proves its route.

        Raises DevenvError with what failed last. A failure that waiting can't change, such as a
        missing API key, is raised at once, so that `doctor`, which looks once, says the same.
        """
        return self.prove_all("The gateway", self.profile.requests, seconds, hint)

    def prove_all(
        self, what: str, requests: Sequence[LiveRequest], seconds: float, hint: str = ""
    ) -> list[Proof]:
        """Probe until these requests prove their routes. Raises what `until_proven` does."""
        proofs: list[Proof] = []

        def probe_again() -> str:
            proofs[:] = self.probe(requests)
            failed = [proof for proof in proofs if not proof.ok]
            _refuse_lasting(failed, hint)
            return _failures_of(failed)

        until(what, probe_again, Deadline(self.clock, seconds), hint)
        return proofs

    def _lines(self, sent: list[Sent], began: float, seconds: float) -> Mapping[str, AccessLine]:
        """Wait for the requests' lines in the access log; return those that came, by user agent."""
        lines: dict[str, AccessLine] = {}
        if not sent:
            return lines

        def read_again() -> str:
            elapsed = self.clock.monotonic() - began
            log = self._log(math.ceil(elapsed) + 2)
            for request in sent:
                if line := find_line(log, request.agent):
                    lines[request.agent] = line
            if len(lines) == len(sent):
                return ""
            return "lines in the access log"

        # A proof says itself that its line is missing.
        with suppress(DevenvError):
            until("The access log", read_again, Deadline(self.clock, seconds), pause=0.1)
        return lines

    def _log(self, seconds: int) -> str:
        """Return what all running proxies logged in the last seconds."""
        proxies = self.kube.select("v1", "Pod", selector=proxy_selector(self.profile))
        running_proxies = filter(_is_running, proxies)
        return "\n".join(self._pod_log(pod, seconds) for pod in running_proxies)

    def _pod_log(self, pod: Manifest, seconds: int) -> str:
        try:
            return self.kube.logs(namespace_of(pod), name_of(pod), "envoy", seconds, _LOG_LINES)
        except NotFoundError:
            # The pod has ended meanwhile.
            return ""

    def _pods_by_model(
        self, exchanges: Iterable[_Exchange], model_pods: _ModelPods
    ) -> dict[str, dict[str, str]]:
        """Return the names of each model's pods with their addresses.

        They are read again if one that was not there before has answered.
        """
        pods = {model: _addresses_by_name(before) for model, before in model_pods.items()}
        outdated: set[str] = set()
        for exchange in exchanges:
            model = exchange.live.model
            if answering_pod(exchange.answer) not in pods.get(model, {}):
                outdated.add(model)
        for model in outdated:
            pods[model] = _addresses_by_name(self._pods(model))
        return pods

    def _pods(self, model: str) -> list[Manifest]:
        """Return the model's pods: those with its label, otherwise those with its annotation."""
        # The API server refuses a selector with any other value.
        if LABEL_VALUE.fullmatch(model):
            labelled_pods = self.kube.select("v1", "Pod", selector=f"{MODEL}={model}")
            if labelled_pods:
                return labelled_pods
        if not self.profile.model_annotations:
            return []
        pods = self.kube.select("v1", "Pod")
        return [pod for pod in pods if model_name(pod, annotated=True) == model]


def _long(proof: Proof, delay: float) -> Proof:
    """Name a long request's proof. An answer that comes at once proves nothing of long ones."""
    failures = proof.failures
    if proof.ok and proof.answer.seconds < delay:
        reason = (
            f"the mock answered after {proof.answer.seconds:.1f} s instead of {delay:.0f} s: "
            "an older devenv built it; `devenv up` loads the new one"
        )
        failures = (reason,)
    return replace(proof, name=f"{proof.name}{LONG}", failures=failures)


def _addresses_by_name(pods: Iterable[Manifest]) -> dict[str, str]:
    return {name_of(pod): status_of(pod).get("podIP", "") for pod in pods}


def _is_logged(answer: HttpAnswer) -> bool:
    """Whether Envoy logs the request: it answered, or the client gave up waiting for it."""
    return answer.status != 0 or (answer.sent and answer.obstacle is Obstacle.TIMEOUT)


def _is_running(pod: Manifest) -> bool:
    return status_of(pod).get("phase") == "Running"


def _needs_route(live: LiveRequest) -> bool:
    """Whether the HTTPRoute that leads to the request's model must be looked up."""
    return not live.by and live.route in _MODEL_ROUTES


def _refuse_lasting(failed: Sequence[Proof], hint: str) -> None:
    """Raise DevenvError if no failure can pass by itself, so that waiting is in vain."""
    if not failed or not all(proof.lasting for proof in failed):
        return
    fixes = remedies(failed)
    if hint:
        fixes.append(hint)
    raise DevenvError(
        "The live requests can't prove their routes.",
        why=_failures_of(failed),
        next_step="\n".join(fixes),
    )


def _failures_of(failed: Iterable[Proof]) -> str:
    """Return a line for each way to fail, with the requests that failed so."""
    return "\n".join(map(_failure_line, by_failures(failed)))


def _failure_line(proofs: Sequence[Proof]) -> str:
    names = ", ".join(proof.name for proof in proofs)
    failures = "; ".join(proofs[0].failures)
    return f"{names}: {failures}"


def proxy_selector(profile: Profile) -> str:
    """Return the selector of the proxy that Envoy Gateway made for the profile's Gateway."""
    gateway = profile.gateway
    return f"{GATEWAY_NAME}={gateway.name},{GATEWAY_NAMESPACE}={gateway.namespace}"
