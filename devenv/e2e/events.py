"""What `go test -json` says, line by line, as the results of tests."""

import json
import re
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

# Last lines of a test's output.
_KEPT = 400
# Last lines of what belongs to no test.
_OTHER = 2000
# Lines by which Go itself frames a test's output.
_FRAME = re.compile(r"^\s*(=== (RUN|PAUSE|CONT|NAME)|--- (PASS|FAIL|SKIP|BENCH))\b")

_PANIC = re.compile(r"(panic|fatal error): ")
_TESTIFY = re.compile(r"\s+Error:\s")


class Outcome(StrEnum):
    """How a test ended."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SKIP = "skip"
    # It had begun when the program ended.
    UNFINISHED = "unfinished"


_ENDS = {"pass": Outcome.PASS, "fail": Outcome.FAIL, "skip": Outcome.SKIP}


@dataclass(frozen=True)
class Result:
    """A test, or a sub-test as PARENT/NAME. `output`: what it said, without Go's own lines."""

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
        """The line that says why it failed or was skipped: the panic, testify's error, or the last one."""
        for telling in (_PANIC, _TESTIFY):
            if lines := [line for line in self.output if telling.match(line)]:
                return lines[0].strip()
        return self.output[-1].strip() if self.output else self.outcome.value

    def shown(self, count: int) -> tuple[str, ...]:
        """Return at most that many lines of its output: from a panic on, or else the last ones."""
        panics = [number for number, line in enumerate(self.output) if _PANIC.match(line)]
        start = panics[0] if panics else max(0, len(self.output) - count)
        return self.output[start : start + count]


@dataclass
class Events:
    """The events of one run, as far as they have come.

    Events are those of Go's cmd/test2json, and from Go 1.24 on those of `go build -json`. Older
    compilers write what does not compile as plain lines.
    """

    tests: list[Result] = field(default_factory=list)
    other: deque[str] = field(default_factory=lambda: deque(maxlen=_OTHER))
    built: bool = True
    _running: dict[tuple[str, str], deque[str]] = field(default_factory=dict)

    def feed(self, line: str) -> Result | None:
        """Take one line, and return the test that it ends, if any."""
        event = _event(line)
        if event is None:
            self._note(line)
            return None
        action = event["Action"]
        key = (str(event.get("Package", "")), str(event.get("Test", "")))
        if action in {"output", "build-output"}:
            self._add_output(key, str(event.get("Output", "")))
        elif action == "build-fail":
            self.built = False
        elif action == "run":
            self._running.setdefault(key, deque(maxlen=_KEPT))
        elif action in _ENDS and key[1]:
            return self._end(key, _ENDS[action], event.get("Elapsed"))
        return None

    @property
    def running(self) -> list[str]:
        """The names of the tests that have begun and not ended."""
        return [name for _, name in self._running]

    def finish(self) -> None:
        """Count what has not ended as unfinished: nothing more will come."""
        for key in list(self._running):
            self._end(key, Outcome.UNFINISHED, None)

    def _add_output(self, key: tuple[str, str], text: str) -> None:
        if key[1]:
            lines = self._running.setdefault(key, deque(maxlen=_KEPT))
            lines.extend(text.splitlines())
        else:
            self._note(text)

    def _note(self, text: str) -> None:
        if "[build failed]" in text or "[setup failed]" in text:
            self.built = False
        self.other.extend(line for line in text.splitlines() if line.strip())

    def _end(self, key: tuple[str, str], outcome: Outcome, elapsed: object) -> Result:
        lines = self._running.pop(key, deque())
        output = tuple(line for line in lines if line.strip() and not _FRAME.match(line))
        seconds = float(elapsed) if isinstance(elapsed, int | float) else 0.0
        test = Result(key[1], key[0], outcome, seconds, output)
        self.tests.append(test)
        return test


def _event(line: str) -> dict[str, Any] | None:
    """Return the event on a line, None where the line is anything else."""
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("Action"), str) else None
