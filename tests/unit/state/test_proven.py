"""Which image is the one to return to, through good reloads, failed ones, returns, and runs that were killed."""

import json

import pytest

from devenv.base.errors import DevenvError
from devenv.images.nodes.containerd import kept_name
from devenv.ports.containers import Node
from devenv.ports.processes import Completed
from devenv.state.proven import (
    ProvenImages,
    proven_images,
    returnable_images,
    target,
    unproven_names,
)
from devenv.state.record import Record, Records, parse, spell

NAME = "docker.io/library/a:1"
NODE = Node("n", "id-n", "running", "c")


class Containers:
    """One node that has images under names."""

    def __init__(self) -> None:
        self.digests = {NAME: "sha256:first"}
        self.fails_at = ""
        self.running: set[str] = set()

    def nodes(self, cluster):
        return [NODE]

    def exec(self, container, argv, stdin=None):
        words = " ".join(argv)
        if self.fails_at and self.fails_at in words:
            raise KeyboardInterrupt
        if argv[:2] == ["crictl", "images"]:
            by_digest = {}
            for name, digest in self.digests.items():
                by_digest.setdefault(digest, []).append(name)
            return Completed(
                0, json.dumps({"images": [{"id": d, "repoTags": n} for d, n in by_digest.items()]})
            )
        if argv[:2] == ["crictl", "ps"]:
            running = [
                {"imageRef": digest, "labels": {"io.kubernetes.pod.uid": digest}}
                for digest in self.running
            ]
            return Completed(0, json.dumps({"containers": running}))
        if argv[:2] == ["crictl", "rmi"]:
            self.digests = {n: d for n, d in self.digests.items() if d != argv[2]}
        if "tag" in argv:
            self.digests[argv[-1]] = self.digests[argv[-2]]
        if "remove" in argv:
            self.digests.pop(argv[-1], None)
        return Completed(0, "")


class Cluster:
    """What a reload does to a node and to the record, in its order."""

    def __init__(self, fakes) -> None:
        self.records, self.containers = Records(fakes.host), Containers()
        self.records.write(Record("c", "offline", nodes=(NODE.id,)))
        self.proven = ProvenImages("c", self.records, self.containers, fakes.clock, fakes.reporter)
        self.records.note_image("c", NODE.id, NAME, "sha256:first", "sha256:first")
        self.proven.prove([NODE], [NAME])

    def load(self, image: str) -> None:
        now = self.containers.digests
        now[kept_name(now[NAME])] = now[NAME]
        now[NAME] = f"sha256:{image}"
        self.records.note_image("c", NODE.id, NAME, f"sha256:{image}", f"sha256:{image}")

    def reload(self, image: str) -> None:
        self.load(image)
        self.proven.prove([NODE], [NAME])
        self.proven.forget_superseded([NODE.name])

    def undo(self, engine: str = "") -> str:
        returns = self.proven.returns([NODE], [NAME])
        self.proven.begin(returns, {NAME: f"sha256:{engine}"} if engine else {})
        self.proven.prove([NODE], [NAME])
        self.proven.forget_superseded([NODE.name])
        return returns[0].image.digest.removeprefix("sha256:")

    @property
    def kept(self) -> set[str]:
        return {d.removeprefix("sha256:") for n, d in self.containers.digests.items() if n != NAME}

    @property
    def image(self) -> str:
        return self.containers.digests[NAME].removeprefix("sha256:")

    @property
    def record(self) -> Record:
        return self.records.read("c")


@pytest.fixture
def cluster(fakes):
    return Cluster(fakes)


def test_after_one_image_there_is_none_to_return_to(cluster):
    with pytest.raises(DevenvError):
        cluster.proven.returns([NODE], [NAME])


def test_a_good_image_is_left_for_the_one_before(cluster):
    cluster.reload("second")
    assert cluster.kept == {"first"}
    assert cluster.undo() == "first"
    assert (cluster.image, cluster.kept) == ("first", {"second"}), "and back again"
    assert cluster.undo() == "second"


def test_failed_images_are_never_returned_to(cluster):
    cluster.reload("second")
    for image in ("bad", "worse"):
        cluster.load(image)
        assert unproven_names(cluster.record) == [NAME]
    assert cluster.undo() == "second"
    assert cluster.image == "second"
    assert cluster.kept == {"first"}, "of the failed ones nothing is kept"
    assert unproven_names(cluster.record) == []


