import os
from pathlib import Path

import pytest
from hypothesis import settings

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

# No test asserts a time: on a busy machine an example may take a second.
settings.register_profile("devenv", deadline=None)
settings.load_profile("devenv")


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


@pytest.fixture
def fakes(tmp_path: Path) -> Fakes:
    return Fakes(tmp_path)


def pytest_xdist_make_scheduler(config, log):
    config.option.loadscopereorder = False
    return Groups(config, log)


def pytest_collection_modifyitems(config, items):
    """Deselect what runs only by hand: a skip would fail CI. Where groups run side by side, the longest come first."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank(item.nodeid))
    if os.environ.get("DEVENV_AIBRIX_CHECKOUT"):
        return
    by_hand = [item for item in items if item.get_closest_marker("real_aibrix")]
    config.hook.pytest_deselected(items=by_hand)
    items[:] = [item for item in items if item not in by_hand]


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
