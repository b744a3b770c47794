"""Several images into several nodes: what is shared goes once, and what is there not at all."""

import json

import pytest

from devenv.base.errors import Exit
from devenv.images.formats.layers import chain_ids
from devenv.images.nodes.containerd import NodeImages, incoming_name
from devenv.images.nodes.transfer import stream, transfer
from devenv.ports.engine import EngineInfo, Image
from devenv.ports.host import Space
from devenv.ports.processes import Completed
from tests.unit.images.formats.test_conversion import DIFFS, both, chunks, unpack

NAMES = {"a:1": ["docker.io/library/a:1"], "b:1": ["docker.io/library/b:1", "docker.io/x/b:2"]}
IMAGES = {
    "a:1": Image("sha256:a", "amd64", 1, {}, ("a:1",), tuple(DIFFS[:2])),
    "b:1": Image("sha256:b", "amd64", 1, {}, ("b:1",), (DIFFS[0], DIFFS[2])),
}


class Engine:
    containerd_store = False

    def info(self):
        return EngineInfo(
            "20.10", "amd64", None, "unix:///x", containerd_store=self.containerd_store
        )

    def save(self, refs, platform):
        assert refs == ["a:1", "b:1"]
        return chunks(both([["a:1"], ["b:1"]]))


def node(name="n", snapshots=(), blobs=()) -> NodeImages:
    return NodeImages(
        name, {}, frozenset(chain_ids(snapshots)), frozenset(blobs), Space(1, 1, 1, 1)
    )


def layers_in(have, engine=None) -> list[bool]:
    files = unpack(b"".join(stream(engine or Engine(), IMAGES, NAMES, have)[0]))
    return [f"blobs/sha256/{d[7:]}" in files for d in DIFFS]


def test_into_empty_nodes_it_passes_through_under_the_names_of_the_nodes():
    files = unpack(b"".join(stream(Engine(), IMAGES, NAMES, [node(), node("m")])[0]))
    assert [x["RepoTags"] for x in json.loads(files["manifest.json"])] == list(NAMES.values())
    assert "index.json" not in files


@pytest.mark.parametrize(
    ("have", "expected"),
    [
        ([node(snapshots=DIFFS[:1])], [False, True, True]),
        ([node(blobs=DIFFS[:1])], [False, True, True]),
        ([node(snapshots=DIFFS[:2])], [False, False, True]),
        ([node(snapshots=DIFFS[:1]), node("m")], [True, True, True]),
        ([node(blobs=DIFFS[:1]), node("m")], [True, True, True]),
    ],
)
def test_what_every_node_has_is_not_sent(have, expected):
    if all(expected):
        files = unpack(b"".join(stream(Engine(), IMAGES, NAMES, have)[0]))
        assert "manifest.json" in files, "all of it goes"
    else:
        assert layers_in(have) == expected


def test_what_can_t_be_imported_is_told_in_containerd_s_words(expect_error):
    class Containers:
        def exec(self, container, argv, stdin=None):
            if stdin is None:
                return Completed(
                    0, '{"images": []}\n--- devenv ---\n--- devenv ---\n--- devenv ---\n1 1 1 1 0\n'
                )
            b"".join(stdin)
            return Completed(1, "no space left on device")

    with expect_error(Exit.FAILED):
        transfer(Containers(), Engine(), ["n"], IMAGES, NAMES)


def test_only_a_name_that_another_image_has_is_given_after_the_import():
    """Until then it stays with the image that has it, in every node."""
    scripts, layouts = [], []
    taken = NAMES["a:1"][0]

    class Containers:
        def exec(self, container, argv, stdin=None):
            if stdin is None:
                images = [{"id": "sha256:old", "repoTags": [taken] if container == "m" else []}]
                parts = [json.dumps({"images": images}), "", "", "1 1 1 1 0"]
                return Completed(0, "\n--- devenv ---\n".join(parts))
            layouts.append(unpack(b"".join(stdin)))
            scripts.append(argv[4:])
            return Completed(0, "")

    configs = transfer(Containers(), Engine(), ["n", "m"], IMAGES, NAMES)
    assert scripts == [[incoming_name(taken), taken]] * 2
    named = [x["RepoTags"] for x in json.loads(layouts[0]["manifest.json"])]
    assert named == [[incoming_name(taken)], NAMES["b:1"]]
    assert incoming_name(taken) not in configs
