"""A run of a checkout's own tests: as text, as JSON, as JUnit's XML."""

from typing import Any
from xml.etree import ElementTree as ET

from rich.markup import escape

from devenv.e2e.events import Outcome, Result
from devenv.e2e.run import Report
from devenv.ui import console
from devenv.ui.junit import document
from devenv.ui.reports import emit_json

# Last lines of a test that failed.
_SHOWN = 15
_ORDER = (Outcome.PASS, Outcome.FAIL, Outcome.UNFINISHED, Outcome.SKIP)


def report_json(report: Report) -> None:
    """Print the report as JSON."""
    emit_json("test-e2e", shape(report))


def shape(report: Report) -> dict[str, Any]:
    """Return what `-o json` prints."""
    counts = report.counts
    return {
        "cluster": report.cluster,
        "checkout": report.checkout,
        "built": report.built,
        "ended": report.ended,
        "seconds": round(report.seconds, 1),
        "counts": {outcome.value: counts[outcome] for outcome in _ORDER},
        "tests": [_test_json(test) for test in report.tests],
        "said": list(report.said),
        "removed": [str(name) for name in report.removed],
        "kept": [str(name) for name in report.kept],
        "log": report.log,
    }


def _test_json(test: Result) -> dict[str, Any]:
    return {
        "name": test.name,
        "package": test.package,
        "outcome": test.outcome.value,
        "seconds": test.seconds,
        "output": list(test.output) if test.outcome is not Outcome.PASS else [],
    }


def report(report: Report) -> None:
    """Show the tests that failed or were skipped, with their reasons, and the counts."""
    out = console.result()
    for test in report.tests:
        if test.outcome is Outcome.SKIP:
            out.print(f"[yellow]·[/yellow] {escape(test.name)}  {_reason(test)}", soft_wrap=True)
    for test in (t for t in report.tests if t.failed):
        out.print(f"[bold red]✗[/bold red] {escape(test.name)}  {test.outcome}", soft_wrap=True)
        for line in test.shown(_SHOWN):
            out.print(f"    {escape(console.harmless(line.strip()))}", soft_wrap=True)
    if report.exit_code and not any(t.failed for t in report.tests):
        for line in report.said:
            out.print(f"    {escape(console.harmless(line))}", soft_wrap=True)
    out.print(_summary(report), soft_wrap=True)
    if report.kept:
        out.print(
            f"Left in the cluster: {escape(', '.join(map(str, report.kept)))}", soft_wrap=True
        )
    out.print(f"Log: {escape(report.log)}", soft_wrap=True)


def _reason(test: Result) -> str:
    return escape(console.harmless(test.reason))


def _summary(report: Report) -> str:
    counts = ", ".join(f"{report.counts[outcome]} {outcome}" for outcome in _ORDER)
    if report.exit_code == 0:
        return f"[green]✓[/green] {counts}"
    if not report.built:
        return "[bold red]✗[/bold red] The tests don't compile."
    if report.ended:
        return f"[bold red]✗[/bold red] {counts}: {escape(report.ended)}"
    if not report.tests:
        return "[yellow]·[/yellow] No test ran: no test matches what you asked for."
    return f"[bold red]✗[/bold red] {counts}"


def junit(report: Report) -> str:
    """Return the report as JUnit's XML: one case a test, sub-tests too."""
    suite = ET.Element("testsuite", name="test-e2e", hostname=report.cluster)
    for test in report.tests:
        _case(suite, test)
    whole_run = "" if report.built else "the tests don't compile"
    if reason := report.ended or whole_run:
        case = ET.SubElement(suite, "testcase", classname="go test", name="run", time="0")
        error = ET.SubElement(case, "error", message=console.harmless(reason), type="run")
        error.text = console.harmless("\n".join(report.said))
    numbers = {
        "tests": str(len(suite)),
        "failures": str(len(suite.findall("testcase/failure"))),
        "errors": str(len(suite.findall("testcase/error"))),
        "time": f"{report.seconds:.3f}",
    }
    suite.attrib |= {**numbers, "skipped": str(len(suite.findall("testcase/skipped")))}
    return document("devenv test-e2e", suite, numbers)


def _case(suite: ET.Element, test: Result) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=console.harmless(test.package),
        name=console.harmless(test.name),
        time=f"{test.seconds:.3f}",
    )
    output = console.harmless("\n".join(test.output))
    if test.outcome is Outcome.SKIP:
        ET.SubElement(case, "skipped", message=console.harmless(test.reason))
    elif test.failed:
        message = console.harmless(test.reason)
        ET.SubElement(case, "failure", message=message, type=test.outcome.value).text = output
