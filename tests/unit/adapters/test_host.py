import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from devenv.adapters.clock import SystemClock
from devenv.adapters.host import LocalHost
from devenv.base.errors import DevenvError, Exit, LockedError
from devenv.base.wait import locked


@pytest.fixture
def host(tmp_path: Path, monkeypatch) -> LocalHost:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return LocalHost()


def test_each_program_is_told_before_it_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    started = []
    host = LocalHost(started.append)
    program = [sys.executable, "-c", ""]
    host.run(program)
    host.attach(program, {})
    with pytest.raises(FileNotFoundError):
        host.spawn(["missing"], tmp_path / "log")
    assert started == [program, program, ["missing"]]


def test_a_program_gives_its_code_and_all_of_its_output(host):
    done = host.run(
        [
            sys.executable,
            "-c",
            "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)",
        ]
    )
    assert done.code == 3
    assert set(done.output.split()) == {"out", "err"}


def test_the_log_has_all_and_the_result_the_end(host, tmp_path: Path):
    log = tmp_path / "log"
    done = host.run([sys.executable, "-c", "for n in range(1000): print(n)"], log=log)
    assert len(log.read_text().splitlines()) == 1000
    assert done.output.splitlines()[-1] == "999"
    assert len(done.output.splitlines()) == 200


def test_a_program_that_is_not_there_is_a_prerequisite(host):
    with pytest.raises(DevenvError) as caught:
        host.run(["no-such-program"])
    assert caught.value.exit_code == Exit.PREREQUISITE


def test_a_program_that_takes_too_long_is_ended_with_its_children(
    host, tmp_path: Path, check_message
):
    pid = tmp_path / "pid"
    script = f"import subprocess, sys; c = subprocess.Popen(['sleep', '600']); open({str(pid)!r}, 'w').write(str(c.pid)); c.wait()"
    with pytest.raises(DevenvError) as caught:
        host.run([sys.executable, "-c", script], timeout=2)
    check_message(str(caught.value).replace(sys.executable, "PYTHON"))
    with pytest.raises(ProcessLookupError):
        _await_end(int(pid.read_text()))


def _await_end(pid: int) -> None:
    """Raise ProcessLookupError once the process is gone; a zombie that nobody collects counts as gone."""
    for _ in range(100):
        os.kill(pid, 0)
        if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            raise ProcessLookupError
        subprocess.run(["sleep", "0.05"], check=True)


def test_a_lock_names_its_holder_and_dies_with_it(host):
    with host.lock("x"):
        script = "from devenv.adapters.host import LocalHost\nwith LocalHost().lock('x'): pass"
        other = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
        assert other.returncode != 0
        assert f"process {os.getpid()}" in other.stderr
        assert "LockedError" in other.stderr
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_who_listens_on_a_port_is_told(host):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert str(os.getpid()) in host.port_owner(port)
    assert host.port_owner(port) is None


def test_the_state_folder_is_its_owners_alone(host):
    assert host.state_dir().stat().st_mode & 0o777 == 0o700


