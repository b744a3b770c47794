import os
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from devenv.base.errors import DevenvError
from devenv.session import Session
from tests.fakes.world import (
    FakeClock,
    FakeEngine,
    FakeGateway,
    FakeHost,
    FakeKind,
    FakeKube,
    FakeReporter,
    FakeWeb,
)
from tests.groups import Groups, rank
from tests.messages import DESELECTED, MessageSnapshots
from tests.paths import ROOT

# No test asserts a time: on a busy machine an example may take a second.
settings.register_profile("devenv", deadline=None)
settings.load_profile("devenv")


# Variable → the marker of the tests that run only with it.
_BY_HAND = {"DEVENV_AIBRIX_CHECKOUT": "real_aibrix", "DEVENV_EXHAUSTIVE": "exhaustive"}


class Fakes:
    """All fakes, wired to one log of what was done, in order."""

    def __init__(self, home: Path) -> None:
        self.log: list[str] = []
        self.clock = FakeClock()
        self.host = FakeHost(home, self.log)
        self.engine = FakeEngine(self.log, home)
        self.kube = FakeKube(self.log)
        self.kind = FakeKind(self.log, self.engine, self.kube)
        self.gateway = FakeGateway(self.kube)
        self.reporter = FakeReporter(self.log)
        self.web = FakeWeb(self.log)

    def session(self, cluster="c", profile=None, **others) -> Session:
        """A session on these fakes; `others` stand in for some of them."""
        ports = {
            "host": self.host,
            "clock": self.clock,
            "engine": self.engine,
            "containers": self.engine,
            "kube": self.kube,
            "reporter": self.reporter,
        }
        return Session(cluster=cluster, profile=profile, **{**ports, **others})


@pytest.fixture
def fakes(tmp_path: Path) -> Fakes:
    return Fakes(tmp_path)


@pytest.fixture
def repository() -> Path:
    """The top of this git repository. An exported tree has none, and skips."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git repository")
    return ROOT


@pytest.fixture
def check_message(request, tmp_path: Path):
    """Compare a message, an error or a text, with its section in tests/snapshots/messages."""
    rewrite = request.config.getoption("--rewrite")
    return MessageSnapshots(request.node.nodeid, tmp_path, rewrite=rewrite).check


@pytest.fixture
def expect_error(check_message):
    """Expect a DevenvError with this exit code, and compare its wording with the snapshot's."""

    @contextmanager
    def expect(exit_code: int, kind: type[DevenvError] = DevenvError):
        with pytest.raises(kind) as caught:
            yield caught
        assert caught.value.exit_code == exit_code
        check_message(caught.value)

    return expect


def pytest_addoption(parser):
    parser.addoption("--rewrite", action="store_true", help="write the snapshots of wordings anew")


def pytest_configure(config):
    if config.getoption("--rewrite") and config.getoption("numprocesses", None):
        raise pytest.UsageError("--rewrite writes files that tests share: leave out --numprocesses")


def pytest_xdist_make_scheduler(config, log):
    config.option.loadscopereorder = False
    return Groups(config, log)


def pytest_collection_modifyitems(config, items):
    """Deselect what runs only by hand: a skip would fail CI. Where groups run side by side, the longest come first."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank(item.nodeid))
    unset_markers = [mark for variable, mark in _BY_HAND.items() if not os.environ.get(variable)]
    by_hand = [item for item in items if any(map(item.get_closest_marker, unset_markers))]
    config.hook.pytest_deselected(items=by_hand)
    items[:] = [item for item in items if item not in by_hand]


def pytest_deselected(items):
    for item in items:
        item.config.stash.setdefault(DESELECTED, set()).add(item.nodeid)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """With DEVENV_REQUIRE_CLUSTER=1 a test of the cluster tier, or in a browser, that skips has failed."""
    outcome = yield
    report = outcome.get_result()
    if (
        report.skipped
        and os.environ.get("DEVENV_REQUIRE_CLUSTER") == "1"
        and {"cluster", "browser"} & set(item.keywords)
    ):
        report.outcome = "failed"
        report.longrepr = f"skipped, with DEVENV_REQUIRE_CLUSTER=1: {report.longrepr}"
