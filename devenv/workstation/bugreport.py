"""`bugreport`: collects what a maintainer needs into one archive, without what is private.

Each part has a time limit of its own. What can't be had is left out, and the archive says why.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from devenv.diagnosis.diagnose import diagnose
from devenv.diagnosis.model import Diagnosis
from devenv.facts import files
from devenv.facts.logs import LogLine
from devenv.facts.looks import Looks
from devenv.facts.model import Facts, dump
from devenv.gates.headers import resolve
from devenv.ports.clock import Clock
from devenv.ports.names import Names
from devenv.profiles.model import Profile

# Seconds for everything, for each part, and for those that ask the cluster for much.
_ALL, _EACH, _SLOW = 45.0, 8.0, 20.0
# What the parts that need a profile are called, and the profile itself if it is missing.
PROFILE, FACTS, DIAGNOSIS, LOGS = "profile", "facts.json", "diagnosis.txt", "logs.txt"
_NO_PROFILE = "the profile could not be read"

# File in the archive → a text or a JSON value, with all that is private.
Contents = Mapping[str, Any]
# File in the archive → its text.
Texts = dict[str, str]


@dataclass(frozen=True)
class Part:
    """One file of the report, or several. `read` may raise DevenvError, and may never end."""

    name: str
    read: Callable[[], Contents]
    seconds: float = _EACH


@dataclass(frozen=True)
class MissingPart:
    """A part that the report lacks, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Collected:
    """The files of a report, redacted, and what is missing."""

    cluster: str
    # When they were collected, in seconds since 1970.
    time: float
    texts: Mapping[str, str]
    missing_parts: tuple[MissingPart, ...]

    @property
    def sizes(self) -> Mapping[str, int]:
        """The size of each file in bytes, in the order of their names."""
        return {name: len(_encoded(self.texts[name])) for name in sorted(self.texts)}


@dataclass(frozen=True)
class BugReport:
    """Collects the report of one cluster, whether or not its engine and API server answer."""

    cluster: str
    clock: Clock
    # The next three may raise DevenvError.
    profile: Callable[[], Profile]
    facts: Callable[[Profile], Facts]
    logs: Callable[[Profile], Iterable[LogLine]]
    # Returns a diagnosis as text.
    describe: Callable[[Diagnosis], str]
    # The parts that need no profile.
    parts: tuple[Part, ...]

    def collect(self) -> Collected:
        """Return all that can be had within 45 s."""
        looks = Looks(self.clock, _ALL, _EACH)
        looks.begin(PROFILE, self.profile)
        profile: Profile | None = looks.get(PROFILE, None)
        secrets = _secrets(profile)
        parts = list(self.parts)
        if profile:
            parts.append(Part(LOGS, partial(self._read_logs, profile), _SLOW))
            looks.begin(FACTS, partial(self.facts, profile), _SLOW)
        for part in parts:
            looks.begin(part.name, partial(_clean_texts, part, secrets), part.seconds)
        texts: Texts = {}
        for part in parts:
            no_texts: Texts = {}
            texts |= looks.get(part.name, no_texts)
        if profile:
            texts |= self._diagnosed(looks)
        return Collected(self.cluster, self.clock.now(), texts, _missing_parts(looks.unknown))

    def _read_logs(self, profile: Profile) -> Contents:
        lines = map(_spell_line, self.logs(profile))
        return {LOGS: "\n".join(lines)}

    def _diagnosed(self, looks: Looks) -> Texts:
        """Return the facts, which are redacted already, and what doctor says of them.

        Facts are worth most if doctor fails on them.
        """
        facts: Facts | None = looks.get(FACTS, None)
        if facts is None:
            return {}
        looks.begin(DIAGNOSIS, lambda: self.describe(diagnose(facts)))
        diagnosis = looks.get(DIAGNOSIS, "")
        texts = {FACTS: dump(facts)}
        if diagnosis:
            texts[DIAGNOSIS] = diagnosis
        return texts


def _secrets(profile: Profile | None) -> Names:
    """Return the values of the requests' headers that are secret."""
    if profile is None:
        return ()
    return tuple(_secret_values(profile))


def _secret_values(profile: Profile) -> Iterator[str]:
    for live in profile.requests:
        yield from resolve(live).secrets


def _clean_texts(part: Part, secrets: Names) -> Texts:
    """Read a part, and return its files without what is private."""
    texts: Texts = {}
    for name, content in part.read().items():
        if isinstance(content, str):
            texts[name] = files.clean_text(content, secrets)
        else:
            clean_content = files.clean_document(content, secrets)
            texts[name] = json.dumps(clean_content, indent=1)
    return texts


def _spell_line(line: LogLine) -> str:
    place = f"{line.component} {line.pod}/{line.container}"
    return " ".join(filter(None, (line.time, place, line.code, line.text)))


def _missing_parts(unknown: Mapping[str, str]) -> tuple[MissingPart, ...]:
    """Return what was not read. A profile takes the parts that need it with it."""
    reasons = dict(unknown)
    if PROFILE in reasons:
        reasons |= dict.fromkeys((FACTS, DIAGNOSIS, LOGS), _NO_PROFILE)
    elif FACTS in reasons:
        reasons[DIAGNOSIS] = "the facts are missing"
    clean_reasons = files.clean_document(reasons)
    return tuple(MissingPart(name, reason) for name, reason in sorted(clean_reasons.items()))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
