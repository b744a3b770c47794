"""Whatever the engine keeps has a name, a size, and somebody whose it is or was."""

from pathlib import Path

import pytest

from devenv.disk import accounts
from devenv.disk.engine import EngineInventory
from devenv.disk.history import Owner
from devenv.ports.engine import ListedContainer, Measured

MIB = 1 << 20


def stored(containers=(), volumes=(), measured=None) -> EngineInventory:
    return EngineInventory((), tuple(containers), tuple(volumes), (), {}, {}, measured)


def container(
    name: str, *volumes: str, cluster: str = "", status: str = "running"
) -> ListedContainer:
    return ListedContainer(f"id-{name}", name, "i", "", status, 0.0, volumes, cluster)


def test_a_volume_says_whose_it_is_or_was_and_how_to_remove_it(check_message):
    seen = stored(
        [container("c-control-plane", "mounted", cluster="c")],
        ["mounted", "gone", "again", "shown", "app", "nobody"],
        Measured({"mounted": 5, "gone": 7}, {}),
    )
    owners = {
        "mounted": Owner("c-control-plane", "c"),
        "gone": Owner("old-control-plane", "old"),
        "again": Owner("c-control-plane", "c"),
        "app": Owner("db"),
    }
    shares = list(accounts.volume_shares(seen, owners, {"shown": "x-worker"}, {"c-control-plane"}))
    sizes = [(share.what.split()[-1], share.size) for share in shares]
    assert sizes == [
        ("mounted", 5), ("gone", 7), ("again", None), ("shown", None), ("app", None), ("nobody", None),
    ]  # fmt: skip
    assert [share.included for share in shares] == [True] + 5 * [False], "its node's ledger has it"
    assert [share.command for share in shares] == [
        "",
        *(f"docker volume rm {name}" for name, _ in sizes[1:]),
    ]
    check_message("\n".join(f"{share.what}: {share.note}" for share in shares))


def test_where_the_engine_did_not_measure_in_time_sizes_are_unknown():
    (share,) = accounts.volume_shares(stored(volumes=["v"]), {}, {}, ())
    assert share.size is None


def test_a_volumes_content_shows_which_node_it_was(tmp_path):
    pods = tmp_path / "_data" / "log" / "pods"
    pods.mkdir(parents=True)
    (pods / "default_etcd-mine_1").mkdir()
    (pods / "kube-system_etcd-my-cluster-control-plane_0123").mkdir()
    assert accounts.node_in(tmp_path) == "my-cluster-control-plane"
    assert accounts.node_in(tmp_path / "elsewhere") == ""


def test_each_long_log_is_named_with_what_empties_it(tmp_path, check_message):
    for name, size in (("long", 51 * MIB), ("short", MIB)):
        folder = tmp_path / f"id-{name}"
        folder.mkdir()
        (folder / f"id-{name}-json.log").write_bytes(b"x" * size)
    seen = stored([container("long"), container("short"), container("none")])
    every, long = accounts.log_shares(tmp_path, seen)
    assert every.size == 52 * MIB
    assert (long.size, long.included) == (51 * MIB, True)
    check_message(f"{every.what}: {every.note}\n{long.what}")
    assert long.command == f"sudo truncate --size 0 {tmp_path / 'id-long' / 'id-long-json.log'}"


def test_logs_that_only_root_may_see_are_unknown(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    (share,) = accounts.log_shares(tmp_path, stored([container("c")]))
    assert share.size is None


@pytest.mark.parametrize(
    ("status", "cluster", "command"),
    [("exited", "", "docker rm a"), ("running", "", ""), ("exited", "c", "")],
)
def test_what_a_container_has_written_is_its_own(status, cluster, command):
    measured = Measured({}, {"a": 2 * MIB, "b": 5})
    shares = accounts.container_shares(
        stored([container("a", status=status, cluster=cluster), container("b")], (), measured)
    )
    assert [(s.what, s.size, s.command) for s in shares] == [("container a", 2 * MIB, command)]
