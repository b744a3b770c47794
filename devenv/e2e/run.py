"""`test-e2e`: runs a checkout's tests against a cluster, with all that they expect."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from devenv import DEFAULT_CLUSTER
from devenv.e2e import leftovers
from devenv.e2e.events import Events, Outcome, Result
from devenv.e2e.leftovers import ObjectName
from devenv.errors import DevenvError, Exit
from devenv.folders import work_folder, write_private
from devenv.images.toolchain import Toolchain
from devenv.lifecycle.steps import step
from devenv.ports import Clock, Forwarding, ForwardTarget, Host, Kube, Manifest, Reporter
from devenv.profiles.model import Forward, Profile, SourceTests
from devenv.wait import Deadline, locked, until

PROFILE = "aibrix-e2e"
# Seconds for pods to become ready; AIBrix's CI gives them the same.
_READY = 300.0
_ENDED = {"Succeeded", "Failed"}
# Last lines of what is no test's.
_SAID = 12


@dataclass(frozen=True)
class Options:
    """What the user asked for. `seconds`: for the whole run; `keep`: don't remove what the tests leave."""

    arguments: tuple[str, ...] = ()
    seconds: float = 3600.0
    keep: bool = False


@dataclass(frozen=True)
class Report:
    """The outcome of a run.

    `said`: the end of what belongs to no test. `ended`: why it was ended early, "" if it was not.
    `removed`: what the tests had left in the cluster, and `kept` what of it is still there.
    """

    cluster: str
    checkout: str
    tests: tuple[Result, ...]
    built: bool
    # Of `go test`.
    code: int
    seconds: float
    said: tuple[str, ...] = ()
    ended: str = ""
    removed: tuple[ObjectName, ...] = ()
    kept: tuple[ObjectName, ...] = ()
    log: str = ""

    @property
    def counts(self) -> Counter[Outcome]:
        """How many tests had each outcome."""
        return Counter(test.outcome for test in self.tests)

    @property
    def exit_code(self) -> Exit:
        """FAILED if a test failed or none could run, UNKNOWN if there was none to run."""
        if not self.built or self.ended or self.code != 0 or any(t.failed for t in self.tests):
            return Exit.FAILED
        return Exit.OK if self.tests else Exit.UNKNOWN


