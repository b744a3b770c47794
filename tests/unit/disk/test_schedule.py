"""The three ways in which a prune runs by itself: what is written, and that removing leaves nothing."""

import json
import os
import plistlib
import shlex
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from devenv.base.errors import DevenvError, Exit
from devenv.disk.schedule import Cron, Job, Jobs, Launchd, Systemd, agent, entry, units
from devenv.ports.processes import Completed
from devenv.workstation.schedule import Schedule
from tests.fakes.world import FakeClock, FakeHost

ODD = '/home/a b/100%/$x/"q"/python'
JOB = Job(11, 45, weekdays=True, recover=False, cluster="devenv", profile="offline", python=ODD)
ARGV = [ODD, "-m", "devenv", "schedule", "run", "--job", "/state/it's.json"]


class Host(FakeHost):
    """A machine with a crontab."""

    def __init__(self, home) -> None:
        super().__init__(home, [])
        self.crontab: str | None = None
        self.broken = False
        self.programs.add("crontab")

    def run(self, argv, **_):
        self.log.append(" ".join(argv))
        if argv[:2] == ["crontab", "-l"] and self.broken:
            return Completed(1, "I/O error")
        if argv[:2] == ["crontab", "-l"]:
            return (
                Completed(0, self.crontab)
                if self.crontab is not None
                else Completed(1, "no crontab for you")
            )
        if argv[:2] == ["crontab", "-r"]:
            self.crontab = None
        elif argv[0] == "crontab":
            self.crontab = Path(argv[1]).read_text()
        return Completed(0, "")


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("2026-11-26 11:44", "2026-11-26 11:45"),
        ("2026-11-26 11:45", "2026-11-27 11:45"),
        ("2026-11-27 12:00", "2026-11-30 11:45"),
        ("2026-11-28 01:00", "2026-11-30 11:45"),
    ],
)
def test_when_it_runs_next(now, then):
    assert (
        JOB.next(datetime.fromisoformat(now).astimezone())
        == datetime.fromisoformat(then).astimezone()
    )


def test_a_crontab_line_gives_the_shell_the_words_as_they_are():
    line = entry(JOB, ARGV)
    assert line.startswith("45 11 * * 1-5 ")
    command = line.split(" ", 5)[5]
    assert "%" not in command.replace("\\%", "")
    assert shlex.split(command.replace("\\%", "%"))[: len(ARGV)] == ARGV


def test_a_launch_agent_says_the_same():
    found = plistlib.loads(agent(JOB, ARGV).encode())
    assert found == {
        "Label": "devenv-prune",
        "ProgramArguments": ARGV,
        "ProcessType": "Background",
        "StartCalendarInterval": [
            {"Weekday": day, "Hour": 11, "Minute": 45} for day in (1, 2, 3, 4, 5)
        ],
    }


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_reads_the_units(tmp_path):
    python = tmp_path / "a b" / "100%" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/bin/true")
    for name, text in units(JOB, [str(python), *ARGV[1:]]).items():
        (tmp_path / name).write_text(text)
    argv = [
        "systemd-analyze",
        "verify",
        "--man=no",
        str(tmp_path / "devenv-prune.service"),
        str(tmp_path / "devenv-prune.timer"),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "devenv-prune" in line]
    assert (done.returncode, ours) == (0, [])
    calendar = units(JOB, ARGV)["devenv-prune.timer"].split("OnCalendar=")[1].splitlines()[0]
    subprocess.run(["systemd-analyze", "calendar", calendar], check=True, capture_output=True)


def test_cron_leaves_what_others_have_in_the_crontab(host, tmp_path):
    host.crontab = "# mine\n0 1 * * * true\n"
    cron = Cron(host, tmp_path)
    cron.install(JOB, ARGV)
    cron.install(JOB, ARGV)
    assert host.crontab.startswith("# mine\n0 1 * * * true\n")
    assert host.crontab.count("schedule run") == 1
    assert cron.present()
    assert cron.remove()
    assert host.crontab == "# mine\n0 1 * * * true\n"
    assert not cron.remove()
    assert not list(tmp_path.glob("*crontab*"))


def test_a_crontab_that_was_devenvs_alone_is_removed(host, tmp_path):
    cron = Cron(host, tmp_path)
    cron.install(JOB, ARGV)
    cron.remove()
    assert host.crontab is None


def test_systemd_and_launchd_leave_nothing(host, tmp_path):
    for backend in (Systemd(host, tmp_path / "units"), Launchd(host, tmp_path / "agents", 501)):
        backend.install(JOB, ARGV)
        assert backend.present()
        assert backend.remove()
        assert not backend.present()
    assert not list(tmp_path.rglob("devenv-prune*"))
    assert "systemctl --user enable --now devenv-prune.timer" in host.log
    assert f"launchctl bootstrap gui/501 {tmp_path / 'agents' / 'devenv-prune.plist'}" in host.log


def schedule(host, tmp_path):
    every = [Systemd(host, tmp_path / "units"), Cron(host, tmp_path)]
    return Schedule(
        host, FakeClock(), every[1:], every, lambda: {"DOCKER_HOST": "unix:///there.sock"}
    )


def test_the_environment_is_baked_in_and_only_its_owner_reads_it(host, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", {**os.environ, "KUBECONFIG": "/my/config"})
    one = schedule(host, tmp_path)
    state = one.install((11, 45), "c", "offline", weekdays=True, recover=True)
    assert state.present
    path = Jobs(host).path
    assert path.stat().st_mode & 0o777 == 0o600
    kept = json.loads(path.read_text())["environment"]
    assert (kept["KUBECONFIG"], kept["DOCKER_HOST"]) == ("/my/config", "unix:///there.sock")
    os.environ.pop("KUBECONFIG")
    assert one.enter(path).recover
    assert os.environ["KUBECONFIG"] == "/my/config"
    assert os.environ["DOCKER_HOST"] == "unix:///there.sock"
    assert one.remove() == ["cron"]
    assert host.crontab is None
    assert one.status().job is None
    assert not list(host.state_dir().glob("schedule*"))


def test_what_somebody_removed_by_hand_is_told(host, tmp_path):
    one = schedule(host, tmp_path)
    one.install((11, 45), "c", "offline", weekdays=False, recover=False)
    host.crontab = None
    assert not one.status().present


def test_a_timer_that_was_installed_where_systemd_could_be_asked_is_removed_where_it_can_t(
    host, tmp_path
):
    Systemd(host, tmp_path / "units").install(JOB, ARGV)
    assert schedule(host, tmp_path).remove() == ["systemd"]


def test_a_crontab_that_can_t_be_read_is_not_written_anew(host, tmp_path, expect_error):
    host.crontab = "0 1 * * * true\n"
    host.broken = True
    with expect_error(Exit.FAILED):
        Cron(host, tmp_path).install(JOB, ARGV)
    assert host.crontab == "0 1 * * * true\n"


def test_a_machine_without_any_of_them_is_refused(host):
    with pytest.raises(DevenvError, match="cron") as refused:
        Schedule(host, FakeClock(), [], [], dict).install(
            (1, 1), "c", "offline", weekdays=False, recover=False
        )
    assert refused.value.exit_code is Exit.PREREQUISITE


def test_a_broken_job_is_told(host, expect_error):
    Jobs(host).path.write_text("{")
    with expect_error(Exit.FAILED):
        Jobs(host).read()
