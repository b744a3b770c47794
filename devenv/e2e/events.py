"""Turns what `go test -json` prints, line by line, into the results of tests."""

import json
import re
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from devenv.base.json_types import JsonMap, JsonObject

# Lines of each test's output that are kept, the last ones.
_MAX_TEST_LINES = 400
# Lines that are kept of what belongs to no test, the last ones.
_MAX_OTHER_LINES = 2000
# Lines by which Go itself frames a test's output.
_FRAME = re.compile(r"^\s*(=== (RUN|PAUSE|CONT|NAME)|--- (PASS|FAIL|SKIP|BENCH))\b")
_PANIC = re.compile(r"(panic|fatal error): ")
_TESTIFY = re.compile(r"\s+Error:\s")


class Outcome(StrEnum):
    """How a test ended."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SKIP = "skip"
    # It was still running when the program ended.
    UNFINISHED = "unfinished"


_ENDS = {"pass": Outcome.PASS, "fail": Outcome.FAIL, "skip": Outcome.SKIP}


@dataclass(frozen=True)
class Result:
    """A test, or a sub-test as PARENT/NAME. `output`: its lines, without Go's own ones."""

    name: str
    package: str
    outcome: Outcome
    seconds: float = 0.0
    output: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether it counts as a failure."""
        return self.outcome in {Outcome.FAIL, Outcome.UNFINISHED}

    @property
    def reason(self) -> str:
        """The line that says why it failed or was skipped.

        That is the panic, else testify's error, else the last line.
        """
        for pattern in (_PANIC, _TESTIFY):
            for line in self.output:
                if pattern.match(line):
                    return line.strip()
        if self.output:
            return self.output[-1].strip()
        return self.outcome.value

    def shown(self, count: int) -> tuple[str, ...]:
        """Return at most `count` lines of its output: from a panic on, or else the last ones."""
        start = max(0, len(self.output) - count)
        for number, line in enumerate(self.output):
            if _PANIC.match(line):
                start = number
                break
        return self.output[start : start + count]


def count_outcomes(tests: Iterable[Result]) -> Counter[Outcome]:
    """Return how many tests had each outcome."""
    return Counter(test.outcome for test in tests)


@dataclass(frozen=True)
class _TestKey:
    """Identifies a test in a run. `test`: "" for what belongs to a package."""

    package: str
    test: str


@dataclass
class Events:
    """The events of one run so far.

    They are those of Go's cmd/test2json, and from Go 1.24 on those of `go build -json`. Older
    compilers print plain lines about code that does not compile.

    `other_lines`: what belongs to no test. `built`: whether everything compiled.
    """

    tests: list[Result] = field(default_factory=list)
    other_lines: deque[str] = field(default_factory=lambda: deque(maxlen=_MAX_OTHER_LINES))
    built: bool = True
    _running: dict[_TestKey, deque[str]] = field(default_factory=dict)

    def feed(self, line: str) -> Result | None:
        """Take one line, and return the test that it ends, if any."""
        event = _parse_event(line)
        if event is None:
            self._note(line)
            return None
        action = event["Action"]
        key = _test_key(event)
        if action in _ENDS and key.test:
            return self._end(key, _ENDS[action], event.get("Elapsed"))
        if action in {"output", "build-output"}:
            self._add_output(key, str(event.get("Output", "")))
        elif action == "build-fail":
            self.built = False
        elif action == "run":
            self._lines_of(key)
        return None

    @property
    def running(self) -> list[str]:
        """The names of the tests that have begun and not ended."""
        return [key.test for key in self._running]

    def finish(self) -> None:
        """Count the tests that have not ended as unfinished: no more events will come."""
        for key in list(self._running):
            self._end(key, Outcome.UNFINISHED, None)

    def _lines_of(self, key: _TestKey) -> deque[str]:
        """Return the output of a running test. A test runs from its first event on."""
        return self._running.setdefault(key, deque(maxlen=_MAX_TEST_LINES))

    def _add_output(self, key: _TestKey, text: str) -> None:
        if key.test:
            self._lines_of(key).extend(text.splitlines())
        else:
            self._note(text)

    def _note(self, text: str) -> None:
        if "[build failed]" in text or "[setup failed]" in text:
            self.built = False
        self.other_lines.extend(line for line in text.splitlines() if line.strip())

    def _end(self, key: _TestKey, outcome: Outcome, elapsed: object) -> Result:
        """Keep the result of a test, with the lines that it wrote."""
        lines = self._running.pop(key, deque())
        test = Result(
            name=key.test,
            package=key.package,
            outcome=outcome,
            seconds=_seconds(elapsed),
            output=tuple(filter(_is_of_test, lines)),
        )
        self.tests.append(test)
        return test


def _is_of_test(line: str) -> bool:
    """Whether a line is the test's own: neither empty nor one of Go's."""
    return bool(line.strip()) and not _FRAME.match(line)


def _test_key(event: JsonMap) -> _TestKey:
    return _TestKey(
        package=str(event.get("Package", "")),
        test=str(event.get("Test", "")),
    )


def _seconds(elapsed: object) -> float:
    if isinstance(elapsed, int | float):
        return float(elapsed)
    return 0.0


def _parse_event(line: str) -> JsonObject | None:
    """Return the event on a line, None if the line is anything else."""
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if isinstance(event, dict) and isinstance(event.get("Action"), str):
        return event
    return None
