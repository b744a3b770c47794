"""Sends live requests and holds them against Envoy's access log."""

import math
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from devenv.errors import DevenvError, NotFoundError
from devenv.facts.live import AccessLine, Proof, Sent, compose, find_line, prove, unproven
from devenv.ports import Clock, Gateway, Kube, Manifest
from devenv.profiles.model import LiveRequest, Profile
from devenv.wait import Deadline, until

_LOG_WAIT = 3.0  # seconds for a line to get into the log: devenv has Envoy flush it every 0.1 s
_ALL = 400  # lines of the log to look at


@dataclass(frozen=True)
class Prober:
    """Proves routes with live requests."""

    kube: Kube
    gateway: Gateway
    clock: Clock
    profile: Profile

    def probe(
        self, requests: Iterable[LiveRequest], timeout: float = 10.0, log_wait: float = _LOG_WAIT, *, api: bool = True
    ) -> list[Proof]:
        """Send all of them at once, then look for their lines together. What went wrong is in each proof.

        With `api` false, the API server is not asked for what proves them: then no proof is `ok`.
        """
        began = self.clock.monotonic()
        sent = [compose(live, self.profile.gateway.host_port, timeout) for live in requests]
        with ThreadPoolExecutor(max_workers=len(sent) or 1) as pool:
            answers = list(pool.map(lambda s: self.gateway.send(s.http), sent))
        answered = [s for s, answer in zip(sent, answers, strict=True) if answer.status]
        if not api:
            return [unproven(s.live, answer) for s, answer in zip(sent, answers, strict=True)]
        lines = self._lines(answered, began, log_wait) if answered else {}
        pods = {model: self._pods(model) for model in {s.live.model for s in sent}}
        namespace = self.profile.gateway.namespace
        return [
            prove(s.live, answer, lines.get(s.agent), pods[s.live.model], namespace)
            for s, answer in zip(sent, answers, strict=True)
        ]

    def until_proven(self, seconds: float, look: str = "") -> list[Proof]:
        """Probe until every request of the profile proves its route. Raises DevenvError with what failed last."""
        proofs: list[Proof] = []

        def missing() -> str:
            proofs[:] = self.probe(self.profile.requests)
            return "\n".join(f"{p.name}: {'; '.join(p.failures)}" for p in proofs if not p.ok)

        until("The gateway", missing, Deadline(self.clock, seconds), look)
        return proofs

    def _lines(self, sent: list[Sent], began: float, seconds: float) -> Mapping[str, AccessLine]:
        found: dict[str, AccessLine] = {}

        def missing() -> str:
            log = self._log(math.ceil(self.clock.monotonic() - began) + 2)
            found.update({s.agent: line for s in sent if (line := find_line(log, s.agent))})
            return "" if len(found) == len(sent) else "lines in the access log"

        try:
            until("The access log", missing, Deadline(self.clock, seconds), pause=0.1)
        except DevenvError:
            return found  # a proof says itself that its line is missing
        return found

    def _log(self, seconds: int) -> str:
        proxies = self.kube.select("v1", "Pod", selector=proxy_selector(self.profile))
        return "\n".join(self._pod_log(p, seconds) for p in proxies if p["status"].get("phase") == "Running")

    def _pod_log(self, pod: Manifest, seconds: int) -> str:
        meta = pod["metadata"]
        try:
            return self.kube.logs(meta["namespace"], meta["name"], "envoy", seconds, _ALL)
        except NotFoundError:
            return ""  # it ended meanwhile

    def _pods(self, model: str) -> dict[str, str]:
        found = self.kube.select("v1", "Pod", selector=f"model.aibrix.ai/name={model}")
        return {p["metadata"]["name"]: p["status"].get("podIP", "") for p in found}


def proxy_selector(profile: Profile) -> str:
    """Labels by which Envoy Gateway marks what it makes for a Gateway."""
    owner = "gateway.envoyproxy.io/owning-gateway"
    return f"{owner}-name={profile.gateway.name},{owner}-namespace={profile.gateway.namespace}"
