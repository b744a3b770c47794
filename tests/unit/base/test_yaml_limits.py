import pytest

from devenv import data
from devenv.base import userfiles
from devenv.base.userfiles import read_manifests, read_yaml
from devenv.base.yaml_limits import GENERATED, WRITTEN, Limits
from tests.unit.base.test_userfiles import refused

NINE = ",".join(["*{}"] * 9)


def bomb(form: str) -> str:
    """Nine levels of nine aliases each: 0.4 kB that stand for 387 million values."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]" if form == "list" else "a: &a {k: x}"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        inner = NINE.format(*[before] * 9)
        lines.append(
            f"{name}: &{name} [{inner}]" if form == "list" else f"{name}: &{name} {{<<: [{inner}]}}"
        )
    return "\n".join(lines)


BEYOND = {
    "aliases that multiply": (bomb("list"), 6),
    "merges that multiply": (bomb("map"), 6),
    "aliases that nest": (
        "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 900)),
        60,
    ),
    "many aliases": ("a: &a x\nb: [" + ", ".join(["*a"] * (WRITTEN.aliases + 1)) + "]\n", 2),
    "many values": ("".join(f"k{n}: x\n" for n in range(WRITTEN.nodes)), WRITTEN.nodes // 2),
    "deep": ("a: " + "[" * 100 + "]" * 100, 1),
    "very deep": ("a: " + "[" * 100_000, 1),
    "what holds itself": ("a: &a [*a]", 1),
}


@pytest.mark.parametrize("what", BEYOND)
def test_what_is_beyond_a_limit_is_refused_with_its_line(tmp_path, what):
    text, line = BEYOND[what]
    path = tmp_path / "a.yaml"
    path.write_text(text)
    assert f"{path}:{line}" in refused(path).why


@pytest.mark.parametrize(
    "what", ["aliases that multiply", "merges that multiply", "what holds itself"]
)
def test_a_manifest_is_no_way_round_the_limits(tmp_path, what):
    (tmp_path / "a.yaml").write_text(BEYOND[what][0])
    refused(tmp_path / "a.yaml", read_manifests)


def test_nothing_is_built_of_what_is_beyond_a_limit(tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text(BEYOND["many values"][0])
    built = []
    monkeypatch.setattr(userfiles, "_construct", lambda *args, **_: built.append(args))
    refused(tmp_path / "a.yaml")
    assert built == []


@pytest.mark.parametrize("name", ["offline", "aibrix"])
def test_the_limits_are_far_from_what_people_write(name):
    tenth = Limits(
        WRITTEN.size // 10,
        WRITTEN.nodes // 10,
        WRITTEN.expanded // 10,
        WRITTEN.depth // 3,
        WRITTEN.aliases // 10,
    )
    assert read_yaml(data.root() / "profiles" / f"{name}.yaml", tenth).content["name"] == name


def test_large_manifests_are_read(tmp_path):
    text = "".join(f"---\na{n}: {{b: [c, {{d: e}}]}}\n" for n in range(3000))
    (tmp_path / "a.yaml").write_text(text)
    assert len(read_manifests(tmp_path / "a.yaml")) == 3000
    assert GENERATED.nodes > 3000 * 6
