"""A diagnosis for other programs: JUnit's XML for those that show tests, SARIF for findings.

A root is a failure; what follows from it is skipped and names its root. The number of failures is
therefore the number of causes.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from devenv import __version__
from devenv.base.digests import sha256_of
from devenv.base.json_types import JsonObject
from devenv.diagnosis.codes import Code, book
from devenv.diagnosis.model import Diagnosis, Finding
from devenv.ui import console
from devenv.ui.junit import document
from devenv.ui.render import shapes

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
# The third character of a code → its area.
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
    """The result of one check.

    Without a `finding`, the check passed. `root` is the finding that this one follows from.
    """

    code: Code
    finding: Finding | None = None
    root: Finding | None = None


def cases(diagnosis: Diagnosis) -> Iterator[Case]:
    """Yield a case for each code, in its order, and one more for each further finding of it."""
    failed = _failed_cases(diagnosis)
    for name, code in book().items():
        if name not in diagnosis.ignored:
            yield from failed.get(name) or [Case(code)]


def _failed_cases(diagnosis: Diagnosis) -> dict[str, list[Case]]:
    """Return the cases of each code: first the roots, then what follows, each finding once."""
    failed: dict[str, list[Case]] = {}
    causes = (*diagnosis.causes, *diagnosis.progress)
    for cause in causes:
        root = cause.root
        case = Case(book()[root.code], root)
        failed.setdefault(root.code, []).append(case)
    for cause in causes:
        for finding in dict.fromkeys(cause.consequences):
            same_code = failed.setdefault(finding.code, [])
            if finding not in [case.finding for case in same_code]:
                code = book()[finding.code]
                same_code.append(Case(code, finding, cause.root))
    return failed


# JUnit


def junit(diagnosis: Diagnosis) -> str:
    """Return the diagnosis as JUnit's XML: one case a check."""
    suite = ET.Element(
        "testsuite", name=f"devenv doctor {diagnosis.cluster}", hostname=diagnosis.cluster
    )
    counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for case in cases(diagnosis):
        counts["tests"] += 1
        counter = _add_case(suite, case)
        if counter:
            counts[counter] += 1
    for what, reason in diagnosis.unknown:
        counts["tests"] += 1
        counts["errors"] += 1
        _add_unknown(suite, what, reason)
    timestamp = datetime.fromtimestamp(diagnosis.taken, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    numbers = {name: str(count) for name, count in counts.items()}
    suite.attrib |= {**numbers, "time": "0", "timestamp": timestamp}
    # Only a suite may have it.
    del numbers["skipped"]
    return document("devenv doctor", suite, {**numbers, "time": "0"})


def _add_case(suite: ET.Element, case: Case) -> str:
    """Add a case, and return the counter that it belongs to; "" if it passed."""
    element = _add_element(suite, f"devenv.{_area(case.code)}", _case_name(case))
    finding = case.finding
    if finding is None:
        return ""
    if case.root:
        reason = _plain(_follows_from(case.root))
        ET.SubElement(element, "skipped", message=reason)
        return "skipped"
    failure = ET.SubElement(element, "failure", message=_plain(finding.says), type=case.code.code)
    verdict = f"{finding.verdict.value}, {finding.confidence.value}"
    lines = [verdict, *_evidence_lines(finding)]
    failure.text = "\n".join(map(_plain, lines))
    return "failures"


def _case_name(case: Case) -> str:
    """Return the code, its title, and what the finding is about."""
    name = f"{case.code.code} {case.code.title}"
    if case.finding is None:
        return name
    return f"{name}: {case.finding.subject}"


def _add_element(suite: ET.Element, class_name: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=class_name, name=_plain(name), time="0")


def _add_unknown(suite: ET.Element, what: str, reason: str) -> None:
    element = _add_element(suite, "devenv.unknown", what)
    message = _plain(f"could not be read: {reason}")
    ET.SubElement(element, "error", message=message, type="unknown")


def _area(code: Code) -> str:
    return _AREAS[code.code[2]]


def _follows_from(root: Finding) -> str:
    return f"follows from {root.code}: {root.says}"


def _evidence_lines(finding: Finding) -> list[str]:
    """Return the evidence, and after it the fixes."""
    lines = [f"{piece.source}: {piece.text}" for piece in finding.evidence]
    lines += [f"Fix: {fix}" for fix in finding.fix]
    return lines


def _plain(text: str) -> str:
    """Return text that XML can hold, on one line."""
    return console.harmless(" ".join(text.split()))


# SARIF


def sarif(diagnosis: Diagnosis) -> str:
    """Return the diagnosis as SARIF 2.1.0: roots as errors, what follows from them suppressed."""
    code_names = list(book())
    results = [
        _result(diagnosis.cluster, case, case.finding, code_names)
        for case in cases(diagnosis)
        if case.finding
    ]
    codes = list(book().values())
    run = {
        "tool": {"driver": _driver(codes)},
        "invocations": [_invocation(diagnosis)],
        "results": results,
        "columnKind": "unicodeCodePoints",
    }
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False)


def _driver(codes: Sequence[Code]) -> JsonObject:
    """Return the tool that found this, with a rule for each code."""
    return {
        "name": "devenv",
        "version": __version__,
        "semanticVersion": __version__,
        "informationUri": "https://github.com/vllm-project/aibrix",
        "rules": shapes(_rule, codes),
    }


def _rule(code: Code) -> JsonObject:
    return {
        "id": code.code,
        "shortDescription": {"text": code.title},
        "fullDescription": {"text": code.meaning},
        "help": {"text": f"{code.why} {code.fix}"},
        "properties": {"tags": [_area(code)]},
    }


def _invocation(diagnosis: Diagnosis) -> JsonObject:
    end = datetime.fromtimestamp(diagnosis.taken, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    notices = [_notice(what, reason) for what, reason in diagnosis.unknown]
    return {
        "executionSuccessful": not diagnosis.unknown,
        "endTimeUtc": end,
        "toolExecutionNotifications": notices,
    }


def _notice(what: str, reason: str) -> JsonObject:
    """Return a notice that something could not be read, so that silence is not taken for health."""
    message = _plain(f"{what} could not be read: {reason}")
    return {"level": "warning", "message": {"text": message}}


def _result(cluster: str, case: Case, finding: Finding, code_names: Sequence[str]) -> JsonObject:
    """Return a finding as a result; one that follows from a root is suppressed."""
    lines = [finding.says, *_evidence_lines(finding)]
    message = "\n".join(map(_plain, lines))
    result: JsonObject = {
        "ruleId": finding.code,
        "ruleIndex": code_names.index(finding.code),
        "level": "note" if case.root else "error",
        "message": {"text": message},
        "locations": [_location(cluster, finding)],
        "partialFingerprints": {"devenv/v1": _fingerprint(cluster, finding)},
    }
    if case.root:
        reason = _plain(_follows_from(case.root))
        result["suppressions"] = [{"kind": "external", "justification": reason}]
    return result


def _location(cluster: str, finding: Finding) -> JsonObject:
    """Return where a finding is: SARIF knows files, so the cluster stands for one."""
    return {
        "physicalLocation": {"artifactLocation": {"uri": f"clusters/{cluster}"}},
        "logicalLocations": [{"name": _plain(str(finding.subject)), "kind": "resource"}],
    }


def _fingerprint(cluster: str, finding: Finding) -> str:
    """Return what identifies a finding in every run, whatever its sentence says."""
    identity = f"{cluster}\n{finding.code}\n{finding.subject}"
    return sha256_of(identity)[:32]
