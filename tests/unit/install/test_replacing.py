"""A load into several nodes takes effect in all of them or in none, whether it fails, is interrupted, or is killed."""

import json
import subprocess

import pytest

from devenv.base.errors import DevenvError, Exit, NotReachableError
from devenv.images.formats.image_file import StoredImage
from devenv.images.nodes.containerd import INCOMING, KEPT, kept_name
from devenv.ports.containers import Node
from devenv.ports.engine import Image
from devenv.ports.processes import Completed
from devenv.reload.load import Loader
from devenv.reload.moves import Move, Source, Way
from devenv.reload.push import Pusher
from devenv.state.record import Record, Records, parse, spell

NAME, OTHER = "docker.io/library/a:1", "docker.io/library/b:1"
OLD, NEW = "sha256:old", "sha256:new"
NODES = [Node("n", "id-n", "running", "c"), Node("m", "id-m", "running", "c")]
CRASHED = Completed(1, "ctr: failed to extract layer: not a directory")


class Killed(BaseException):
    """SIGKILL: nothing runs after it."""


class Containers:
    """Nodes with images under names. Where `breaks` returns something for a node and its words, that happens instead."""

    def __init__(self, names=(NAME,)) -> None:
        self.names = {node.name: dict.fromkeys(names, OLD) for node in NODES}
        self.breaks = lambda node, words: None

    def nodes(self, cluster):
        return NODES

    def exec(self, container, argv, stdin=None):
        words, names = " ".join(argv), self.names[container]
        if stdin is not None:
            b"".join(stdin)
            return self._receive(container, argv)
        if broken := self.breaks(container, words):
            return broken
        if "images tag" in words:
            if argv[-2] not in names:
                return Completed(1, "not found")
            names[argv[-1]] = names[argv[-2]]
        if "images remove" in words:
            names.pop(argv[-1], None)
        if argv[:2] == ["crictl", "rmi"]:
            self.names[container] = {
                name: digest for name, digest in names.items() if digest != argv[2]
            }
        return Completed(0, self._listed(names))

    def _receive(self, container, argv):
        names, pairs = self.names[container], list(zip(argv[4::2], argv[5::2], strict=True))
        names |= {incoming: NEW for incoming, _ in pairs}
        if broken := self.breaks(container, " ".join(argv)):
            return broken
        for incoming, name in pairs:
            names[name] = names.pop(incoming)
        return Completed(0, f"--- devenv ---\n{self._listed(names)}")

    @staticmethod
    def _listed(names) -> str:
        by_digest = {}
        for name, digest in names.items():
            by_digest.setdefault(digest, []).append(name)
        return json.dumps({"images": [{"id": d, "repoTags": n} for d, n in by_digest.items()]})

    @property
    def own(self) -> list[str]:
        every = [name for names in self.names.values() for name in names]
        return [name for name in every if name.startswith((KEPT, INCOMING))]


class Stored(StoredImage):
    def __init__(self) -> None: ...

    def layout(self, name, wanted):
        yield b"layout"


@pytest.fixture
def loader(fakes):
    Records(fakes.host).write(Record("c", "offline", nodes=("id-n", "id-m")))
    for node in NODES:
        Records(fakes.host).note_image("c", node.id, NAME, "sha256:engine", OLD)

    def make(containers) -> Loader:
        pusher = Pusher(fakes.engine, None, fakes.host)
        return Loader(fakes.session("c", containers=containers), pusher)

    return make


def move(name=NAME, old=OLD) -> Move:
    image = Image(NEW, "amd64", 20, {}, (), ("sha256:layer",))
    lacks = {node.name: frozenset({"sha256:layer"}) for node in NODES}
    had = {node.name: old for node in NODES} if old else {}
    return Move(Source("a.tar", image, (20,), Stored()), name, Way.FILE, lacks, had)


def in_second_node(what, step):
    return lambda node, words: what if node == "m" and step in words else None


def load(loader, moves) -> None:
    with loader.replacing.all_or_nothing():
        for one in moves:
            loader.run(one)


def test_a_load_that_one_node_refuses_leaves_the_old_image_in_all(fakes, loader, expect_error):
    containers = Containers()
    containers.breaks = in_second_node(CRASHED, "import")
    before = Records(fakes.host).read("c")
    with expect_error(Exit.FAILED):
        load(loader(containers), [move()])
    assert [names[NAME] for names in containers.names.values()] == [OLD, OLD]
    assert containers.own == []
    assert Records(fakes.host).read("c").loaded == before.loaded
    assert Records(fakes.host).read("c").there == before.there
    assert not Records(fakes.host).read("c").loading


