"""What a diagnosis is made of: findings with their evidence, and which of them are root causes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from devenv.base.errors import Exit
from devenv.diagnosis.keys import Key

# In `affects`: any other finding may follow.
ANYTHING = Key("*")
EVERYTHING = frozenset({ANYTHING})


class Verdict(StrEnum):
    """What a finding comes to."""

    FAILED = "failed"
    # Its cause is gone, but the failure stays until something is restarted.
    LATCHED = "latched"
    # Not ready, but still within its deadline: neither a fault nor health.
    PROGRESS = "in progress"
    HARMLESS = "harmless"


class Confidence(StrEnum):
    """How sure a finding is."""

    CONFIRMED = "confirmed"
    LIKELY = "likely"


class Place(StrEnum):
    """A place on a request's way, in the order in which requests pass them."""

    CLIENT = "client"
    PORT = "port"
    ENVOY = "Envoy"
    ROUTE = "route"
    FILTER = "filter"
    PLUGINS = "plugins"
    MODEL = "model pod"


class PlaceState(StrEnum):
    """What is known of a place on a request's way."""

    # A live request came through it.
    PROVEN = "proven"
    # A root cause or its effects are there.
    BROKEN = "broken"
    # Nothing came through it, and nothing was found there.
    UNPROVEN = "unproven"


@dataclass(frozen=True)
class Evidence:
    """The very line, value or object that shows a finding.

    `time` is in seconds since 1970, 0 if the evidence has no time.
    """

    source: str
    text: str
    time: float = 0.0


@dataclass(frozen=True)
class Subject:
    """The thing in which a finding shows, such as a node or a component.

    `name`: "" if there is only one of its kind, such as the kernel. Outputs show it as text:
    KIND NAME, or the name alone.
    """

    kind: str
    name: str = ""
    # Whether outputs show the name without the kind.
    named_alone: bool = False

    @classmethod
    def component(cls, name: str) -> "Subject":
        """Return the subject of a component of the profile."""
        return cls("component", name, named_alone=True)

    def __str__(self) -> str:
        if self.named_alone:
            return self.name
        if not self.name:
            return self.kind
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Command:
    """A fix that can be copied into a shell as it stands. The first word is the program."""

    words: tuple[str, ...]

    def runs(self, *words: str) -> bool:
        """Whether it begins with these words: a program, and what follows of its command."""
        return self.words[: len(words)] == words

    def __str__(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True)
class Advice:
    """A fix that the user must read: no shell understands it."""

    text: str

    def __str__(self) -> str:
        return self.text


Fix = Command | Advice


@dataclass(frozen=True)
class Joint:
    """How to say the same of several things in one sentence.

    Findings of one code with the same `plural` share a line. Its first {} stands for their names,
    which are at least two.
    """

    name: str
    plural: str

    def sentence(self, names: Iterable[str]) -> str:
        """Return the sentence about these things."""
        *others, last = names
        return self.plural.replace("{}", f"{', '.join(others)} and {last}", 1)


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    `about` holds keys of what the finding concerns, `affects` keys of what may follow from it; see
    devenv/diagnosis/keys.py. `names` holds keys of objects that its own words blame: a finding
    about one of them is its cause, and no other is.
    """

    code: str
    subject: Subject
    says: str
    evidence: tuple[Evidence, ...] = ()
    fix: tuple[Fix, ...] = ()
    verdict: Verdict = Verdict.FAILED
    confidence: Confidence = Confidence.CONFIRMED
    about: frozenset[Key] = frozenset()
    affects: frozenset[Key] = frozenset()
    # Where it breaks a request's way, if that depends on the subject and not on the code alone.
    place: Place | None = None
    names: frozenset[Key] = frozenset()
    # Kubernetes' own word for it, such as FailedMount; "" if devenv has found it itself.
    reason: str = ""
    # How to say it together with other findings, None if it is said alone.
    joint: Joint | None = None

    @property
    def tags(self) -> set[str]:
        """What `--ignore` may call it: CODE, or CODE:REASON."""
        return {self.code, f"{self.code}:{self.reason}"} if self.reason else {self.code}

    @property
    def since(self) -> float:
        """The earliest time in its evidence, in seconds since 1970; 0 if no evidence has a time."""
        return min((e.time for e in self.evidence if e.time), default=0.0)


@dataclass(frozen=True)
class Cause:
    """A root cause with everything that follows from it."""

    root: Finding
    consequences: tuple[Finding, ...] = ()

    @property
    def findings(self) -> Iterator[Finding]:
        """The root cause, then its effects."""
        yield self.root
        yield from self.consequences

    @property
    def timeline(self) -> list[Evidence]:
        """All evidence that has a time, each piece once, the earliest first."""
        dated: set[Evidence] = set()
        for finding in self.findings:
            dated.update(filter(lambda e: e.time, finding.evidence))
        return sorted(dated, key=lambda e: (e.time, e.source, e.text))

    @property
    def since(self) -> float:
        """The onset, in seconds since 1970; 0 if no evidence has a time.

        The root cause's own evidence tells it, otherwise the first effect's.
        """
        if self.root.since:
            return self.root.since
        return min((e.time for e in self.timeline), default=0.0)


class Unknown(NamedTuple):
    """Something that could not be determined, and why."""

    what: str
    why: str


class LiveResult(NamedTuple):
    """A live request's name, and whether it proved its route."""

    name: str
    is_proven: bool


@dataclass(frozen=True)
class Diagnosis:
    """Everything that the facts tell.

    `causes` are root causes, `progress` those whose deadline is not over yet. `broken` holds the
    places on a request's way that are broken, `proven` those that a live request came through,
    `ignored` the codes that were left out.
    """

    cluster: str
    profile: str
    taken: float
    causes: tuple[Cause, ...] = ()
    progress: tuple[Cause, ...] = ()
    harmless: tuple[Finding, ...] = ()
    unknown: tuple[Unknown, ...] = ()
    requests: tuple[LiveResult, ...] = ()
    broken: frozenset[Place] = frozenset()
    proven: frozenset[Place] = frozenset()
    ignored: frozenset[str] = frozenset()
    # The context of a cluster that devenv did not make: only its API server was asked.
    context: str = ""

    @property
    def healthy(self) -> bool:
        """Whether everything could be read, and nothing is wrong or in progress."""
        return not (self.causes or self.progress or self.unknown)

    def state_of(self, place: Place) -> PlaceState:
        """Return what is known of a place: a request may come through where others break."""
        if place in self.broken:
            return PlaceState.BROKEN
        if place in self.proven:
            return PlaceState.PROVEN
        return PlaceState.UNPROVEN

    @property
    def exit_code(self) -> int:
        """0 if healthy, 1 if something is wrong or in progress, 4 if something is unknown."""
        if self.causes or self.progress:
            return Exit.FAILED
        if self.unknown:
            return Exit.UNKNOWN
        return Exit.OK
