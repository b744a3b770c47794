"""`test-e2e`: runs a checkout's tests against a cluster, with everything that they expect."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from devenv import name_flag
from devenv.base.atomic import work_folder, write_private
from devenv.base.errors import DevenvError, Exit
from devenv.base.steps import step
from devenv.base.wait import Deadline, locked, until
from devenv.e2e import leftovers
from devenv.e2e.events import Events, Outcome, Result, count_outcomes
from devenv.e2e.leftovers import ObjectName
from devenv.facts.objects import conditions_of, is_true, status_of
from devenv.images.recipes.toolchain import Toolchain
from devenv.ports.forwarding import Forwarding, ForwardTarget
from devenv.ports.kube import Manifest
from devenv.ports.processes import Environment
from devenv.ports.reporter import Reporter
from devenv.profiles.model import Forward, SourceTests
from devenv.session import Session

PROFILE = "aibrix-e2e"
# Seconds for pods to become ready, as many as in AIBrix's CI.
_READY_TIMEOUT = 300.0
_ENDED_PHASES = {"Succeeded", "Failed"}
# Lines that a report has of what belongs to no test, the last ones.
_MAX_OTHER_LINES = 12


@dataclass(frozen=True)
class Options:
    """What the user asked for.

    `arguments`: of `go test`. `seconds`: for the whole run. `keep`: leave what the tests leave.
    """

    arguments: tuple[str, ...] = ()
    seconds: float = 3600.0
    keep: bool = False


@dataclass(frozen=True)
class Report:
    """The outcome of a run.

    `code`: of `go test`. `other_lines`: the last lines that belong to no test. `ended`: why devenv
    ended the run early, "" if it did not. `removed`: what the tests had left in the cluster.
    `remaining`: what of it is still there. `log`: a path.
    """

    cluster: str
    checkout: str
    tests: tuple[Result, ...]
    built: bool
    code: int
    seconds: float
    other_lines: tuple[str, ...] = ()
    ended: str = ""
    removed: tuple[ObjectName, ...] = ()
    remaining: tuple[ObjectName, ...] = ()
    log: str = ""

    @property
    def counts(self) -> Counter[Outcome]:
        """How many tests had each outcome."""
        return count_outcomes(self.tests)

    @property
    def exit_code(self) -> Exit:
        """FAILED if a test failed or none could run, UNKNOWN if there was none to run."""
        has_failed_test = any(test.failed for test in self.tests)
        if has_failed_test or self.ended or not self.built or self.code != 0:
            return Exit.FAILED
        if not self.tests:
            return Exit.UNKNOWN
        return Exit.OK


@dataclass(frozen=True)
class _GoTestEnd:
    """How `go test` ended. `ended_early`: why devenv ended it, "" if it ended by itself."""

    code: int
    ended_early: str = ""


@dataclass(frozen=True)
class _Cleanup:
    """What became of the objects that tests left."""

    removed: tuple[ObjectName, ...]
    remaining: tuple[ObjectName, ...]


@dataclass(frozen=True)
class SourceTestRun:
    """One run of a checkout's tests against one cluster.

    `checkout`: an absolute path, "" if the cluster has none. `environment`: the user's.
    """

    session: Session
    checkout: str
    forwarding: Forwarding
    toolchain: Toolchain
    environment: Environment = field(default_factory=lambda: os.environ)

    def check(self) -> SourceTests:
        """Return the tests to run. Raises DevenvError with everything that prevents it."""
        tests = self.session.profile.tests
        source_problems = list(self._source_problems(tests))
        port_problems = list(self._port_problems(tests)) if tests else []
        if tests and not source_problems and not port_problems:
            return tests
        code = Exit.USAGE if source_problems else Exit.PREREQUISITE
        raise DevenvError(
            "The tests can't run.",
            why="\n".join([*source_problems, *port_problems]),
            next_step=self._remedy(code),
            exit_code=code,
        )

    def run(self, options: Options, wait: float) -> Report:
        """Run the tests and clean up, whether they pass or not. `wait`: seconds for the lock.

        Raises DevenvError if the tests can't run. A test that fails is part of the report.
        """
        tests = self.check()
        session = self.session
        start_time = session.clock.monotonic()
        lock = f"cluster-{session.cluster}"
        with locked(session.host, session.clock, lock, session.reporter.say, wait):
            self._wait_for_pods()
            log = self._log_file()
            events = Events()
            existing_objects = leftovers.objects(session.kube, tests.namespace)
            try:
                end = self._go_test(tests, options, events, log)
            finally:
                events.finish()
                cleanup = self._clean_up(tests.namespace, existing_objects, keep=options.keep)
        return Report(
            cluster=session.cluster,
            checkout=self.checkout,
            tests=tuple(events.tests),
            built=events.built,
            code=end.code,
            seconds=session.clock.monotonic() - start_time,
            other_lines=tuple(events.other_lines)[-_MAX_OTHER_LINES:],
            ended=end.ended_early,
            removed=cleanup.removed,
            remaining=cleanup.remaining,
            log=str(log),
        )

    def _source_problems(self, tests: SourceTests | None) -> Iterator[str]:
        """Yield why the profile's tests can't be found."""
        if tests is None:
            yield f"The profile {self.session.profile.name} names no tests."
        if not self.checkout:
            cluster = self.session.cluster
            yield f"The cluster {cluster} was not made from a checkout, and you named none."
        elif tests:
            package = Path(self.checkout, tests.package)
            if not any(package.glob("*_test.go")):
                yield f"{package} has no Go tests."

    def _port_problems(self, tests: SourceTests) -> Iterator[str]:
        for forward in self._forwards(tests):
            if owner := self.session.host.port_owner(forward.port):
                name = forward.service or "the gateway"
                yield f"Port {forward.port}, for {name}, is in use by {owner}."

    def _remedy(self, code: Exit) -> str:
        if code is Exit.PREREQUISITE:
            return "End the programs that use the ports: the tests have these ports hard-coded."
        flag = name_flag(self.session.cluster)
        command = f"devenv up --profile {PROFILE} --checkout PATH{flag}"
        return f"Make the cluster with `{command}`."

    def _forwards(self, tests: SourceTests) -> Iterator[Forward]:
        """Give the ports to forward: all but the gateway's own, which kind already maps."""
        mapped_port = self.session.profile.gateway.host_port
        for forward in tests.forwards:
            if forward.service or forward.port != mapped_port:
                yield forward

    def _target(self, forward: Forward) -> ForwardTarget:
        """Return where a port leads: into a Service, or to the gateway's port on the host."""
        port = forward.port
        if not forward.service:
            return ForwardTarget(port, "", "", self.session.profile.gateway.host_port)
        target_port = forward.target or port
        return ForwardTarget(port, forward.namespace, forward.service, target_port)

    def _wait_for_pods(self) -> None:
        """Wait until every pod is ready: the tests count them."""
        next_step = f"Run `devenv doctor --name {self.session.cluster}` to find out why."
        deadline = Deadline(self.session.clock, _READY_TIMEOUT)
        with step(self.session.reporter, "pods ready"):
            until("At least one pod", self._unready_pods, deadline, next_step, pause=1.0)

    def _unready_pods(self) -> str:
        pods = self.session.kube.select("v1", "Pod")
        unready_names = [pod["metadata"]["name"] for pod in pods if not _is_ready(pod)]
        return ", ".join(sorted(unready_names))

    def _log_file(self) -> Path:
        log = self.session.host.cache_dir() / "logs" / f"test-e2e-{self.session.cluster}.jsonl"
        log.parent.mkdir(parents=True, exist_ok=True)
        return log

    def _go_test(
        self, tests: SourceTests, options: Options, events: Events, log: Path
    ) -> _GoTestEnd:
        """Run the tests. If the time runs out, those that have ended count."""
        self.toolchain.ensure(self.session.host.cache_dir() / "logs" / "toolchain.log")
        argv = ["go", "test", "-json", "-count=1", "-timeout=0", *tests.arguments]
        argv += [*options.arguments, tests.package]
        with self._test_environment(tests) as environment, self._progress(events) as on_line:
            try:
                result = self.session.host.run(
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
                # The time ran out. The tests that ended before that count.
                return _GoTestEnd(1, error.what)
        return _GoTestEnd(result.code)

    @contextmanager
    def _test_environment(self, tests: SourceTests) -> Iterator[Environment]:
        """Give the environment of the tests, while their ports lead into the cluster."""
        environment = dict(self.toolchain.environment("", cgo=False, host=True))
        # What the user has set counts more.
        unset_names = tests.environment.keys() - self.environment.keys()
        environment |= {name: tests.environment[name] for name in unset_names}
        with work_folder(self.session.host.cache_dir() / "e2e") as folder:
            kubeconfig = folder / "kubeconfig"
            write_private(kubeconfig, self.session.kube.kubeconfig())
            environment["KUBECONFIG"] = str(kubeconfig)
            with self._open_ports(tests):
                yield environment

    @contextmanager
    def _open_ports(self, tests: SourceTests) -> Iterator[None]:
        """Keep the ports that the tests have hard-coded open into the cluster."""
        targets = list(map(self._target, self._forwards(tests)))
        ports = ", ".join(str(target.port) for target in targets)
        with ExitStack() as open_ports:
            with step(self.session.reporter, "ports") as note:
                open_ports.enter_context(self.forwarding.opened(targets))
                note.append(ports)
            yield

    @contextmanager
    def _progress(self, events: Events) -> Iterator["OnTestLine"]:
        """Show the tests as a step, which ends with a count of each outcome."""
        with step(self.session.reporter, "tests") as note:
            self.session.reporter.detail("tests", "compiling")
            yield OnTestLine(events, self.session.reporter)
            counts = count_outcomes(events.tests)
            for outcome in sorted(counts):
                note.append(f"{counts[outcome]} {outcome}")

    def _clean_up(
        self, namespace: str, existing_objects: set[ObjectName], *, keep: bool
    ) -> _Cleanup:
        """Remove what the tests have left, unless `keep`."""
        new_objects = leftovers.objects(self.session.kube, namespace) - existing_objects
        removed: list[ObjectName] = []
        if new_objects and not keep:
            names = ", ".join(map(str, sorted(new_objects)))
            self.session.reporter.say(f"Removing what the tests left: {names}.")
            removed = leftovers.remove(self.session.kube, new_objects)
        remaining = sorted(new_objects.difference(removed))
        return _Cleanup(tuple(removed), tuple(remaining))


@dataclass(frozen=True)
class OnTestLine:
    """Takes the lines of a run, and reports each test that ends."""

    events: Events
    reporter: Reporter

    def __call__(self, line: str) -> None:
        """Take one line."""
        test = self.events.feed(line)
        running = self.events.running
        newest_test = running[-1] if running else ""
        self.reporter.detail("tests", newest_test)
        if test:
            outcome = test.outcome.upper()
            self.reporter.say(f"  {outcome:<4} {test.name}  {test.seconds:.1f} s")


def _is_ready(pod: Manifest) -> bool:
    """Whether a pod is ready, or has ended and never will be."""
    if status_of(pod).get("phase") in _ENDED_PHASES:
        return True
    return is_true(conditions_of(pod), "Ready")
