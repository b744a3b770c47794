"""Sends live requests and holds them against Envoy's access log."""

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from devenv.errors import DevenvError, NotFoundError
from devenv.facts.labels import LABEL_VALUE, MODEL, model_name, route_of
from devenv.facts.live import AccessLine, Proof, Sent, compose, find_line, prove, remedies, unproven
from devenv.gates.headers import Resolved, resolve
from devenv.ports import Clock, Gateway, HttpAnswer, Kube, Manifest
from devenv.profiles.model import LiveRequest, Profile, Route
from devenv.wait import Deadline, until

# Seconds for a line to get into the log: devenv has Envoy flush it every 0.1 s.
_LOG_WAIT = 3.0
# Lines of the log to look at.
_ALL = 400


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
    ) -> list[Proof]:
        """Send all of them at once, then look for their lines together. What went wrong is in each proof.

        With `api` false, the API server is not asked for what proves them: then no proof is `ok`.
        """
        began = self.clock.monotonic()
        lives = list(requests)
        headers = [resolve(live) for live in lives]
        port = self.profile.gateway.host_port
        pairs = zip(lives, headers, strict=True)
        sent = [compose(live, port, timeout, resolved.headers) for live, resolved in pairs]
        with ThreadPoolExecutor(max_workers=len(sent) or 1) as pool:
            answers = list(pool.map(self._send, sent, headers))
        answered = [s for s, answer in zip(sent, answers, strict=True) if answer.status]
        if not api:
            return [unproven(s.live, answer) for s, answer in zip(sent, answers, strict=True)]
        lines = self._lines(answered, began, log_wait) if answered else {}
        pods = {model: self._pods(model) for model in {s.live.model for s in sent}}
        namespace = self.profile.gateway.namespace
        ways = self._ways(lives)
        return [
            prove(live, answer, lines.get(s.agent), pods[live.model], namespace)
            for s, live, answer in zip(sent, ways, answers, strict=True)
        ]

    def _send(self, sent: Sent, headers: Resolved) -> HttpAnswer:
        if headers.problems:
            return HttpAnswer(0, error="; ".join(headers.problems), sent=False)
        return headers.clean(self.gateway.send(sent.http))

    def _ways(self, requests: Sequence[LiveRequest]) -> list[LiveRequest]:
        """Return the requests, each with the HTTPRoute that leads to its model in this cluster."""
        by_model = {Route.DIRECT, Route.PLAIN}
        if all(live.by or live.route not in by_model for live in requests):
            return list(requests)
        namespace = self.profile.gateway.namespace
        routes = self.kube.select("gateway.networking.k8s.io/v1", "HTTPRoute", namespace)
        return [self._way(live, routes) for live in requests]

    def _way(self, live: LiveRequest, routes: Sequence[Manifest]) -> LiveRequest:
        if live.by or live.route not in {Route.DIRECT, Route.PLAIN}:
            return live
        route = route_of(live.model, routes, self.profile.gateway.namespace)
        return live.model_copy(update={"by": route["metadata"]["name"]}) if route else live

    def until_proven(self, seconds: float, hint: str = "") -> list[Proof]:
        """Probe until every request of the profile proves its route. Raises DevenvError with what failed last.

        What no waiting changes (a missing API key) ends it at once, so that `doctor`, which looks
        once, says the same.
        """
        return self.prove_all("The gateway", self.profile.requests, seconds, hint)

    def prove_all(
        self, what: str, requests: Sequence[LiveRequest], seconds: float, hint: str = ""
    ) -> list[Proof]:
        """Probe until all of these prove their routes. Raises DevenvError with what failed last."""
        proofs: list[Proof] = []

        def missing() -> str:
            proofs[:] = self.probe(requests)
            failed = [p for p in proofs if not p.ok]
            failures = "\n".join(f"{p.name}: {'; '.join(p.failures)}" for p in failed)
            if failed and all(p.lasting for p in failed):
                fix = "\n".join(filter(None, (*remedies(failed), hint)))
                raise DevenvError("The live requests can't prove their routes.", failures, fix)
            return failures

        until(what, missing, Deadline(self.clock, seconds), hint)
        return proofs

    def _lines(self, sent: list[Sent], began: float, seconds: float) -> Mapping[str, AccessLine]:
        lines: dict[str, AccessLine] = {}

        def missing() -> str:
            log = self._log(math.ceil(self.clock.monotonic() - began) + 2)
            lines.update({s.agent: line for s in sent if (line := find_line(log, s.agent))})
            return "" if len(lines) == len(sent) else "lines in the access log"

        try:
            until("The access log", missing, Deadline(self.clock, seconds), pause=0.1)
        except DevenvError:
            # A proof says itself that its line is missing.
            return lines
        return lines

    def _log(self, seconds: int) -> str:
        proxies = self.kube.select("v1", "Pod", selector=proxy_selector(self.profile))
        return "\n".join(
            self._pod_log(p, seconds) for p in proxies if p["status"].get("phase") == "Running"
        )

    def _pod_log(self, pod: Manifest, seconds: int) -> str:
        meta = pod["metadata"]
        try:
            return self.kube.logs(meta["namespace"], meta["name"], "envoy", seconds, _ALL)
        except NotFoundError:
            # It ended meanwhile.
            return ""

    def _pods(self, model: str) -> dict[str, str]:
        """Return the model's pods with their addresses: by their label, else by the annotation."""
        model_pods: list[Manifest] = []
        # Anything else the API server refuses.
        if LABEL_VALUE.fullmatch(model):
            model_pods = self.kube.select("v1", "Pod", selector=f"{MODEL}={model}")
        if not model_pods and self.profile.model_annotations:
            pods = self.kube.select("v1", "Pod")
            model_pods = [p for p in pods if model_name(p, annotated=True) == model]
        return {p["metadata"]["name"]: p["status"].get("podIP", "") for p in model_pods}


def proxy_selector(profile: Profile) -> str:
    """Labels by which Envoy Gateway marks what it makes for a Gateway."""
    owner = "gateway.envoyproxy.io/owning-gateway"
    return f"{owner}-name={profile.gateway.name},{owner}-namespace={profile.gateway.namespace}"
