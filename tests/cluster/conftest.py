import subprocess
import sys

import pytest

from tests.cluster import engines
from tests.cluster.lab import REQUIRED, Lab, why_not


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/cluster" in str(item.path):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def at_hand() -> None:
    """Skip where the tier can't run, and say why."""
    if reason := why_not():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def cluster(at_hand, tmp_path_factory):
    """A cluster on the machine's own engine that the tests share: whoever breaks it mends it."""
    lab = Lab(tmp_path_factory.mktemp("shared"), "devenv-test")
    lab.clear()
    lab.first = lab.up()
    yield lab
    lab.devenv("down")
    lab.forget_images()


@pytest.fixture(scope="session")
def built_refs(at_hand) -> list[str]:
    """Names in the engine of all images that a cluster needs."""
    script = (
        "from devenv import wiring\n"
        "with wiring.world() as w:\n"
        "    from devenv.images.sources import Provider\n"
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
    with engines.SmallDisk("small", tmp_path_factory.mktemp("small"), 240).running(
        built_refs
    ) as engine:
        yield engine
