"""Events as `go test -json` of Go 1.25 and 1.26 writes them."""

import json

import pytest

from devenv.e2e.events import Events, Outcome


def line(action, test="", output=None, **more):
    event = {"Action": action, "Package": "x/e2e", **more}
    if test:
        event["Test"] = test
    if output is not None:
        event["Output"] = f"{output}\n"
    return json.dumps(event)


def fed(*lines):
    events = Events()
    for one in lines:
        events.feed(one)
    events.finish()
    return events


def outcomes(events):
    return {test.name: test.outcome for test in events.tests}


def test_each_test_and_sub_test_has_its_result_time_and_words():
    events = fed(
        line("start"),
        line("run", "TestSub"),
        line("output", "TestSub", "=== RUN   TestSub"),
        line("run", "TestSub/one_two"),
        line("pass", "TestSub/one_two", Elapsed=0.5),
        line("run", "TestSub/bad"),
        line("output", "TestSub/bad", "    a_test.go:4: no"),
        line("output", "TestSub/bad", "--- FAIL: TestSub/bad (0.00s)"),
        line("fail", "TestSub/bad", Elapsed=0.25),
        line("fail", "TestSub", Elapsed=1),
        line("output", "", "FAIL\tx/e2e\t0.1s"),
        line("fail", "", Elapsed=1.1),
    )
    assert outcomes(events) == {
        "TestSub/one_two": Outcome.PASS,
        "TestSub/bad": Outcome.FAIL,
        "TestSub": Outcome.FAIL,
    }
    bad = next(test for test in events.tests if test.name == "TestSub/bad")
    assert (bad.seconds, bad.output, bad.package) == (0.25, ("    a_test.go:4: no",), "x/e2e")
    assert list(events.other_lines) == ["FAIL\tx/e2e\t0.1s"]
    assert events.built


def test_a_skip_tells_its_reason():
    (test,) = fed(
        line("run", "TestSkip"),
        line("output", "TestSkip", "    a.go:5: set X=true"),
        line("skip", "TestSkip"),
    ).tests
    assert (test.outcome, test.reason, test.failed) == (Outcome.SKIP, "a.go:5: set X=true", False)


def test_of_a_panic_the_line_that_tells_comes_first():
    panic = [
        line("output", "TestX", text)
        for text in ("before", "panic: boom", "goroutine 23 [running]:", *["at"] * 30)
    ]
    (test,) = fed(line("run", "TestX"), *panic, line("fail", "TestX")).tests
    assert (test.outcome, test.reason) == (Outcome.FAIL, "panic: boom")
    assert test.shown(3) == ("panic: boom", "goroutine 23 [running]:", "at")


def test_testifys_error_is_the_reason():
    texts = (
        "        \tError Trace:\tx.go:7",
        "        \tError:      \tNot equal: ",
        "        \tTest:       \tTestX",
    )
    (test,) = fed(
        line("run", "TestX"),
        *(line("output", "TestX", text) for text in texts),
        line("fail", "TestX"),
    ).tests
    assert test.reason.startswith("Error:")


@pytest.mark.parametrize(
    "end", [[], [line("fail", "", Elapsed=1)]], ids=["killed", "os.Exit or a timeout"]
)
def test_what_did_not_end_is_unfinished_and_a_failure(end):
    events = fed(
        line("run", "TestA"),
        line("pass", "TestA"),
        line("run", "TestHang"),
        line("run", "TestHang/sub"),
        *end,
    )
    assert outcomes(events) == {
        "TestA": Outcome.PASS, "TestHang": Outcome.UNFINISHED, "TestHang/sub": Outcome.UNFINISHED,
    }  # fmt: skip
    assert all(test.failed for test in events.tests[1:])


@pytest.mark.parametrize(
    "lines",
    [
        [
            json.dumps(
                {
                    "ImportPath": "x/e2e.test",
                    "Action": "build-output",
                    "Output": "a_test.go:8:9: expected ')'\n",
                }
            ),
            json.dumps({"ImportPath": "x/e2e.test", "Action": "build-fail"}),
            line("start"),
            line("fail", "", FailedBuild="x/e2e.test"),
        ],
        [
            "# x/e2e",
            "a_test.go:8:9: expected ')'",
            line("output", "", "FAIL\tx/e2e [build failed]"),
            line("fail"),
        ],
        [
            "a_test.go:8:9: expected ')'",
            line("output", "", "FAIL\tx/e2e [setup failed]"),
            line("fail"),
        ],
    ],
    ids=["Go 1.24 and newer", "older", "a package that can't be read"],
)
def test_what_does_not_compile_is_told(lines):
    events = fed(*lines)
    assert not events.built
    assert events.tests == []
    assert any("expected ')'" in text for text in events.other_lines)


@pytest.mark.parametrize(
    "odd", ["", "go: downloading x v1.2.3", "{broken", '{"no": "action"}', "[1]", '{"Action": 3}']
)
def test_a_line_that_is_no_event_harms_nothing(odd):
    events = fed(odd, line("run", "TestA"), line("pass", "TestA"))
    assert outcomes(events) == {"TestA": Outcome.PASS}


def test_tests_of_one_name_in_two_packages_are_two():
    other = {"Package": "x/other"}
    events = fed(
        line("run", "TestA"),
        line("run", "TestA", **other),
        line("pass", "TestA"),
        line("fail", "TestA", **other),
    )
    assert {(t.package, t.outcome) for t in events.tests} == {
        ("x/e2e", Outcome.PASS),
        ("x/other", Outcome.FAIL),
    }
