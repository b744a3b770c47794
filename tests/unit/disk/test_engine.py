"""The engine's images: what each layer takes, and which must stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devenv.disk.engine import (
    EngineInventory,
    EngineStock,
    EngineThings,
    NamelessImages,
    sizes,
)
from devenv.disk.keep import KeepRules
from devenv.disk.plan import Worth, plan
from devenv.ports.engine import CacheRecord, Image, ListedContainer, ListedImage

NOW = 10**9
DAY = 86400.0
KEEP = KeepRules(
    frozenset({"docker.io/library/named:1"}), frozenset({"docker.io/library/wanted:1"}), ("mine/*",)
)
OLD = NOW - 3 * DAY


def test_layers_get_the_bytes_of_the_steps_that_made_them():
    classic = [
        (100, "/bin/sh -c #(nop) ADD file:1 in / "),
        (0, "/bin/sh -c #(nop)  CMD [x]"),
        (0, "/bin/sh -c true"),
        (5, ""),
    ]
    assert sizes(classic, 3) == (100, 0, 5)
    buildkit = [
        (100, "COPY / / # buildkit"),
        (0, "ENV A=1"),
        (0, "WORKDIR /a"),
        (7, "RUN x # buildkit"),
    ]
    assert sizes(buildkit, 3) == (100, 0, 7)
    assert sizes([(1, ""), (2, "")], 2) == (1, 2)
    assert sizes([(1, ""), (0, "?"), (2, "")], 3) == (0, 1, 2), "where it can't be told"
    assert sizes([], 0) == ()


def stored(images, containers=(), cache=(), layers=None, tagged=None):
    every = {i.id: (layers or {}).get(i.id, {f"layer of {i.id}": 10}) for i in images}
    return EngineInventory(tuple(images), tuple(containers), (), cache, every, tagged or {})


def listed(id_, *names, created=OLD):
    return ListedImage(id_, names, 10, created)


def container(image, name="c", image_name="", status="exited"):
    return ListedContainer("x", name, image, image_name, status, OLD)


def things(*arguments):
    return EngineThings(*arguments).list_all()


def kept(found, keep=KEEP, uses=None):
    return {t.id: t.kept for t in things(found, keep, uses or {}, frozenset(), NOW)}


def test_whatever_anybody_needs_stays_and_says_why(check_message):
    found = stored(
        [
            listed("stopped", "a:1"), listed("by-name", "b:1"), listed("node", "kindest/node:v1"),
            listed("named", "named:1"), listed("wanted", "wanted:1"), listed("mine", "mine/x:1"),
            listed("new", "c:1", created=NOW - 60), listed("retagged", "d:1"), listed("used", "e:1"), listed("free", "f:1"),
            listed("digest", "g@sha256:1"), listed("dangling"), listed("fresh-dangling", created=NOW - 60),
        ],
        [container("stopped", status="created"), container("gone", image_name="b:1")],
        tagged={"retagged": NOW - 60},
    )  # fmt: skip
    reasons = kept(found, uses={"docker.io/library/e:1": NOW - 60})
    check_message("\n".join(f"{id_}: {reason}" for id_, reason in reasons.items()))
    assert {id_ for id_, reason in reasons.items() if not reason} == {
        "fresh-dangling",
        "free",
        "digest",
        "dangling",
    }
    assert len(reasons) == 9 + 4


def test_where_the_api_server_is_silent_what_it_said_last_counts():
    found = stored([listed("a", "then:1"), listed("b", "never:1")])
    then = frozenset({"docker.io/library/then:1"})
    reasons = kept(found, KeepRules(None, frozenset(), last_workload_images=then))
    assert "workload" in reasons["a"]
    assert reasons["b"] == ""


def test_an_image_that_only_a_container_knows_keeps_its_layers():
    found = stored(
        [listed("child", "a:1")],
        [container("parent", "p")],
        layers={"child": {"base": 100, "top": 1}},
    )
    found = EngineInventory(
        found.images, found.containers, (), (), {**found.layers, "parent": {"base": 100}}, {}
    )
    assert [r.frees for r in plan(things(found, KEEP, {}, frozenset(), NOW), 1000)] == [1]


def test_what_devenv_itself_built_before_counts_as_superseded():
    found = stored(
        [
            listed("old", "devenv.local/envoy:1"),
            listed("new", "devenv.local/envoy:2"),
            listed("x", "x:1"),
            listed("d"),
            listed("p", "127.0.0.1:40001/devenv/reload@sha256:1"),
        ]
    )
    worth = {
        t.id: t.worth for t in things(found, KEEP, {}, frozenset({"devenv.local/envoy:2"}), NOW)
    }
    assert worth == {
        "old": Worth.SUPERSEDED,
        "new": Worth.IMAGE,
        "x": Worth.IMAGE,
        "d": Worth.DANGLING,
        "p": Worth.DANGLING,
    }


def test_an_image_without_a_name_that_undo_returns_to_stays_like_others():
    found = stored([listed("fresh", created=NOW - 60), listed("old")], [container("other")])
    past = NamelessImages(returnable=frozenset({"fresh", "old"}))
    by_id = {t.id: t for t in things(found, KEEP, {}, frozenset(), NOW, past)}
    assert (by_id["fresh"].worth, by_id["old"].worth) == (Worth.SUPERSEDED, Worth.SUPERSEDED)
    assert (bool(by_id["fresh"].kept), by_id["old"].kept) == (True, "")


def test_waste_goes_before_an_older_image_that_has_a_name():
    found = stored([listed("named", "x:1"), listed("waste", created=NOW - 60)])
    past = NamelessImages(former_names={"waste": "x:1"})
    (removal,) = plan(things(found, KEEP, {}, frozenset(), NOW, past), 10)
    assert (removal.thing.id, removal.thing.former_name) == ("waste", "x:1")


@pytest.mark.parametrize(
    ("status", "created", "cluster", "image", "kept"),
    [
        ("running", NOW - 60, "", "step", True),
        ("running", NOW - 60, "", "named", False),
        ("exited", NOW - 60, "", "step", False),
        ("running", OLD, "", "step", False),
        ("running", NOW - 60, "kind", "step", False),
    ],
)
def test_while_a_build_may_run_what_it_has_made_stays(status, created, cluster, image, kept):
    """Docker's classic builder gives a stage no name, and no container has it while the next one is built."""
    step = ListedContainer("x", "c", image, "", status, created, (), cluster)
    found = stored(
        [listed("stage", created=NOW - 120), listed("named", "x:1"), listed("old")], [step]
    )
    by_id = {t.id: t for t in things(found, KEEP, {}, frozenset(), NOW)}
    assert bool(by_id["stage"].kept) is kept
    assert by_id["old"].kept == ""


