"""What a node's answer means: sizes, who has what, what is kept twice."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devenv.base.errors import DevenvError
from devenv.disk.keep import KeepRules
from devenv.disk.node import NodeImage, NodeInventory, NodeStock, NodeThings
from devenv.disk.plan import Worth, plan
from devenv.images.formats.layers import chain_ids
from devenv.ports.host import Space
from devenv.ports.processes import Completed

NOW = 10**9
OLD = NOW - 10**6
KEEP = KeepRules(
    frozenset({"docker.io/library/named:1"}), frozenset({"docker.io/library/wanted:1"})
)
DIFFS = ["sha256:base", "sha256:top"]
BASE, TOP = chain_ids(DIFFS)
MARK = "\n--- devenv ---\n"


def answer(
    images, containers=(), snapshots=((BASE, 100), (TOP, 10)), blobs=(), documents=()
) -> Completed:
    listed = [{"id": i, "repoTags": names, "pinned": pinned} for i, names, pinned in images]
    parts = [
        "1 100 1 100 99", "1795", "4096\t/var/log", "131072", json.dumps({"images": listed}),
        json.dumps({"containers": list(containers)}),
        "KEY SIZE INODES\n" + "\n".join(f"{chain} {size} 3" for chain, size in snapshots),
        "\n".join(f"{name} {size} {at}" for name, size, at in blobs),
        *(f"{name}\n{json.dumps(content)}" for name, content in documents),
    ]  # fmt: skip
    return Completed(0, MARK.join([*parts, ""]))


class Containers:
    def __init__(self, done: Completed) -> None:
        self.done, self.argv = done, []

    def exec(self, container, argv, stdin=None):
        self.argv.append(argv)
        return self.done


def things(*arguments):
    return NodeThings(*arguments).list_all()


def look(*args, **more):
    return NodeStock(Containers(answer(*args, **more))).look("n")


def manifest(config, *layers):
    return {
        "config": {"digest": f"sha256:{config}"},
        "layers": [{"digest": f"sha256:{layer}"} for layer in layers],
    }


def whole(config, at=OLD):
    """An image whose lower layer is kept twice."""
    blobs = [(config, 2, at), (f"m-{config}", 1, at), ("packed-base", 40, at)]
    documents = [
        (config, {"rootfs": {"diff_ids": DIFFS}}), (f"m-{config}", manifest(config, "packed-base", "packed-top")),
    ]  # fmt: skip
    return {"blobs": blobs, "documents": documents}


def test_sizes_and_what_is_kept_twice():
    kept = look([("sha256:c", ["a:1"], False)], **whole("c"))
    assert (kept.device, kept.logs, kept.ballast, kept.content, kept.snapshots) == (
        "1795",
        4096,
        64 << 20,
        43,
        110,
    )
    (image,) = kept.images
    assert image.layers == {BASE: 100, TOP: 10}
    assert image.blobs == {"sha256:c": 2, "sha256:m-c": 1, "sha256:packed-base": 40}
    assert image.unpacked == {"sha256:packed-base"}
    one, blobs = things(kept, KEEP, {}, NOW)
    assert (one.kept, one.size, one.id) == ("", 113, "sha256:c")
    assert (blobs.worth, blobs.size, blobs.names) == (Worth.BLOB, 40, ("sha256:packed-base",))


def test_a_packed_layer_without_its_snapshot_is_needed():
    kept = look([("sha256:c", ["a:1"], False)], snapshots=(), **whole("c"))
    assert kept.images[0].unpacked == set()
    assert [t.worth for t in things(kept, KEEP, {}, NOW)] == [Worth.IMAGE]


@pytest.mark.parametrize(
    ("names", "pinned", "why"),
    [
        (["docker.io/library/a:1"], True, "pinned"),
        (["registry.k8s.io/etcd:1"], False, "Kubernetes"),
        (["docker.io/library/named:1"], False, "workload"),
        (["docker.io/library/wanted:1"], False, "profile"),
        (["docker.io/library/free:1"], False, None),
        ([], False, None),
    ],
)
def test_what_must_stay_and_why(names, pinned, why):
    kept = look([("sha256:c", names, pinned)], **whole("c"))
    reason = things(kept, KEEP, {}, NOW)[0].kept
    assert reason == "" if why is None else why in reason


def test_a_container_in_any_state_keeps_its_image():
    for key in ("imageRef", "imageId"):
        kept = look(
            [("sha256:c", ["a:1"], False)],
            [{key: "sha256:c", "createdAt": str(OLD * 10**9)}],
            **whole("c"),
        )
        assert things(kept, KEEP, {}, NOW)[0].kept.startswith("a container ")


def test_what_came_lately_stays_and_where_the_api_server_is_silent_all_stay():
    kept = look([("sha256:c", ["a:1"], False)], **whole("c", at=NOW - 60))
    assert "last 24 hours" in things(kept, KEEP, {}, NOW)[0].kept
    silent = KeepRules(None, frozenset())
    assert (
        "API server"
        in things(look([("sha256:c", ["a:1"], False)], **whole("c")), silent, {}, NOW)[0].kept
    )


@pytest.mark.parametrize("names", [[], ["devenv.local/superseded:1"], ["devenv.local/incoming:1"]])
def test_a_superseded_image_goes_first_however_new_it_is_and_whoever_is_silent(names):
    kept = look([("sha256:c", names, False)], **whole("c", at=NOW - 60))
    (thing, *_) = things(kept, KeepRules(None, frozenset()), {}, NOW, {}, {"sha256:c": "a:1"})
    assert (thing.worth, thing.kept, thing.former_name) == (Worth.DANGLING, "", "a:1")


def test_a_superseded_image_that_a_container_has_stays():
    kept = look(
        [("sha256:c", ["devenv.local/superseded:1"], False)],
        [{"imageRef": "sha256:c", "createdAt": "1"}],
        **whole("c"),
    )
    assert things(kept, KEEP, {}, NOW)[0].kept.startswith("a container ")


@pytest.mark.parametrize(("came", "stays"), [(OLD, False), (NOW - 60, True)])
def test_an_image_to_return_to_is_called_what_it_is_for_and_is_no_waste(came, stays):
    kept = look([("sha256:c", ["devenv.local/superseded:1"], False)], **whole("c", at=came))
    (thing, *_) = things(
        kept, KEEP, {}, NOW, {"devenv.local/superseded:1": "docker.io/library/a:1"}
    )
    assert (thing.worth, bool(thing.kept)) == (Worth.SUPERSEDED, stays)
    assert "docker.io/library/a:1" in thing.name


@pytest.mark.parametrize("output", ["", "exec failed: no space left", MARK * 20])
def test_an_answer_that_is_none_is_said(output):
    with pytest.raises(DevenvError):
        NodeStock(Containers(Completed(1, output))).look("n")


def test_a_packed_layer_that_another_image_has_only_packed_stays():
    """Imported without being unpacked, as a node image's own are: it could never be unpacked again."""
    more = whole("c")
    more["blobs"] = [*more["blobs"], ("d", 2, OLD), ("m-d", 1, OLD)]
    more["documents"] = [
        *more["documents"],
        ("d", {"rootfs": {"diff_ids": ["sha256:elsewhere", "sha256:base"]}}),
        ("m-d", manifest("d", "packed-other", "packed-base")),
    ]
    kept = look([("sha256:c", ["a:1"], False), ("sha256:d", ["b:1"], False)], **more)
    assert kept.spare_blobs == {}
    assert Worth.BLOB not in [t.worth for t in things(kept, KEEP, {}, NOW)]


