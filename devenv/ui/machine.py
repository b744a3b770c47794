"""A diagnosis for machines: JUnit's XML for what shows tests, SARIF for what shows findings.

A root is a failure; what follows from it is skipped, with the root's name: whoever counts failures counts causes.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

from devenv import __version__
from devenv.diagnosis.codes import Code, book
from devenv.diagnosis.model import Cause, Diagnosis, Finding
from devenv.ui import console
from devenv.ui.junit import document

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_AREAS = {
    "1": "host",
    "2": "node",
    "3": "workload",
    "4": "gateway",
    "5": "model",
    "6": "request",
    "7": "aibrix",
    "9": "harmless",
}


@dataclass(frozen=True)
class Case:
    """One check: what it came to. `root` is empty where it passed; `follows` where it is a root itself."""

    code: Code
    finding: Finding | None = None
    follows: Finding | None = None


def cases(diagnosis: Diagnosis) -> Iterator[Case]:
    """Yield a case for each code, in its order, and one more for each further finding of it."""
    failed: dict[str, list[Case]] = {}
    code_book = book()
    for cause in (*diagnosis.causes, *diagnosis.progress):
        failed.setdefault(cause.root.code, []).append(Case(code_book[cause.root.code], cause.root))
    for cause in (*diagnosis.causes, *diagnosis.progress):
        for finding in _once(cause):
            code_cases = failed.setdefault(finding.code, [])
            if finding not in [c.finding for c in code_cases]:
                code_cases.append(Case(code_book[finding.code], finding, cause.root))
    for name, code in code_book.items():
        if name not in diagnosis.ignored:
            yield from failed.get(name) or [Case(code)]


def _once(cause: Cause) -> list[Finding]:
    return list(dict.fromkeys(cause.consequences))


# JUnit


def junit(diagnosis: Diagnosis) -> str:
    """Return the diagnosis as JUnit's XML: one case a check."""
    suite = ET.Element(
        "testsuite", name=f"devenv doctor {diagnosis.cluster}", hostname=diagnosis.cluster
    )
    counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for case in cases(diagnosis):
        counts["tests"] += 1
        kind = _case(suite, case)
        if kind:
            counts[kind] += 1
    for what, reason in diagnosis.unknown:
        counts["tests"] += 1
        counts["errors"] += 1
        element = ET.SubElement(
            suite, "testcase", classname="devenv.unknown", name=_plain(what), time="0"
        )
        ET.SubElement(
            element, "error", message=_plain(f"could not be read: {reason}"), type="unknown"
        )
    timestamp = datetime.fromtimestamp(diagnosis.taken, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    numbers = {name: str(count) for name, count in counts.items()}
    suite.attrib |= {**numbers, "time": "0", "timestamp": timestamp}
    # Which only a suite may have.
    del numbers["skipped"]
    return document("devenv doctor", suite, {**numbers, "time": "0"})


def _case(suite: ET.Element, case: Case) -> str:
    """Add a case, and return what it counts as."""
    finding, code = case.finding, case.code
    name = f"{code.code} {code.title}" + (f": {finding.subject}" if finding else "")
    element = ET.SubElement(
        suite, "testcase", classname=f"devenv.{_AREAS[code.code[2]]}", name=_plain(name), time="0"
    )
    if finding is None:
        return ""
    if case.follows:
        ET.SubElement(
            element,
            "skipped",
            message=_plain(f"follows from {case.follows.code}: {case.follows.says}"),
        )
        return "skipped"
    failure = ET.SubElement(element, "failure", message=_plain(finding.says), type=code.code)
    lines = [
        f"{finding.verdict.value}, {finding.confidence.value}",
        *(f"{e.source}: {e.text}" for e in finding.evidence),
    ]
    failure.text = "\n".join(map(_plain, [*lines, *(f"Fix: {f}" for f in finding.fix)]))
    return "failures"


def _plain(text: str) -> str:
    """Text that XML can hold."""
    return console.harmless(" ".join(text.split()))


# SARIF


def sarif(diagnosis: Diagnosis) -> str:
    """Return the diagnosis as SARIF 2.1.0: roots as errors, what follows from them suppressed by their root."""
    code_book = book()
    order = list(code_book)
    results = [_result(diagnosis, case, order) for case in cases(diagnosis) if case.finding]
    notices = [
        {"level": "warning", "message": {"text": _plain(f"{what} could not be read: {reason}")}}
        for what, reason in diagnosis.unknown
    ]
    rules = [_rule(code) for code in code_book.values()]
    driver = {
        "name": "devenv", "version": __version__, "semanticVersion": __version__,
        "informationUri": "https://github.com/vllm-project/aibrix", "rules": rules,
    }  # fmt: skip
    end = datetime.fromtimestamp(diagnosis.taken, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    invocation = {
        "executionSuccessful": not diagnosis.unknown,
        "endTimeUtc": end,
        "toolExecutionNotifications": notices,
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "results": results,
        "columnKind": "unicodeCodePoints",
    }
    return json.dumps(
        {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False
    )


def _rule(code: Code) -> dict[str, Any]:
    return {
        "id": code.code, "shortDescription": {"text": code.title}, "fullDescription": {"text": code.meaning},
        "help": {"text": f"{code.why} {code.fix}"}, "properties": {"tags": [_AREAS[code.code[2]]]},
    }  # fmt: skip


def _result(diagnosis: Diagnosis, case: Case, order: list[str]) -> dict[str, Any]:
    finding = case.finding
    assert finding  # noqa: S101 - only such cases are results
    lines = [
        finding.says,
        *(f"{e.source}: {e.text}" for e in finding.evidence),
        *(f"Fix: {f}" for f in finding.fix),
    ]
    where = {
        "physicalLocation": {"artifactLocation": {"uri": f"clusters/{diagnosis.cluster}"}},
        "logicalLocations": [{"name": _plain(finding.subject), "kind": "resource"}],
    }
    mark = hashlib.sha256(
        f"{diagnosis.cluster}\n{finding.code}\n{finding.subject}".encode()
    ).hexdigest()[:32]
    result: dict[str, Any] = {
        "ruleId": finding.code, "ruleIndex": order.index(finding.code), "level": "note" if case.follows else "error",
        "message": {"text": "\n".join(map(_plain, lines))}, "locations": [where],
        "partialFingerprints": {"devenv/v1": mark},
    }  # fmt: skip
    if case.follows:
        because = _plain(f"follows from {case.follows.code}: {case.follows.says}")
        result["suppressions"] = [{"kind": "external", "justification": because}]
    return result
