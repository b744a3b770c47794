"""One stream into several nodes at once."""

import pytest

from devenv.ports import Completed
from devenv.reload.node import Nodes


class Containers:
    """Nodes that take a stream; some give up early."""

    def __init__(self, gives_up=()) -> None:
        self.gives_up, self.got = gives_up, {}

    def exec(self, container, argv, stdin=None):
        if argv[0] == "df":
            return Completed(0, "Avail Size IFree Inodes\n5 10 3 4")
        if argv[:2] == ["crictl", "images"]:
            return Completed(0, 'time="x" level=warning\n{"images": [{"id": "sha256:c", "repoTags": ["a:1"]}]}')
        if "snapshots" in argv:
            return Completed(0, "KEY PARENT KIND\nsha256:one  Committed\nsha256:two sha256:one Committed\nother x Active\n")
        if argv[0] == "containerd":
            return Completed(0, "  snapshotter = 'overlayfs'\n")
        self.got[container] = []
        for chunk in stdin:
            if container in self.gives_up:
                return Completed(1, "ctr: unexpected EOF")
            self.got[container].append(chunk)
        return Completed(0, "")


def test_what_a_node_has():
    look = Nodes(Containers()).look("n")
    assert look.id_of("a:1") == "sha256:c"
    assert look.id_of("b:1") == ""
    assert look.snapshots == {"sha256:one", "sha256:two"}
    assert look.space.free == 5


def test_every_node_gets_all_of_one_stream():
    containers, chunks = Containers(), [bytes([n]) for n in range(200)]
    done = Nodes(containers).receive(["a", "b", "c"], iter(chunks))
    assert {n: d.code for n, d in done.items()} == {"a": 0, "b": 0, "c": 0}
    assert containers.got == {"a": chunks, "b": chunks, "c": chunks}


def test_a_node_that_gives_up_holds_up_nobody():
    containers, chunks = Containers(gives_up={"b"}), [bytes([n]) for n in range(200)]
    done = Nodes(containers).receive(["a", "b"], iter(chunks))
    assert done["b"] == Completed(1, "ctr: unexpected EOF")
    assert containers.got["a"] == chunks


def test_where_all_give_up_the_rest_is_not_read():
    read = []

    def stream():
        for n in range(100_000):
            read.append(n)
            yield b"x"

    Nodes(Containers(gives_up={"a", "b"})).receive(["a", "b"], stream())
    assert len(read) < 100_000


def test_a_stream_that_breaks_off_ends_the_nodes_too():
    def stream():
        yield b"x"
        raise ValueError("the engine went away")

    with pytest.raises(ValueError, match="went away"):
        Nodes(Containers()).receive(["a", "b"], stream())
