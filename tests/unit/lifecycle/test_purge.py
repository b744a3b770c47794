import pytest

from devenv.errors import DevenvError
from devenv.lifecycle.purge import Purge


@pytest.fixture
def purge(fakes):
    fakes.engine.add("devenv.local/kube:key")
    fakes.engine.add("devenv.local/node:key")
    fakes.engine.add("docker.io/library/mine:latest")
    built = fakes.host.cache_dir() / "built"
    built.mkdir()
    (built / "file").write_bytes(b"x" * 10_000)
    return Purge(fakes.host, fakes.clock, fakes.engine, fakes.reporter)


def test_only_what_is_devenvs_own_is_listed(purge, fakes):
    assert [i.name for i in purge.plan()] == [
        "devenv.local/kube:key",
        "devenv.local/node:key",
        str(fakes.host.cache_dir() / "built"),
    ]
    assert purge.plan()[2].size >= 10_000


def test_exactly_what_was_listed_is_removed(purge, fakes):
    plan = purge.plan()
    fakes.engine.add("devenv.local/new:key")
    assert purge.apply(plan, 0) == []
    assert set(fakes.engine.there) == {"devenv.local/new:key", "docker.io/library/mine:latest"}
    assert list(fakes.host.cache_dir().iterdir()) == []


def test_an_image_in_use_stays_and_says_why(purge, fakes, monkeypatch):
    real = fakes.engine.untag

    def untag(ref):
        if "node" in ref:
            raise DevenvError("The Docker engine refused.", "conflict: in use by a container")
        real(ref)

    monkeypatch.setattr(fakes.engine, "untag", untag)
    assert purge.apply(purge.plan(), 0) == ["devenv.local/node:key: conflict: in use by a container"]
    assert "devenv.local/node:key" in fakes.engine.there
