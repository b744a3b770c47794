import time

import pytest


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    """Have reports print times of UTC, as their snapshots do."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
