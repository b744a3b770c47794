"""One stream into several nodes at once."""

import json

import pytest

from devenv.base.errors import DevenvError
from devenv.images.nodes.containerd import Nodes, kept_names
from devenv.ports.processes import Completed


class Containers:
    """Nodes that take a stream; some give up early."""

    def __init__(self, gives_up=()) -> None:
        self.gives_up, self.got = gives_up, {}

    def exec(self, container, argv, stdin=None):
        if stdin is None:
            return Completed(0, LOOK)
        self.got[container] = []
        for chunk in stdin:
            if container in self.gives_up:
                return Completed(1, "ctr: unexpected EOF")
            self.got[container].append(chunk)
        return Completed(0, "")


LOOK = """time="x" level=warning
{"images": [{"id": "sha256:c", "repoTags": ["a:1", "devenv.local/superseded:1"]}]}
--- devenv ---
KEY PARENT KIND
sha256:one  Committed
sha256:two sha256:one Committed
other x Active
--- devenv ---
time="x" level=warning
sha256:blob
--- devenv ---
Avail Size IFree Inodes Used
5 10 3 4 5
"""


def test_what_a_node_has():
    inventory = Nodes(Containers()).inventory("n")
    assert inventory.id_of("a:1") == "sha256:c"
    assert inventory.id_of("b:1") == ""
    assert inventory.snapshots == {"sha256:one", "sha256:two"}
    assert inventory.blobs == {"sha256:blob"}
    assert inventory.space.free == 5
    assert kept_names(inventory.images) == {"devenv.local/superseded:1"}


@pytest.mark.parametrize("output", ["", "--- devenv ---\n" * 3, LOOK[:100]])
def test_a_node_that_does_not_say_what_it_has(output):
    containers = Containers()
    containers.exec = lambda *_: Completed(0, output)
    with pytest.raises(DevenvError):
        Nodes(containers).inventory("n")


def removed(names) -> list[str]:
    """What is run to remove the name "old" where an image has these names."""
    ran = []
    containers = Containers()

    def run(node, argv, stdin=None):
        ran.append(" ".join(argv))
        return Completed(0, json.dumps({"images": [{"id": "sha256:c", "repoTags": names}]}))

    containers.exec = run
    Nodes(containers).untag("n", "old")
    return ran[1:]


def test_an_image_s_last_name_goes_with_the_one_that_the_cri_gave_it():
    assert removed(["old"]) == ["crictl rmi sha256:c"]


def test_an_image_that_has_another_name_only_loses_this_one():
    assert removed(["old", "other"]) == ["ctr --namespace k8s.io images remove --sync old"]


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
        raise ValueError("gone")

    with pytest.raises(ValueError, match="gone"):
        Nodes(Containers()).receive(["a", "b"], stream())


def test_a_blob_goes_into_every_node_and_each_says_how_it_ended():
    containers = Containers(gives_up={"b"})
    into = Nodes(containers).ingest(["a", "b"], [])
    for n in range(100):
        into.put(bytes([n]))
    assert {node: done.code for node, done in into.end().items()} == {"a": 0, "b": 1}
    assert containers.got["a"] == [bytes([n]) for n in range(100)]


class Forgetful:
    """A node whose first answers are lost, though the program ended well."""

    def __init__(self, lost: int) -> None:
        self.lost = lost

    def exec(self, container, argv, stdin=None):
        self.lost -= 1
        answer = '{"images": [{"id": "sha256:c"}], "containers": [{"id": "1"}]}'
        return Completed(0, "" if self.lost >= 0 else answer)


def test_an_answer_that_was_lost_is_asked_for_again():
    assert Nodes(Forgetful(1)).images("n") == {"sha256:c": ()}
    assert Nodes(Forgetful(1)).running("n") == [{"id": "1"}]
    with pytest.raises(DevenvError):
        Nodes(Forgetful(2)).running("n")
