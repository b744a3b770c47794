"""Whose waste there is, and how much."""

from devenv.disk.plan import ENGINE, Thing, Worth
from devenv.disk.waste import Waste, sum_up_waste


def dangling(
    name: str, former_name: str, parts: dict[str, int], used: float = 1.0, kept: str = ""
) -> Thing:
    return Thing(name, Worth.DANGLING, parts, used, kept, ENGINE, name, (), former_name)


def test_earlier_builds_of_one_image_are_one_and_what_others_have_is_not_counted():
    seen = sum_up_waste([
        dangling("a", "x:1", {"base": 100, "a": 10}, 5),
        dangling("b", "x:1", {"base": 100, "b": 20}, 7),
        dangling("c", "y:1", {"c": 5}),
        dangling("kept", "x:1", {"k": 1000}, kept="the container c has it"),
        Thing("new", Worth.IMAGE, {"base": 100, "d": 40}, place=ENGINE),
        Thing("cache", Worth.BUILD_CACHE, {"cache 1": 8}, 3, place=ENGINE),
    ])  # fmt: skip
    assert seen == (
        Waste(ENGINE, "x:1", 2, 30, 5, 7),
        Waste(ENGINE, "", 1, 8, 3, 3, build_cache=True),
        Waste(ENGINE, "y:1", 1, 5, 1, 1),
    )


def test_what_two_have_is_counted_once_and_what_frees_nothing_is_not_told():
    seen = sum_up_waste(
        [dangling("a", "x:1", {"p": 10}), dangling("b", "y:1", {"p": 10}), dangling("c", "z:1", {})]
    )
    assert sum(w.size for w in seen) == 10
    assert len(seen) == 1
