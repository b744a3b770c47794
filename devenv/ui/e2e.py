"""`test-e2e`: a run of a checkout's own tests, also as JUnit's XML."""

from collections.abc import Iterable
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.markup import escape

from devenv.base.json_types import JsonObject
from devenv.e2e import run
from devenv.e2e.events import Outcome, Result
from devenv.ui.console import harmless, print_line
from devenv.ui.junit import document
from devenv.ui.marks import CHECK, CROSS
from devenv.ui.render import Report, shapes

# Last lines of a test that failed.
_SHOWN = 15
_ORDER = (Outcome.PASS, Outcome.FAIL, Outcome.UNFINISHED, Outcome.SKIP)
# What a test with each outcome has done, for a sentence. JSON has the outcome itself.
_WORDS = {
    Outcome.PASS: "passed",
    Outcome.FAIL: "failed",
    Outcome.UNFINISHED: "unfinished",
    Outcome.SKIP: "skipped",
}
_SKIPPED = "[yellow]·[/yellow]"


def report(report: run.Report) -> Report:
    """Report the tests that failed or were skipped, with their reasons, and the counts."""
    return Report("test-e2e", lambda: report_shape(report), lambda out: _print_report(out, report))


def _print_report(out: Console, report: run.Report) -> None:
    """Print skipped tests with their reasons, failed ones with their last lines, then the sum."""
    for test in report.tests:
        if test.outcome is Outcome.SKIP:
            _print_skipped(out, test)
    failed_tests = [test for test in report.tests if test.failed]
    for test in failed_tests:
        _print_failed(out, test)
    if report.exit_code and not failed_tests:
        _print_indented(out, report.other_lines)
    print_line(out, _summary(report))
    if report.remaining:
        names = ", ".join(map(str, report.remaining))
        print_line(out, f"Left in the cluster: {escape(names)}")
    print_line(out, f"Log: {escape(report.log)}")


def _print_skipped(out: Console, test: Result) -> None:
    name, reason = escape(test.name), escape(harmless(test.reason))
    print_line(out, f"{_SKIPPED} {name}  {reason}")


def _print_failed(out: Console, test: Result) -> None:
    """Print a failed test, and the lines of its output that say why."""
    name = escape(test.name)
    print_line(out, f"{CROSS} {name}  {_WORDS[test.outcome]}")
    _print_indented(out, map(str.strip, test.shown(_SHOWN)))


def _print_indented(out: Console, lines: Iterable[str]) -> None:
    for line in lines:
        text = escape(harmless(line))
        print_line(out, f"    {text}")


def _summary(report: run.Report) -> str:
    """Return the counts, or why there are none."""
    counts = ", ".join(f"{report.counts[outcome]} {_WORDS[outcome]}" for outcome in _ORDER)
    if report.exit_code == 0:
        return f"{CHECK} {counts}"
    if not report.built:
        return f"{CROSS} The tests don't compile."
    if report.ended:
        return f"{CROSS} {counts}: {escape(report.ended)}"
    if not report.tests:
        return f"{_SKIPPED} No test ran: no test matches what you asked for."
    return f"{CROSS} {counts}"


def report_shape(report: run.Report) -> JsonObject:
    """Shape of `test-e2e`."""
    return {
        "cluster": report.cluster,
        "checkout": report.checkout,
        "built": report.built,
        "ended": report.ended,
        "seconds": round(report.seconds, 1),
        "counts": {outcome.value: report.counts[outcome] for outcome in _ORDER},
        "tests": shapes(_test_shape, report.tests),
        "said": list(report.other_lines),
        "removed": shapes(str, report.removed),
        "kept": shapes(str, report.remaining),
        "log": report.log,
    }


def _test_shape(test: Result) -> JsonObject:
    output: list[str] = []
    if test.outcome is not Outcome.PASS:
        output = list(test.output)
    return {
        "name": test.name,
        "package": test.package,
        "outcome": test.outcome.value,
        "seconds": test.seconds,
        "output": output,
    }


def junit(report: run.Report) -> str:
    """Return the report as JUnit's XML: one case a test, sub-tests too."""
    suite = ET.Element("testsuite", name="test-e2e", hostname=report.cluster)
    for test in report.tests:
        _add_case(suite, test)
    _add_error(suite, report)
    numbers = {
        "tests": str(len(suite)),
        "failures": _count(suite, "failure"),
        "errors": _count(suite, "error"),
        "time": f"{report.seconds:.3f}",
    }
    suite.attrib |= {**numbers, "skipped": _count(suite, "skipped")}
    return document("devenv test-e2e", suite, numbers)


def _count(suite: ET.Element, tag: str) -> str:
    """Count the cases that have this element."""
    cases = suite.findall(f"testcase/{tag}")
    return str(len(cases))


def _add_case(suite: ET.Element, test: Result) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=harmless(test.package),
        name=harmless(test.name),
        time=f"{test.seconds:.3f}",
    )
    reason = harmless(test.reason)
    if test.outcome is Outcome.SKIP:
        ET.SubElement(case, "skipped", message=reason)
    elif test.failed:
        failure = ET.SubElement(case, "failure", message=reason, type=test.outcome.value)
        failure.text = harmless("\n".join(test.output))


def _add_error(suite: ET.Element, report: run.Report) -> None:
    """Add a case for what went wrong with the run as a whole."""
    reason = report.ended
    if not reason and not report.built:
        reason = "the tests don't compile"
    if not reason:
        return
    case = ET.SubElement(suite, "testcase", classname="go test", name="run", time="0")
    error = ET.SubElement(case, "error", message=harmless(reason), type="run")
    error.text = harmless("\n".join(report.other_lines))