def test_layers_that_buildkits_cache_has_too_are_free_only_once_both_are_gone():
    shared = (
        CacheRecord("a", 5, in_use=False, shared=False, used=OLD),
        CacheRecord("b", 10, in_use=False, shared=True, used=NOW),
    )
    found = things(stored([listed("waste")], cache=shared), KEEP, {}, frozenset(), NOW)
    assert [(r.thing.worth, r.frees) for r in plan(found, 15)] == [
        (Worth.DANGLING, 0),
        (Worth.BUILD_CACHE, 15),
    ]
    private = things(stored([listed("waste")], cache=shared[:1]), KEEP, {}, frozenset(), NOW)
    assert [(r.thing.worth, r.frees) for r in plan(private, 15)] == [
        (Worth.DANGLING, 10),
        (Worth.BUILD_CACHE, 5),
    ]


def test_the_build_cache_is_one_thing_without_what_is_in_use_or_an_images(check_message):
    records = (
        CacheRecord("a", 10, in_use=False, shared=False, used=OLD), CacheRecord("b", 20, in_use=True, shared=False, used=OLD),
        CacheRecord("c", 40, in_use=False, shared=True, used=OLD), CacheRecord("d", 80, in_use=False, shared=False, used=NOW),
    )  # fmt: skip
    (cache,) = things(stored([], cache=records), KEEP, {}, frozenset(), NOW)
    assert (cache.size, cache.kept, cache.used) == (90, "", NOW)
    check_message(cache.name)
    assert things(stored([], cache=None), KEEP, {}, frozenset(), NOW) == [], (
        "an engine that did not say"
    )


IDS = st.sampled_from([f"sha256:{n}" for n in range(6)])
NAMES = st.sampled_from(
    [
        "a:1",
        "b:1",
        "named:1",
        "wanted:1",
        "mine/x:1",
        "kindest/node:v1",
        "registry.example/z@sha256:1",
    ]
)
LAYERS = st.dictionaries(st.sampled_from("pqrstu"), st.integers(0, 100), max_size=5)


@given(
    st.lists(
        st.tuples(IDS, st.lists(NAMES, max_size=2), LAYERS, st.integers(0, NOW)),
        max_size=6,
        unique_by=lambda i: i[0],
    ),
    st.lists(
        st.tuples(IDS, NAMES, st.sampled_from(["created", "running", "exited", "dead", "paused"])),
        max_size=4,
    ),
    st.integers(0, 1000),
    st.booleans(),
)
def test_nothing_protected_is_ever_in_a_plan(images, containers, goal, api_down):
    keep = KeepRules(None, KEEP.needed_images, KEEP.patterns) if api_down else KEEP
    found = stored(
        [ListedImage(i, tuple(names), 0, float(created)) for i, names, _, created in images],
        [container(i, image_name=name, status=status) for i, name, status in containers],
        layers={i: layers for i, _, layers, _ in images},
    )
    taken = {c[0] for c in containers} | {
        i for i, names, _, _ in images for c in containers if c[1] in names
    }
    by_id = {i: (names, created) for i, names, _, created in images}
    for removal in plan(things(found, keep, {}, frozenset(), NOW), goal):
        names, created = by_id[removal.thing.id]
        assert removal.thing.id not in taken
        assert NOW - created >= DAY or not names
        assert not {
            "wanted:1",
            "mine/x:1",
            "kindest/node:v1",
            *(() if api_down else ("named:1",)),
        } & set(names)


class Stock:
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.asked = []

    def listed_images(self):
        return [ListedImage("i", ("a:1",), 30, OLD)]

    def listed_containers(self):
        return []

    def volumes(self):
        return ["v"]

    def build_cache(self, seconds):
        return None

    def image(self, ref):
        self.asked.append(ref)
        return Image(ref, "amd64", 15, {}, ("a:1",), ("sha256:x", "sha256:y"), 5.0)

    def steps(self, ref):
        return [(10, "RUN x"), (5, "RUN y")]


def test_layers_are_asked_for_once_and_what_is_kept_packed_counts_too(tmp_path):
    stock = Stock()
    one = EngineStock(stock, tmp_path / "layers.json")
    found = one.look(tagged=False)
    assert sorted(found.layers["i"].values()) == [10, 20], "30 bytes for 15 unpacked ones"
    one.look(tagged=False)
    assert stock.asked == ["i"]
    assert one.look(tagged=True).tagged == {"i": 5.0}
    (tmp_path / "layers.json").write_text("[broken")
    assert one.look(tagged=False).layers == found.layers