def test_only_one_image_is_kept_however_many_reloads_there_were(cluster):
    for number in range(4):
        cluster.reload(f"good-{number}")
    assert cluster.kept == {"good-2"}


def test_the_same_image_again_leaves_the_one_to_return_to(cluster):
    cluster.reload("second")
    cluster.reload("second")
    assert cluster.undo() == "first"


@pytest.mark.parametrize("killed_at", ["tag", "nothing"])
def test_a_return_that_was_killed_is_finished(cluster, killed_at):
    cluster.load("bad")
    cluster.containers.fails_at = "tag --force" if killed_at == "tag" else ""
    returns = cluster.proven.returns([NODE], [NAME])
    if killed_at == "tag":
        with pytest.raises(KeyboardInterrupt):
            cluster.proven.begin(returns, {})
    else:
        cluster.proven.begin(returns, {})
    cluster.containers.fails_at = ""
    assert cluster.record.returning == (NAME,)
    assert cluster.proven.returns([NODE], [NAME]) == returns, (
        "another undo goes on with the same one"
    )
    assert cluster.proven.finish() == (NAME,)
    assert cluster.image == "first"
    cluster.proven.prove([NODE], [NAME])
    assert cluster.record.returning == ()


def test_what_was_undone_is_noted_until_it_is_asked_for_again(cluster):
    cluster.load("bad")
    cluster.undo(engine="bad")
    assert cluster.record.undone == {NAME: "sha256:bad"}
    cluster.proven.forget_undone([NAME])
    assert cluster.record.undone == {}


def test_an_image_that_was_pruned_is_told(cluster):
    cluster.reload("second")
    del cluster.containers.digests[kept_name("sha256:first")]
    with pytest.raises(DevenvError) as error:
        cluster.proven.returns([NODE], [NAME])
    assert "prune --history" in error.value.why


def test_a_load_that_was_killed_leaves_the_proven_image_to_return_to(cluster):
    cluster.records.note_image("c", NODE.id, NAME, "")
    assert target(cluster.record, NODE.id, NAME).digest == "sha256:first"


def test_the_record_is_the_same_after_it_was_written(cluster):
    cluster.reload("second")
    cluster.load("bad")
    cluster.proven.begin(cluster.proven.returns([NODE], [NAME]), {NAME: "sha256:bad"})
    assert parse(spell(cluster.record)) == cluster.record


def test_in_a_cluster_of_an_older_devenv_what_up_proved_is_to_return_to(cluster):
    cluster.records.write(Record("c", "offline", nodes=(NODE.id,), digest="proven"))
    cluster.proven.assume(NODE, NAME, "sha256:first")
    cluster.load("bad")
    assert cluster.undo() == "first"


def test_what_never_was_proven_is_not_taken_for_it(cluster):
    cluster.records.write(Record("c", "offline", nodes=(NODE.id,)))
    cluster.proven.assume(NODE, NAME, "sha256:first")
    cluster.load("bad")
    with pytest.raises(DevenvError):
        cluster.undo()


def test_an_image_that_a_container_has_yet_keeps_its_name_until_the_next_time(cluster):
    cluster.reload("second")
    cluster.containers.running = {"sha256:first"}
    cluster.reload("third")
    assert cluster.kept == {"first", "second"}
    cluster.containers.running = set()
    cluster.proven.forget_superseded([NODE.name])
    assert cluster.kept == {"second"}


def test_an_image_that_is_used_again_loses_only_the_name_for_superseded_ones(cluster, fakes):
    cluster.reload("second")
    cluster.containers.running = {"sha256:first"}
    began = fakes.clock.time
    cluster.reload("first")
    assert (cluster.image, cluster.kept) == ("first", {"second"})
    assert fakes.clock.time == began, "nothing was waited for"


def test_the_image_to_return_to_is_named_by_the_engines_id_too(cluster):
    cluster.reload("second")
    assert returnable_images([cluster.record]) == {"sha256:first"}
    cluster.load("bad")
    assert returnable_images([cluster.record]) == {"sha256:second"}
    assert proven_images([cluster.record]) == {"sha256:first", "sha256:second"}
