"""What a diagnosis is made of: findings, each with its evidence, and which of them are roots."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

# In `affects`: whatever there is.
ANYTHING = "*"


class Verdict(StrEnum):
    """What a finding comes to."""

    FAILED = "failed"
    # Its cause is gone, and it stays until something is restarted.
    LATCHED = "latched"
    # Within its deadline: neither a fault nor health.
    PROGRESS = "in progress"
    HARMLESS = "harmless"


class Confidence(StrEnum):
    """How sure a finding is."""

    CONFIRMED = "confirmed"
    LIKELY = "likely"


class Place(StrEnum):
    """Where on its way a request is, in order."""

    CLIENT = "client"
    PORT = "port"
    ENVOY = "Envoy"
    ROUTE = "route"
    FILTER = "filter"
    PLUGINS = "plugins"
    MODEL = "model pod"


@dataclass(frozen=True)
class Evidence:
    """The very line, value or object. `time`: seconds since 1970, 0 where it has none."""

    source: str
    text: str
    time: float = 0.0


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    `about`: what it concerns; `affects`: what may follow from it. Both are keys such as component/redis, model/NAME,
    route/direct, route/direct/MODEL, node/NAME, filter. `fix`: commands, or a patch.
    """

    code: str
    subject: str
    says: str
    evidence: tuple[Evidence, ...] = ()
    fix: tuple[str, ...] = ()
    verdict: Verdict = Verdict.FAILED
    confidence: Confidence = Confidence.CONFIRMED
    about: frozenset[str] = frozenset()
    affects: frozenset[str] = frozenset()
    # On a request's way, where its code has none of its own.
    place: Place | None = None

    @property
    def since(self) -> float:
        """The earliest time that its evidence names, 0 where it names none."""
        return min((e.time for e in self.evidence if e.time), default=0.0)


@dataclass(frozen=True)
class Cause:
    """A finding that nothing explains, with all that follows from it."""

    root: Finding
    consequences: tuple[Finding, ...] = ()

    @property
    def findings(self) -> Iterator[Finding]:
        """The root, then what follows."""
        yield self.root
        yield from self.consequences

    @property
    def timeline(self) -> list[Evidence]:
        """Everything that has a time, in its order."""
        return sorted(
            {e for f in self.findings for e in f.evidence if e.time},
            key=lambda e: (e.time, e.source, e.text),
        )

    @property
    def since(self) -> float:
        """When the root began, as far as its own evidence tells; else the first thing that followed. 0: not known."""
        return self.root.since or min((e.time for e in self.timeline), default=0.0)


@dataclass(frozen=True)
class Diagnosis:
    """All that facts tell. `broken`: places on the way of a request; `ignored`: codes that were left out."""

    cluster: str
    profile: str
    taken: float
    causes: tuple[Cause, ...] = ()
    progress: tuple[Cause, ...] = ()
    harmless: tuple[Finding, ...] = ()
    # Pairs of what is unknown and why.
    unknown: tuple[tuple[str, str], ...] = ()
    # Pairs of a request's name and whether it was proven.
    requests: tuple[tuple[str, bool], ...] = ()
    broken: frozenset[Place] = frozenset()
    ignored: frozenset[str] = field(default=frozenset())
    # Of somebody else's cluster, of which only the API server was asked.
    context: str = ""

    @property
    def healthy(self) -> bool:
        """Whether all could be read and nothing is wrong or under way."""
        return not (self.causes or self.progress or self.unknown)