def test_what_was_proven_before_stays_to_return_to(fakes, loader):
    containers = Containers()
    replacing = loader(containers).replacing
    replacing.proven.prove(NODES, [NAME])
    Records(fakes.host).note_image("c", "id-n", NAME, "", "sha256:unproven")
    containers.names["n"] |= {NAME: "sha256:unproven", kept_name(OLD): OLD}
    containers.breaks = lambda node, words: CRASHED if "import" in words else None
    with pytest.raises(DevenvError):
        load(loader(containers), [move()])
    assert containers.own == [kept_name(OLD)]


def test_a_name_that_a_node_did_not_have_is_gone_again(loader):
    containers = Containers(names=())
    containers.breaks = in_second_node(CRASHED, "import")
    with pytest.raises(DevenvError):
        load(loader(containers), [move(old="")])
    assert containers.names == {"n": {}, "m": {}}


def test_where_the_second_of_two_images_fails_the_first_is_undone_too(loader):
    containers = Containers(names=(NAME, OTHER))
    loads = []

    def second_fails(node, words):
        loads.extend(["load"] if "import" in words else [])
        return CRASHED if "import" in words and len(loads) > len(NODES) else None

    containers.breaks = second_fails
    with pytest.raises(DevenvError):
        load(loader(containers), [move(), move(OTHER)])
    assert {digest for names in containers.names.values() for digest in names.values()} == {OLD}
    assert containers.own == []


def killed(loader, containers, step) -> None:
    """Have a load end at a step of the second node, with nothing that runs after it."""

    def kill(node, words):
        if node == "m" and step in words:
            raise Killed

    containers.breaks = kill
    with pytest.raises(Killed):
        loader(containers).run(move())
    containers.breaks = lambda node, words: None


def test_an_engine_that_goes_away_leaves_the_first_error_and_a_note_for_the_next_run(
    loader, expect_error
):
    containers = Containers()

    def goes_away(node, words):
        if "import" in words:
            containers.nodes = gone
            return CRASHED
        return None

    def gone(cluster):
        raise NotReachableError("No engine answers.")

    containers.breaks = goes_away
    with expect_error(Exit.FAILED):
        load(made := loader(containers), [move()])
    assert made.replacing.is_open()
    del containers.nodes
    containers.breaks = lambda node, words: None
    assert made.replacing.undo() == []
    assert [names[NAME] for names in containers.names.values()] == [OLD, OLD]


@pytest.mark.parametrize("step", ["images tag", "import", "crictl images"])
def test_a_load_that_was_killed_is_undone_by_the_next_run(fakes, loader, step):
    containers = Containers()
    if step == "crictl images":  # both nodes have the new image by then
        containers._listed = lambda names: '{"images": []}'
    killed(loader, containers, step)
    if step == "crictl images":
        del containers._listed
    assert all(names[NAME] in {OLD, NEW} for names in containers.names.values()), (
        "one or the other, whole"
    )
    replacing = loader(containers).replacing
    assert replacing.is_open()
    assert replacing.undo() == []
    assert [names[NAME] for names in containers.names.values()] == [OLD, OLD]
    assert containers.own == []
    assert not replacing.is_open()
    assert Records(fakes.host).read("c").loaded["id-m"][NAME] == "sha256:engine"


def test_a_node_that_can_t_give_back_now_does_so_the_next_time(loader):
    containers = Containers()
    killed(loader, containers, "import")
    containers.breaks = lambda node, words: (
        Completed(1, "no such container") if node == "m" else None
    )
    replacing = loader(containers).replacing
    assert len(replacing.undo()) == 1
    assert containers.names["n"] == {NAME: OLD}
    assert replacing.is_open()
    containers.breaks = lambda node, words: None
    assert replacing.undo() == []
    assert containers.names["m"] == {NAME: OLD}


def test_the_record_keeps_it_and_reads_one_of_before(fakes, loader):
    containers = Containers()
    killed(loader, containers, "import")
    record = Records(fakes.host).read("c")
    assert record.loading["id-m"][NAME].digest == OLD
    assert parse(spell(record)) == record
    content = json.loads(spell(record))
    del content["loading"]
    assert parse(json.dumps(content)).loading == {}


def test_a_load_that_ends_has_nothing_to_undo(loader):
    containers = Containers()
    load(made := loader(containers), [move()])
    made.replacing.end([NAME])
    assert made.replacing.undo() == []
    assert [names[NAME] for names in containers.names.values()] == [NEW, NEW]
    assert containers.own == [kept_name(OLD)] * 2


def test_names_are_arguments_of_the_script_in_the_node_and_no_part_of_it(loader):
    ran = []
    containers = Containers()
    containers.breaks = lambda node, words: ran.append(words) if "import" in words else None
    load(loader(containers), [move()])
    script, _, arguments = ran[0].rpartition("|| true\n")
    assert NAME not in script
    assert NAME in arguments
    assert subprocess.run(["sh", "-n", "-c", script], check=False).returncode == 0