def test_where_an_image_does_not_say_what_it_has_no_packed_layer_goes():
    kept = look([("sha256:c", ["a:1"], False), ("sha256:unread", ["b:1"], False)], **whole("c"))
    assert kept.spare_blobs == {}


NAMES = st.sampled_from(
    ["free:1", "named:1", "wanted:1", "registry.k8s.io/etcd:1", f"named:1@sha256:{'b' * 64}"]
)


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.lists(NAMES, max_size=2), st.booleans(), st.booleans()),
        unique_by=lambda i: i[0],
    ),
    st.booleans(),
    st.integers(0, 500),
)
def test_nothing_protected_in_a_node_is_ever_in_a_plan(images, silent, goal):
    found = tuple(
        NodeImage(
            f"sha256:{n}",
            tuple(names),
            {f"c{n}": 10, "base": 100},
            {f"b{n}": 5},
            frozenset({f"b{n}"}),
            float(OLD),
            pinned,
        )
        for n, names, pinned, _ in images
    )
    kept = NodeInventory(
        "n",
        Space(1, 1, 1, 1),
        "1",
        0,
        0,
        0,
        0,
        found,
        {f"sha256:{n}": 1.0 for n, _, _, used in images if used},
    )
    keep = KeepRules(None if silent else KEEP.workload_images, KEEP.needed_images)
    for removal in plan(things(kept, keep, {}, NOW), goal):
        if removal.thing.worth is Worth.BLOB:
            continue
        (_, names, pinned, used) = next(i for i in images if f"sha256:{i[0]}" == removal.thing.id)
        assert (silent and bool(names), pinned, used) == (False, False, False)
        assert set(names) <= {"free:1"}