@dataclass(frozen=True)
class SourceTestRun:
    """One run of a checkout's tests against one cluster."""

    cluster: str
    profile: Profile
    # An absolute path, "" where the cluster has none.
    checkout: str
    host: Host
    clock: Clock
    kube: Kube
    reporter: Reporter
    forwarding: Forwarding
    toolchain: Toolchain
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def check(self) -> SourceTests:
        """Return the tests to run. Raises DevenvError with everything that prevents it."""
        tests = self.profile.tests
        problems = [(Exit.USAGE, problem) for problem in self._source_problems(tests)]
        taken = self._taken_ports(tests) if tests else []
        problems += [(Exit.PREREQUISITE, problem) for problem in taken]
        if problems or tests is None:
            reason = "\n".join(problem for _, problem in problems)
            code = min(code for code, _ in problems)
            raise DevenvError("The tests can't run.", reason, self._remedy(code), code)
        return tests

    def run(self, options: Options, wait: float) -> Report:
        """Run the tests and clean up, whether they pass or not. `wait`: seconds for the lock.

        Raises DevenvError where they can't be run; a test that fails is part of the report.
        """
        tests = self.check()
        began = self.clock.monotonic()
        with locked(self.host, self.clock, f"cluster-{self.cluster}", self.reporter.say, wait):
            self._wait_for_pods()
            log = self._log_file()
            events, existing_objects = Events(), leftovers.objects(self.kube, tests.namespace)
            removed: list[ObjectName] = []
            leftover_objects: set[ObjectName] = set()
            try:
                code, ended = self._go_test(tests, options, events, log)
            finally:
                events.finish()
                leftover_objects = leftovers.objects(self.kube, tests.namespace) - existing_objects
                if leftover_objects and not options.keep:
                    removed = self._remove(leftover_objects)
        return Report(
            cluster=self.cluster,
            checkout=self.checkout,
            tests=tuple(events.tests),
            built=events.built,
            code=code,
            seconds=self.clock.monotonic() - began,
            said=tuple(events.other)[-_SAID:],
            ended=ended,
            removed=tuple(removed),
            kept=tuple(sorted(leftover_objects - set(removed))),
            log=str(log),
        )

    def _source_problems(self, tests: SourceTests | None) -> Iterator[str]:
        if tests is None:
            yield f"The profile {self.profile.name} names no tests."
        if not self.checkout:
            yield f"The cluster {self.cluster} was not made from a checkout, and you named none."
        elif tests:
            package = Path(self.checkout, tests.package)
            if not any(package.glob("*_test.go")):
                yield f"{package} has no Go tests."

    def _taken_ports(self, tests: SourceTests) -> Iterator[str]:
        for forward in self._forwards(tests):
            if owner := self.host.port_owner(forward.port):
                name = forward.service or "the gateway"
                yield f"Port {forward.port}, for {name}, is in use by {owner}."

    def _remedy(self, code: Exit) -> str:
        if code is Exit.PREREQUISITE:
            return "End the programs that use the ports: the tests have these ports hard-coded."
        where = "" if self.cluster == DEFAULT_CLUSTER else f" --name {self.cluster}"
        return f"Make the cluster with `devenv up --profile {PROFILE} --checkout PATH{where}`."

    def _forwards(self, tests: SourceTests) -> list[Forward]:
        """Return the ports to forward: all but the gateway's own, which kind already maps."""
        gateway_port = self.profile.gateway.host_port
        return [f for f in tests.forwards if f.service or f.port != gateway_port]

    def _targets(self, tests: SourceTests) -> list[ForwardTarget]:
        gateway = self.profile.gateway.host_port
        return [
            ForwardTarget(f.port, f.namespace, f.service, f.target or f.port)
            if f.service
            else ForwardTarget(f.port, "", "", gateway)
            for f in self._forwards(tests)
        ]

    def _wait_for_pods(self) -> None:
        """Wait until every pod is ready: the tests count them."""
        next_step = f"Run `devenv doctor --name {self.cluster}` to find out why."
        with step(self.reporter, "pods ready"):
            until(
                "At least one pod",
                self._missing_pods,
                Deadline(self.clock, _READY),
                next_step,
                pause=1.0,
            )

    def _missing_pods(self) -> str:
        waited_for = [p for p in self.kube.select("v1", "Pod") if not _is_ready(p)]
        return ", ".join(sorted(p["metadata"]["name"] for p in waited_for))

    def _log_file(self) -> Path:
        log = self.host.cache_dir() / "logs" / f"test-e2e-{self.cluster}.jsonl"
        log.parent.mkdir(parents=True, exist_ok=True)
        return log

    def _go_test(
        self,
        tests: SourceTests,
        options: Options,
        events: Events,
        log: Path,
    ) -> tuple[int, str]:
        """Run `go test`; return its exit code, and why it was ended early."""
        self.toolchain.ensure(self.host.cache_dir() / "logs" / "toolchain.log")
        argv = ["go", "test", "-json", "-count=1", "-timeout=0", *tests.arguments]
        argv += [*options.arguments, tests.package]
        with self._surroundings(tests) as environment, self._progress(events) as on_line:
            try:
                result = self.host.run(
                    argv,
                    cwd=Path(self.checkout),
                    env=environment,
                    log=log,
                    on_line=on_line,
                    timeout=options.seconds,
                )
            except DevenvError as error:
                if error.exit_code is not Exit.FAILED:
                    raise
                # The time ran out; the tests that ended before that count.
                return 1, error.what
        return result.code, ""

    @contextmanager
    def _surroundings(self, tests: SourceTests) -> Iterator[dict[str, str]]:
        """Give the environment of the tests, while their ports lead into the cluster."""
        set_here = {k: v for k, v in tests.environment.items() if k not in self.environment}
        environment = self.toolchain.environment("", cgo=False, host=True) | set_here
        with work_folder(self.host.cache_dir() / "e2e") as folder:
            kubeconfig = folder / "kubeconfig"
            write_private(kubeconfig, self.kube.kubeconfig())
            environment["KUBECONFIG"] = str(kubeconfig)
            targets = self._targets(tests)
            ports = ", ".join(str(target.port) for target in targets)
            with ExitStack() as opened:
                with step(self.reporter, "ports") as note:
                    opened.enter_context(self.forwarding.opened(targets))
                    note.append(ports)
                yield environment

    @contextmanager
    def _progress(self, events: Events) -> Iterator["OnTestLine"]:
        with step(self.reporter, "tests") as note:
            self.reporter.detail("tests", "compiling")
            yield OnTestLine(events, self.reporter)
            counts = Counter(test.outcome for test in events.tests)
            note += [f"{count} {outcome}" for outcome, count in sorted(counts.items())]

    def _remove(self, leftover_objects: set[ObjectName]) -> list[ObjectName]:
        names = ", ".join(map(str, sorted(leftover_objects)))
        self.reporter.say(f"Removing what the tests left: {names}.")
        return leftovers.remove(self.kube, leftover_objects)


@dataclass(frozen=True)
class OnTestLine:
    """Takes the lines of a run, and reports each test that ends."""

    events: Events
    reporter: Reporter

    def __call__(self, line: str) -> None:
        """Take one line."""
        test = self.events.feed(line)
        running = self.events.running
        self.reporter.detail("tests", running[-1] if running else "")
        if test:
            self.reporter.say(f"  {test.outcome.upper():<4} {test.name}  {test.seconds:.1f} s")


def _is_ready(pod: Manifest) -> bool:
    """Whether a pod is ready, or has ended and never will be."""
    status = pod.get("status") or {}
    if status.get("phase") in _ENDED:
        return True
    conditions: Sequence[Mapping[str, str]] = status.get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