def test_a_state_folder_that_cannot_be_written_is_told(
    host, tmp_path: Path, monkeypatch, expect_error
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with expect_error(Exit.PREREQUISITE):
        host.state_dir()


def test_space_is_told_for_a_folder_that_is_not_made_yet(host, tmp_path: Path):
    assert host.space(tmp_path / "a" / "b").total > 0


def test_a_reader_of_a_lock_is_told_of_others_and_not_of_itself(host):
    reader = "from devenv.adapters.host import LocalHost\nprint(LocalHost().lock_holder('x'))"
    with host.lock("x"):
        told = subprocess.run(
            [sys.executable, "-c", reader], capture_output=True, text=True, check=True
        )
        assert told.stdout.strip() == f"process {os.getpid()}"
        assert host.lock_holder("x") is None
    assert host.lock_holder("x") is None


def test_a_holder_that_is_stopped_is_frozen_with_its_age(host):
    script = (
        "import os, signal\nfrom devenv.adapters.host import LocalHost\n"
        "with LocalHost().lock('x'): os.kill(os.getpid(), signal.SIGSTOP)"
    )
    child = subprocess.Popen([sys.executable, "-c", script])
    try:
        os.waitpid(child.pid, os.WUNTRACED)
        path = host.state_dir() / "x.lock"
        os.utime(path, (time.time() - 300, time.time() - 300))
        holder = host.lock_holder("x")
        assert holder is not None
        assert (str(holder), holder.frozen) == (f"process {child.pid}", True)
        assert holder.seconds >= 300
    finally:
        child.kill()
        child.wait()


def test_a_holder_that_works_is_not_frozen_unless_it_works_for_hours(host):
    reader = (
        "from devenv.adapters.host import LocalHost\nprint(LocalHost().lock_holder('x').frozen)"
    )

    def told() -> str:
        return subprocess.run(
            [sys.executable, "-c", reader], capture_output=True, text=True, check=True
        ).stdout.strip()

    with host.lock("x"):
        assert told() == "False"
        day = time.time() - 86400
        os.utime(host.state_dir() / "x.lock", (day, day))
        assert told() == "True"


def test_a_child_that_outlives_a_killed_devenv_keeps_its_lock(host, tmp_path: Path):
    """Else the next run would work beside a kind or a compiler that is still at it."""
    script = (
        "from devenv.adapters.host import LocalHost\n"
        "h = LocalHost()\n"
        "with h.lock('x'): h.run(['sh', '-c', 'echo begun; exec sleep 60'], on_line=lambda l: print(l, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout.readline() == "begun\n"
        child = subprocess.run(
            ["pgrep", "-P", str(run.pid)], capture_output=True, text=True, check=True
        ).stdout.split()
        run.kill()
    with pytest.raises(LockedError), host.lock("x"):
        pass
    os.kill(int(child[0]), 9)
    with locked(host, SystemClock(), "x", print, seconds=10):
        pass


def test_a_full_disk_does_not_stop_a_lock(host, monkeypatch):
    script = (
        "import resource, signal\nfrom devenv.adapters.host import LocalHost\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "h = LocalHost(); h.state_dir()\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\nwith h.lock('x'): print('held')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout == "held\n", done.stderr


def test_after_children_were_stopped_no_more_are_started(host, expect_error):
    host.stop_children()
    with expect_error(Exit.FAILED):
        host.run(["true"])


@pytest.mark.parametrize(
    ("state", "program", "kept"),
    [
        ("running", "sleep", True),
        ("running", "dockerd", False),
        ("zombie", "sleep", False),
        ("gone", "sleep", False),
    ],
)
def test_a_file_that_names_a_process_is_removed_once_that_has_ended(
    host, tmp_path: Path, state, program, kept
):
    child = subprocess.Popen(["sleep", "60"])
    file = tmp_path / "pid"
    file.write_text(f"{child.pid}\n")
    if state != "running":
        child.kill()
        os.waitid(
            os.P_PID, child.pid, os.WEXITED | os.WNOWAIT
        )  # ended, and nobody has collected it
    if state == "gone":
        child.wait()
    host.forget_dead(file, program)
    assert file.exists() is kept
    child.kill()
    child.wait()


@pytest.mark.parametrize("content", ["", "not a number"])
def test_a_file_that_names_no_process_stays(host, tmp_path: Path, content):
    file = tmp_path / "pid"
    file.write_text(content)
    host.forget_dead(file, "dockerd")
    host.forget_dead(tmp_path / "none", "dockerd")
    assert file.exists()


ATTACH = """
import sys
from devenv.adapters.host import LocalHost
sys.exit(LocalHost().attach(sys.argv[1:], {"WORD": "hello"}))
"""


def attach(*argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", ATTACH, *argv]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)


def test_an_attached_program_has_our_streams_and_environment():
    done = attach("sh", "-c", "cat; echo $WORD; echo wrong >&2; exit 7", stdin="in\n")
    assert (done.returncode, done.stdout.split(), done.stderr) == (7, ["in", "hello"], "wrong\n")


def test_the_code_of_an_attached_program_that_a_signal_ended():
    assert attach("sh", "-c", "kill -9 $$").returncode == 137


def test_an_interrupt_is_left_to_the_attached_program():
    script = "trap 'exit 5' INT; kill -2 $PPID; kill -2 $$; sleep 600 & wait"
    assert attach("sh", "-c", script).returncode == 5


def test_an_attached_program_that_is_not_there_is_a_prerequisite(host):
    with pytest.raises(DevenvError) as caught:
        host.attach(["no-such-program"], {})
    assert caught.value.exit_code == Exit.PREREQUISITE
