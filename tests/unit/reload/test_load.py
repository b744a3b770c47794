"""Moves into nodes that fail, lose layers, or are slow to tell their CRI."""

import json

import pytest

from devenv.base.errors import DevenvError, Exit
from devenv.images.formats.image_file import StoredImage
from devenv.images.nodes.containerd import NodeImages, kept_name
from devenv.ports.containers import Node
from devenv.ports.engine import Image
from devenv.ports.host import Space
from devenv.ports.processes import Completed
from devenv.reload.load import Loader
from devenv.reload.moves import Move, Source, Way, plan_move
from devenv.reload.push import Pusher
from devenv.state.record import Record, Records

NAME, NEW, OLD = "docker.io/library/a:1", "sha256:new", "sha256:old"
LAYERS = ("sha256:below", "sha256:above")
LOST = Completed(1, "ctr: content digest sha256:below: not found")


class Stored(StoredImage):
    """A file's image; what was asked of it."""

    def __init__(self, asked: list) -> None:
        object.__setattr__(self, "asked", asked)

    def layout(self, name, wanted):
        self.asked.append(set(wanted))
        yield b"layout"


class Containers:
    """A node whose imports end as told, one after the other; its CRI knows the new image after so many looks."""

    def __init__(self, imports=(), looks=0) -> None:
        self.imports, self.looks, self.ran = list(imports), looks, []

    def nodes(self, cluster):
        return [Node("n", "id-n", "running", cluster)]

    def exec(self, container, argv, stdin=None):
        self.ran.append(" ".join(argv).split(" --namespace k8s.io ")[-1])
        if stdin is not None:
            b"".join(stdin)
            return (
                self.imports.pop(0)
                if self.imports
                else Completed(0, f"unpacking\n--- devenv ---\n{self._images()}")
            )
        return Completed(0, self._images() if argv[0] == "crictl" else "")

    def _images(self) -> str:
        self.looks -= 1
        return json.dumps({"images": [{"id": NEW, "repoTags": [NAME] if self.looks < 0 else []}]})


def move(asked) -> Move:
    image = Image(NEW, "amd64", 20, {}, (), LAYERS)
    have = NodeImages(
        "n", {OLD: (NAME,)}, frozenset({"sha256:below"}), frozenset(), Space(1 << 40, 1 << 40, 1, 1)
    )
    planned = plan_move(
        Source("a.tar", image, (10, 10), Stored(asked)), NAME, [have], set(), lambda *_: False
    )
    assert (planned.way, planned.layers) == (Way.FILE, {"sha256:above"})
    return planned


@pytest.fixture
def loader(fakes):
    Records(fakes.host).write(Record("c", "offline"))

    def make(containers) -> Loader:
        pusher = Pusher(fakes.engine, None, fakes.host)
        return Loader(fakes.session("c", containers=containers), pusher)

    return make


def test_only_what_is_missing_goes_and_the_old_image_keeps_a_name(fakes, loader):
    asked, containers = [], Containers()
    moved = loader(containers).run(move(asked))
    assert asked == [{"sha256:above"}]
    assert (moved.digest, moved.sent) == (NEW, 10)
    assert containers.ran[0] == f"images tag {NAME} {kept_name(OLD)}"
    assert Records(fakes.host).read("c").loaded == {"id-n": {NAME: NEW}}


def test_where_a_node_has_lost_a_layer_meanwhile_all_is_sent_and_nobody_hears_of_it(fakes, loader):
    asked = []
    moved = loader(Containers(imports=[LOST])).run(move(asked))
    assert asked == [{"sha256:above"}, set(LAYERS)]
    assert moved.sent == 20
    assert fakes.reporter.said == []


def test_what_can_t_be_loaded_is_told_in_the_node_s_words(loader, expect_error):
    with expect_error(Exit.FAILED):
        loader(Containers(imports=[Completed(1, "no space left on device")])).run(move([]))


def test_layers_that_are_lost_again_and_again_end_in_an_error(loader, expect_error):
    asked = []
    with expect_error(Exit.FAILED):
        loader(Containers(imports=[LOST] * 9)).run(move(asked))
    assert len(asked) == 4


def test_it_waits_until_the_cri_knows_the_image(loader):
    containers = Containers(looks=3)
    loader(containers).run(move([]))
    assert containers.ran[-3:] == ["crictl images -o json"] * 3


def test_a_push_that_fails_goes_by_archive(fakes, loader, monkeypatch, check_message):
    def fails(self, *_):
        raise DevenvError("The engine could not push.")

    monkeypatch.setattr(Pusher, "push", fails)
    planned = move(asked := [])
    pushed = Move(planned.source, NAME, Way.PUSH, planned.missing_layers, planned.old_digests)
    loader(Containers()).run(pushed)
    assert asked == [{"sha256:above"}]
    (notice,) = fakes.reporter.said
    check_message(notice)
