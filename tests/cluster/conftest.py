import os
import subprocess
import sys

import pytest

from tests.cluster import engines
from tests.cluster.lab import REQUIRED, Lab, why_not
from tests.groups import shares_cluster

# The worker's cluster, while it is there.
_CLUSTER = pytest.StashKey[Lab]()


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/cluster" in str(item.path):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def at_hand() -> None:
    """Skip where the tier can't run, and say why."""
    if reason := why_not():
        pytest.skip(reason)


def worker_suffix() -> str:
    """Return "-gw1" and so on where workers run side by side, so that each has a cluster of its own."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    return f"-{worker}" if worker else ""


def worker_number() -> int:
    """Return 0, 1 and so on where workers run side by side; each has its own engines."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


@pytest.fixture(scope="session")
def cluster(request, at_hand, tmp_path_factory):
    """A cluster on the machine's own engine that a worker's tests share: a test that breaks it mends it."""
    lab = Lab(tmp_path_factory.mktemp("shared"), f"devenv-test{worker_suffix()}")
    lab.clear()
    lab.first = lab.up()
    request.config.stash[_CLUSTER] = lab
    yield lab
    remove_cluster(request.config)


def remove_cluster(config) -> None:
    """Remove the worker's cluster; does nothing where it is gone."""
    if lab := config.stash.get(_CLUSTER, None):
        del config.stash[_CLUSTER]
        lab.devenv("down")
        lab.forget_images()


def pytest_runtest_setup(item):
    """A cluster that no test needs any more would take a fifth of a core from the others."""
    if hasattr(item.config, "workerinput") and not shares_cluster(item.nodeid):
        assert "cluster" not in item.fixturenames, "tests/groups.py says that it does not use it"
        remove_cluster(item.config)


@pytest.fixture(scope="session")
def built_refs(at_hand) -> list[str]:
    """Names in the engine of all images that a cluster needs."""
    script = (
        "from devenv import wiring\n"
        "with wiring.world() as w:\n"
        "    from devenv.images.sources.provider import Provider\n"
        "    p = Provider(w.engine, w.builder, w.reporter)\n"
        "    print('\\n'.join(s.ref for s in p.provide(w.choice('none', 'offline').profile.images).values()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    refs = done.stdout.split()
    assert len(refs) == len(REQUIRED)
    return refs


@pytest.fixture(scope="session")
def small_disk(built_refs, tmp_path_factory):
    """An engine with a disk of 7 GB, with all images in it."""
    if reason := engines.why_not("mkfs.ext4", "truncate", "mount"):
        pytest.skip(reason)
    number = worker_number()
    folder = tmp_path_factory.mktemp("small")
    # Each worker has a folder in the run's own.
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    run_folder = tmp_path_factory.getbasetemp().parent if is_worker else folder
    engine = engines.SmallDisk(
        f"small{number}", folder, 240 + number, template=run_folder / "small-disk.img"
    )
    with engine.running(built_refs):
        yield engine
