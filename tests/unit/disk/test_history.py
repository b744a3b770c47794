"""What is remembered, and that a full disk loses none of it."""

import os
from pathlib import Path

from devenv.base.errors import DevenvError
from devenv.disk.history import History, Owner
from devenv.disk.host import HostStock
from devenv.disk.plan import Worth
from devenv.ports.processes import Completed
from tests.fakes.world import FakeClock, FakeHost

DAY = 86400.0


def history(tmp_path):
    clock = FakeClock()
    clock.time = 10**9
    return History(FakeHost(tmp_path, []), clock), clock


def test_the_last_use_of_an_image_is_learned_and_kept(tmp_path):
    one, clock = history(tmp_path)
    now = clock.now()
    asked = []

    def events(since):
        asked.append(since)
        return [(now - 50, "redis"), (now - 90, "redis"), (now - 10, "sha256:1")]

    assert one.learn_uses("engine", events) == {
        "docker.io/library/redis:latest": now - 50,
        "sha256:1": now - 10,
    }
    clock.time += 1000
    assert one.learn_uses("engine", lambda since: asked.append(since) or [])["sha256:1"] == now - 10
    assert asked == [0, now - 5], "only what came since"
    assert one.learn_uses("another", lambda _: []) == {}
    clock.time += 200 * DAY
    assert one.learn_uses("engine", lambda _: []) == {}


def test_what_can_t_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    one, clock = history(tmp_path)
    one.learn_uses("engine", lambda _: [(clock.now(), "a")])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert "docker.io/library/b:latest" in one.learn_uses("engine", lambda _: [(clock.now(), "b")])
    monkeypatch.undo()
    assert set(one.learn_uses("engine", lambda _: [])) == {"docker.io/library/a:latest"}


def test_what_workloads_named_is_kept_for_when_nobody_can_say(tmp_path):
    one, _ = history(tmp_path)
    assert one.learn_workload_images("c", "engine", None) == frozenset()
    one.learn_workload_images("c", "engine", frozenset({"a", "b"}))
    assert one.learn_workload_images("c", "engine", None) == {"a", "b"}
    assert one.learn_workload_images("c", "engine", frozenset()) == {"a", "b"}, (
        "no cluster is seen, so nobody can say"
    )
    assert one.learn_workload_images("other", "engine", None) == frozenset()
    assert one.learn_workload_images("c", "elsewhere", None) == frozenset()


def test_an_image_that_was_not_there_before_has_come_since(tmp_path):
    one, clock = history(tmp_path)
    assert one.learn_arrivals("engine", ["old"]) == {}, "who knows"
    clock.time += 60
    then = clock.now()
    assert one.learn_arrivals("engine", ["old", "new"]) == {"new": then}
    clock.time += 60
    assert one.learn_arrivals("engine", ["old", "new"]) == {"new": then}
    assert one.learn_arrivals("node", ["old", "new"]) == {}
    assert one.learn_arrivals("engine", ["old"]) == {}


def test_an_engine_that_does_not_say_costs_nothing_that_was_known(tmp_path):
    one, clock = history(tmp_path)
    one.learn_uses("engine", lambda _: [(clock.now(), "a")])

    def refuse(_):
        raise DevenvError("since is after until")

    assert set(one.learn_uses("engine", refuse)) == {"docker.io/library/a:latest"}


def test_samples_are_not_taken_more_often_than_they_say_anything(tmp_path):
    one, clock = history(tmp_path)
    for _ in range(5):
        one.sample("1", 10, 100)
        clock.time += 150
    one.sample("2", 5, 100)
    assert [used for _, used in one.samples("1")] == [10, 10]
    assert [used for _, used in one.samples("2")] == [5]


def test_devenvs_own_files(tmp_path):
    host = FakeHost(tmp_path, [])
    cache, now = host.cache_dir(), 10**9
    old, new = now - 30 * DAY, now - 60

    def file(name: str, at: float) -> Path:
        path = cache / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        for each in (path, path.parent):
            os.utime(each, (at, at))
        return path

    current = file("built/envoy/now/envoy", old)
    file("built/envoy/before/envoy", old)
    file("built/envoy/yesterday/envoy", new)
    file("built/of-others/before/x", old)
    file("built/envoy/work-1/x", old)
    file("toolchain/work-2/x", new)
    file("go-build/00/x", old)
    file("logs/old", old)
    os.utime(file("logs/new", new), (new, new))
    os.utime(cache / "logs" / "old", (old, old))
    host.results["du"] = Completed(0, "")
    host.run = lambda argv, **_: Completed(0, "".join(f"4\t{path}\n" for path in argv[2:]))
    stock = HostStock(host)
    found = stock.things(frozenset({current}), now, DAY, caches=False)
    stale = {str(Path(t.id).relative_to(cache)) for t in found if t.worth is Worth.STALE}
    assert stale == {"built/envoy/before", "built/envoy/work-1", "logs/old"}
    assert [(Path(t.id).name, bool(t.kept)) for t in found if t.worth is Worth.CACHE] == [
        ("go-build", True)
    ]
    assert [
        t.kept
        for t in stock.things(frozenset({current}), now, DAY, caches=True)
        if t.worth is Worth.CACHE
    ] == [""]


def test_what_an_image_was_called_is_known_after_it_has_lost_the_name(tmp_path):
    one, _ = history(tmp_path)
    assert one.former_names("engine", {"1": "a:1"}) == {"1": "a:1"}
    assert one.former_names("engine", {"2": "a:1"}, {"1": "other:1", "3": "b:1"}) == {
        "1": "a:1",
        "2": "a:1",
        "3": "b:1",
    }
    assert one.former_names("engine", {"1": "c:1"})["1"] == "c:1"
    assert one.former_names("another", {}) == {}


def test_whose_a_volume_was_is_known_after_its_container_is_gone(tmp_path):
    one, _ = history(tmp_path)
    node = Owner("c-control-plane", "c")
    assert one.learn_volume_owners("engine", ["v", "w"], {"v": node}) == {"v": node}
    assert one.learn_volume_owners("engine", ["v"], {}) == {"v": node}
    assert one.learn_volume_owners("engine", [], {}) == {}
    assert one.learn_volume_owners("engine", ["v"], {}) == {}, "a volume that is gone is forgotten"
