"""What devenv's own builds have superseded goes from the engine; of each image two stay, and nothing of the user's goes."""

import pytest

from devenv.base.errors import DevenvError
from devenv.ports.engine import Image
from devenv.state.own_builds import OwnBuilds
from devenv.state.record import Record, Records, parse, spell
from tests.unit.state.test_proven import NAME, Cluster

TAG = "a:1"


class Engine:
    """Images by ID; each build gives the tag to its image."""

    def __init__(self) -> None:
        self.tags: dict[str, tuple[str, ...]] = {}
        self.digests: dict[str, tuple[str, ...]] = {}
        self.held: set[str] = set()  # by containers

    def build(self, image_id: str) -> None:
        self.tags = {i: tuple(t for t in tags if t != TAG) for i, tags in self.tags.items()} | {
            image_id: (TAG,)
        }

    def image(self, ref):
        ref = next((i for i, tags in self.tags.items() if ref in tags), ref)
        if ref not in self.tags:
            return None
        return Image(ref, "amd64", 1, {}, self.tags[ref], (), 0.0, self.digests.get(ref, ()))

    def untag(self, ref):
        if ref in self.held:
            raise DevenvError("The Docker engine refused.", "a container has it")
        del self.tags[ref]


@pytest.fixture
def cluster(fakes):
    return Cluster(fakes)


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def own_builds(cluster, engine):
    return OwnBuilds("c", cluster.records, engine)


def build(own_builds: OwnBuilds, image_id: str) -> None:
    own_builds.engine.build(image_id)
    own_builds.note({NAME: [image_id]})


def test_two_stay_however_often_one_builds_and_reloads(own_builds, cluster, engine):
    engine.build("sha256:first")
    for image_id in ("sha256:1", "sha256:2", "sha256:3", "sha256:4"):
        build(own_builds, image_id)
        cluster.reload(image_id.removeprefix("sha256:"))
        own_builds.forget_superseded()
    assert set(engine.tags) == {"sha256:first", "sha256:3", "sha256:4"}, (
        "the first one is the user's"
    )
    assert cluster.record.built_images == {NAME: ("sha256:3", "sha256:4")}


def test_builds_that_fail_leave_the_one_to_return_to_and_the_last_one(own_builds, cluster, engine):
    build(own_builds, "sha256:good")
    cluster.reload("good")
    for image_id in ("sha256:bad1", "sha256:bad2", "sha256:bad3"):
        build(own_builds, image_id)
        cluster.load(image_id.removeprefix("sha256:"))
        own_builds.forget_superseded()
    assert set(engine.tags) == {"sha256:good", "sha256:bad3"}


@pytest.mark.parametrize(
    ("digests", "stays"),
    [
        ((), False),
        (("127.0.0.1:4000/devenv/reload@sha256:1",), False),
        (("registry.example/a@sha256:1",), True),
    ],
)
def test_what_a_registry_has_has_a_name_yet(own_builds, cluster, engine, digests, stays):
    for image_id in ("sha256:1", "sha256:2", "sha256:3"):
        build(own_builds, image_id)
        cluster.reload(image_id.removeprefix("sha256:"))
    engine.digests["sha256:1"] = digests
    own_builds.forget_superseded()
    assert ("sha256:1" in engine.tags) is stays


def test_what_a_container_has_goes_the_next_time(own_builds, cluster, engine):
    for image_id in ("sha256:1", "sha256:2", "sha256:3"):
        build(own_builds, image_id)
        cluster.reload(image_id.removeprefix("sha256:"))
    engine.held = {"sha256:1"}
    own_builds.forget_superseded()
    assert "sha256:1" in engine.tags
    engine.held = set()
    own_builds.forget_superseded()
    assert "sha256:1" not in engine.tags


def test_what_another_cluster_returns_to_stays(own_builds, cluster, engine):
    for image_id in ("sha256:1", "sha256:2", "sha256:3"):
        build(own_builds, image_id)
        cluster.reload(image_id.removeprefix("sha256:"))
    other = parse(spell(cluster.record).replace("sha256:2", "sha256:1"))
    cluster.records.write(Record(**{**vars(other), "cluster": "d", "built_images": {}}))
    own_builds.forget_superseded()
    assert "sha256:1" in engine.tags


def test_without_a_record_nothing_is_noted_nor_removed(fakes, engine):
    own_builds = OwnBuilds("none", Records(fakes.host), engine)
    build(own_builds, "sha256:1")
    own_builds.forget_superseded()
    assert set(engine.tags) == {"sha256:1"}


def test_a_record_of_before_has_none(cluster):
    text = spell(cluster.record).replace('"built_images"', '"of_a_newer_devenv"')
    assert parse(text).built_images == {}
