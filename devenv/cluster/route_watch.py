"""Live requests that are repeated in the background, and how long their answers took."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from devenv.base.errors import DevenvError
from devenv.facts.live import Proof
from devenv.gates.live import Prober

# Seconds from the end of one round to the next: each request costs the model an answer.
_PAUSE = 10.0
# Seconds for an answer.
_TIMEOUT = 5.0
# Answers of which each route keeps how long they took.
_ANSWERS = 60


@dataclass(frozen=True)
class RouteHistory:
    """What the requests on one route have shown so far."""

    proof: Proof
    sent: int = 0
    failed: int = 0
    # Seconds of the last answers, the newest last.
    latencies: tuple[float, ...] = ()

    def after(self, proof: Proof) -> "RouteHistory":
        """Return the history with one more request."""
        latencies = self.latencies
        if proof.answer.status:
            latencies = (*latencies, proof.answer.seconds)[-_ANSWERS:]
        return RouteHistory(proof, self.sent + 1, self.failed + (not proof.ok), latencies)

    @property
    def median(self) -> float:
        """Median of the latencies in seconds, 0 if there was no answer."""
        return median(self.latencies) if self.latencies else 0.0

    @property
    def worst(self) -> float:
        """The highest latency in seconds, 0 if there was no answer."""
        return max(self.latencies, default=0.0)


class RouteWatch:
    """Sends the profile's live requests every 10 s, in a thread, from `start` to `stop`."""

    def __init__(self, prober: Prober) -> None:
        self._prober = prober
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._histories: dict[str, RouteHistory] = {}
        self._problem = ""

    def start(self) -> None:
        """Begin. The thread ends with the process, which need not wait for a last answer."""
        threading.Thread(target=self._repeat, daemon=True).start()

    def stop(self) -> None:
        """Send no more rounds."""
        self._ended.set()

    def _repeat(self) -> None:
        while not self._ended.is_set():
            try:
                self.probe()
            except RuntimeError:
                # Once Python ends, it starts no more threads for requests.
                if self._ended.is_set():
                    return
                raise
            self._ended.wait(_PAUSE)

    def probe(self) -> None:
        """Send one round, and note what it showed."""
        try:
            proofs = self._prober.probe(self._prober.profile.requests, timeout=_TIMEOUT)
        except DevenvError as error:
            with self._lock:
                self._problem = error.what
            return
        self._note(proofs)

    def _note(self, proofs: Iterable[Proof]) -> None:
        with self._lock:
            self._problem = ""
            for proof in proofs:
                history = self._histories.get(proof.name, RouteHistory(proof))
                self._histories[proof.name] = history.after(proof)

    @property
    def routes(self) -> tuple[RouteHistory, ...]:
        """The routes, in the order of the profile's requests; none before the first answers."""
        with self._lock:
            return tuple(self._histories.values())

    @property
    def problem(self) -> str:
        """Why the last round could not be sent, "" if it could."""
        return self._problem
