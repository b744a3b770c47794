import json

import pytest

from devenv.facts.telling import error_message, telling_line

GO = """2026/11/28 listening on :50052
panic: the new code is wrong

goroutine 1 [running]:
main.serve({0xc000012345, 0x10})
\t/src/cmd/plugins/main.go:88 +0x1d
main.main()
\t/src/cmd/plugins/main.go:42 +0x5e
created by net/http.(*Server).Serve in goroutine 1
\t/usr/lib/go/src/net/http/server.go:3285 +0x4b4
exit status 2"""
AGAIN = """panic: first [recovered]
\tpanic: second
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x1]

goroutine 7 [running]:
main.f(...)
\t/src/main.go:1"""
DEADLOCK = """fatal error: all goroutines are asleep - deadlock!

goroutine 1 [select (no cases)]:
main.main()
\t/src/main.go:9 +0x1d
rax    0xca
rip    0x46c1"""
PYTHON = """INFO starting
Traceback (most recent call last):
  File "/app/main.py", line 3, in <module>
    connect()
  File "/app/main.py", line 2, in connect
    raise ValueError("no such model")
ValueError: no such model"""
CHAINED = f"""{PYTHON}

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/main.py", line 9, in <module>
RuntimeError: gave up"""
ZAP = """2026-11-28T10:00:00Z\tINFO\tsetup\tstarting
2026-11-28T10:00:01Z\tERROR\tsetup\tunable to start manager\t{"error": "no matches for kind"}
main.main
\t/workspace/cmd/controllers/main.go:200
runtime.main
\t/usr/local/go/src/runtime/proc.go:283"""
ENVOY = """[2026-11-28 10:00:00.000][1][critical][main] [source/server/server.cc:1] error initializing configuration
[2026-11-28 10:00:00.001][1][info][main] [source/server/server.cc:2] exiting"""
JSON = "\n".join(
    json.dumps(entry)
    for entry in (
        {"level": "info", "msg": "starting"},
        {"level": "fatal", "msg": "can't listen", "error": "address already in use"},
        {"level": "info", "msg": "bye"},
    )
)


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (GO, "panic: the new code is wrong"),
        (AGAIN, "panic: second"),
        (DEADLOCK, "fatal error: all goroutines are asleep - deadlock!"),
        (PYTHON, "ValueError: no such model"),
        (CHAINED, "RuntimeError: gave up"),
        (ZAP, ZAP.splitlines()[1]),
        (ENVOY, ENVOY.splitlines()[0]),
        (JSON, "can't listen: address already in use"),
        ('time=1 level=fatal msg="no certificate"\ntime=2 level=info msg=bye', 'time=1 level=fatal msg="no certificate"'),
        ("/bin/sh: exec: line 1: manager: not found", "/bin/sh: exec: line 1: manager: not found"),
        ("exec /manager: no such file or directory", "exec /manager: no such file or directory"),
        ("F1128 10:00:00.000000 1 main.go:1] no kubeconfig\ngoroutine 1 [running]:", "F1128 10:00:00.000000 1 main.go:1] no kubeconfig"),
        ("E1128 10:00:00.0 1 a.go:1] lost the lease\nI1128 10:00:01.0 1 a.go:2] bye", "E1128 10:00:00.0 1 a.go:1] lost the lease"),
        ("starting\n2026/11/28 redis at x:6379: dial tcp: no such host\n", "2026/11/28 redis at x:6379: dial tcp: no such host"),
        ("one\ntwo\n\n", "two"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_line_that_tells(log, line):
    assert telling_line(log.splitlines()) == line


def test_what_a_program_has_survived_does_not_tell_why_it_ended():
    log = [*PYTHON.splitlines(), *(f"request {n}" for n in range(20)), "no memory is left"]
    assert telling_line(log) == "no memory is left"


def test_a_long_stack_hides_nothing():
    frames = [
        line
        for n in range(300)
        for line in (f"goroutine {n} [IO wait]:", "main.f(0x1)", "\t/src/main.go:1")
    ]
    assert telling_line(["panic: here", *frames]) == "panic: here"


def test_a_line_of_another_kind_of_json_is_returned_as_it_is():
    assert telling_line(["[1, 2]"]) == "[1, 2]"
    assert telling_line(['{"level": ']) == '{"level":'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"code": None, "message": "podless\n", "type": "overloaded_error"}}, "podless"),
        ({"error": "podless"}, "podless"),
        ({"object": "error", "message": "podless", "code": 404}, "podless"),
        ({"detail": "podless"}, "podless"),
        ({"detail": [{"loc": ["body"]}]}, ""),
        ({"error": {"code": 1}}, ""),
        ({"error": None, "message": 1}, ""),
        ([1], ""),
        ("podless", ""),
    ],
)
def test_the_message_in_the_json_of_an_answer(body, message):
    assert error_message(f" {json.dumps(body)}\n") == message


@pytest.mark.parametrize(
    "body", ["", "upstream connect error", '{"error": {"message": "no', "[" * 9999]
)
def test_an_answer_that_is_no_json_has_no_message(body):
    assert error_message(body) == ""
