import json
import os

from devenv.disk.history import History
from devenv.workstation.bugreport_files import OwnFiles


def read(fakes):
    contents = {}
    for part in OwnFiles(fakes.host, fakes.clock, "c").parts:
        contents |= part.read()
    return contents


def test_what_does_not_exist_is_left_out(fakes):
    assert read(fakes) == {}


def test_the_files_of_one_cluster(fakes):
    state, config = fakes.host.state_dir(), fakes.host.config_dir()
    for folder in (state / "clusters", state / "engine", config, fakes.host.cache_dir() / "logs"):
        folder.mkdir()
    (state / "clusters" / "c.json").write_text(json.dumps({"profile": "offline"}))
    (state / "clusters" / "other.json").write_text("{}")
    (state / "schedule.json").write_text("{broken")
    (state / "engine" / "dockerd.log").write_text("started")
    (state / "engine" / "daemon.json").write_text("{}")
    (config / "config.yaml").write_bytes(b"protect: [\xff]")
    (fakes.host.cache_dir() / "logs" / "setup.log").write_text("done")
    History(fakes.host, fakes.clock).note("removed", what="image")
    contents = read(fakes)
    (entry,) = contents.pop("journal.json")
    assert (entry["event"], entry["what"]) == ("removed", "image")
    assert contents == {
        "state/clusters/c.json": {"profile": "offline"},
        "state/schedule.json": "{broken",
        "config.yaml": "protect: [\N{REPLACEMENT CHARACTER}]",
        "devenv-logs/dockerd.log": "started",
        "devenv-logs/setup.log": "done",
    }


def test_of_a_long_log_the_last_whole_lines_and_of_many_logs_the_newest(fakes):
    folder = fakes.host.cache_dir() / "logs"
    folder.mkdir()
    (folder / "long.log").write_text("".join(f"line{number:06}\n" for number in range(20000)))
    for number in range(30):
        path = folder / f"{number}.log"
        path.write_text("x")
        os.utime(path, (number, number))
    contents = read(fakes)
    lines = contents["devenv-logs/long.log"].splitlines()
    assert lines[-1] == "line019999"
    assert lines[0] == f"line{20000 - len(lines):06}"
    assert len(contents) == 20
    assert "devenv-logs/29.log" in contents
    assert "devenv-logs/0.log" not in contents
