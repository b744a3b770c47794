"""Disk budgets on a real engine whose whole disk is 7 GB, with a live cluster on it."""

import json
import os
import signal
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from devenv.adapters.clock import SystemClock
from devenv.base.wait import Deadline, until
from devenv.disk.ring import Ring
from tests.cluster import engines
from tests.cluster.lab import Lab

JUNK = "devenv-test/junk"
MOCK = "devenv.local/vllm-mock:reference"  # the model's image, as the profile names it
MIB = 1 << 20
LAYER = 300  # MiB of a built image
HIGH = 0.95
FULL = 0.97
# A crontab and a process file of the test's own, in a namespace of mounts of its own: the machine's cron sees nothing of it.
CRON = """
set -e
touch /run/crond.pid
mount --bind "$1" /var/spool/cron/crontabs
mount --bind "$2" /run/crond.pid
shift 2
"$@"
exec cron -f
"""


@pytest.fixture(scope="module")
def lab(small_disk, tmp_path_factory):
    """Its state lies on the small disk too, so that it is full where the disk is."""
    made = Lab(small_disk.root / "lab", "devenv-test-disk", small_disk.docker_host)
    try:
        made.up()
        yield made
    finally:
        made.devenv("down")
        junk = made.docker("images", "-q", "--no-trunc", "--filter", "dangling=true").split()
        made.docker("image", "rm", JUNK, MOCK, *junk, check=False)  # others use this engine next


@pytest.fixture(scope="module")
def busybox(built_refs) -> str:
    return next(ref for ref in built_refs if "busybox" in ref)


def build(
    lab: Lab, base: str, number: int, tag: str = f"{JUNK}:latest", size: int = LAYER, more: str = ""
) -> None:
    """Build an image; the one that had its name has none then."""
    recipe = f"FROM {base}\nRUN dd if=/dev/zero of=/junk bs=1M count={size} && echo {number} >/number\n{more}"
    argv = ["docker", "build", "--network", "none", "--tag", tag, "-"]
    subprocess.run(argv, input=recipe, env=lab.env, text=True, check=True, capture_output=True)


def disk(lab: Lab) -> dict:
    """The small disk, which the engine and the node share."""
    return next(d for d in lab.json("disk", check=False)["disks"] if "engine" in d["names"])


def fill_with_builds(lab: Lab, base: str, first: int = 0) -> int:
    """Build images until the disk is 97 % full, and return how many."""
    number = first
    while True:
        stat = os.statvfs(lab.folder)
        free, total = stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize
        missing = int(free - (1 - FULL) * total) // MIB
        if missing <= 0:
            return number - first
        build(lab, base, number, size=min(LAYER, missing + 1))
        number += 1


def all_answer(lab: Lab) -> None:
    for route in ("direct", "extension", "plain"):
        answers = lambda route=route: (  # noqa: E731
            lab.devenv("request", "--no-doctor", "--route", route, check=False).returncode == 0
        )
        lab.eventually(route, lambda answers=answers: "" if answers() else "an answer", 240)


def stop_and_start(lab: Lab) -> None:
    lab.docker("stop", lab.node)
    lab.docker("start", lab.node)
    all_answer(lab)


@pytest.fixture(scope="module")
def needed(lab, busybox):
    """What must survive: a stopped container, with its image, a volume, a network, and an image of a workload of no pods."""
    build(lab, busybox, 1000, tag="devenv-test/kept:1", size=1)
    lab.docker(
        "create",
        "--name",
        "devenv-test-kept",
        "--volume",
        "devenv-test-kept:/data",
        "devenv-test/kept:1",
        "true",
    )
    build(
        lab, busybox, 1001, tag="devenv-test/kept:1", size=1
    )  # the container's image has lost its name
    lab.docker("network", "create", "--driver", "bridge", "--internal", "devenv-test-kept")
    build(lab, busybox, 1002, tag="devenv-test/zero:1", size=1)
    lab.devenv("reload-image", "--no-restart", "devenv-test/zero:1")
    lab.kubectl("create", "deployment", "zero", "--image=devenv-test/zero:1", "--replicas=0")
    yield
    lab.kubectl("delete", "deployment", "zero")
    lab.docker("rm", "-f", "devenv-test-kept")
    lab.docker("volume", "rm", "devenv-test-kept")
    lab.docker("network", "rm", "devenv-test-kept")
    lab.docker("rmi", "devenv-test/kept:1", "devenv-test/zero:1", check=False)


def still_there(lab: Lab) -> None:
    image = lab.docker("inspect", "-f", "{{.Image}}", "devenv-test-kept").strip()
    assert lab.docker("image", "inspect", "-f", "{{.Id}}", image).strip() == image
    lab.docker("volume", "inspect", "devenv-test-kept")
    lab.docker("network", "inspect", "devenv-test-kept")
    lab.docker("exec", lab.node, "crictl", "inspecti", "docker.io/devenv-test/zero:1")
    lab.docker("image", "inspect", "devenv-test/zero:1")


def test_a_file_system_that_appears_twice_is_counted_once(lab):
    seen = lab.json("disk", check=False)
    small = disk(lab)
    assert small["names"] == ["engine", lab.node]
    assert small["total"] < 8 << 30
    stat = os.statvfs(lab.folder)
    assert small["free"] == pytest.approx(stat.f_bavail * stat.f_frsize, abs=64 * MIB)
    shares = {x["name"]: {s["what"]: s for s in x["shares"]} for x in seen["ledgers"]}
    listed = lab.docker("images", "-q", "--no-trunc").split()
    assert shares["engine"]["images"]["note"].startswith(f"{len(set(listed))},")
    assert shares[lab.node]["ballast"]["size"] == 64 * MIB
    assert shares[lab.node]["snapshots (unpacked)"]["size"] > 100 * MIB
    assert any(
        what.startswith("volume ") and lab.node in s["note"] for what, s in shares["engine"].items()
    )


@pytest.fixture
def leftover(lab, busybox):
    """A node's volume, and the node's name; `docker rm` of the node leaves it."""
    node = "gone-control-plane"
    lab.docker(
        "create",
        "--label",
        "io.x-k8s.kind.cluster=gone",
        "--name",
        node,
        "--volume",
        "/var",
        busybox,
        "true",
    )
    volume = lab.docker("inspect", "-f", "{{(index .Mounts 0).Name}}", node).strip()
    yield volume, node
    lab.docker("rm", "--force", node, check=False)
    lab.docker("volume", "rm", volume)


def test_a_volume_says_which_node_it_was(lab, leftover):
    volume, node = leftover
    lab.json("disk", check=False)
    lab.docker("rm", node)
    shares = next(
        x["shares"] for x in lab.json("disk", check=False)["ledgers"] if x["name"] == "engine"
    )
    share = next(s for s in shares if s["what"] == f"volume {volume[:12]}")
    assert node in share["note"]
    assert share["size"] is not None
    assert share["command"] == f"docker volume rm {volume}"


def test_nothing_goes_below_the_high_mark_and_what_is_asked_for_is_measured(lab, busybox, needed):
    assert lab.json("prune", "--dry-run")["disks"][-1]["removals"] == []
    for number in range(3):
        build(lab, busybox, number)
    planned = lab.json("prune", "--free", "600Mi", "--dry-run")
    listed = [r for d in planned["disks"] for r in d["removals"]]
    assert {r["kind"] for r in listed} <= {"stale", "build_cache", "dangling", "blob"}
    told = lab.json("prune", "--free", "600Mi", "--yes")
    assert {(r["place"], r["name"]) for r in told["removed"]} <= {
        (r["place"], r["name"]) for r in listed
    }
    assert told["freed"] >= 600 * MIB, told
    assert told["estimated"] == pytest.approx(told["freed"], rel=0.05)
    still_there(lab)


def test_a_schedule_empties_a_disk_that_builds_have_filled_and_the_cluster_lives(
    lab, busybox, needed, tmp_path
):
    if reason := engines.why_not("cron", "crontab", "unshare"):
        pytest.skip(reason)
    assert fill_with_builds(lab, busybox) > 5
    assert disk(lab)["over"]
    run_by_cron(lab, tmp_path)
    small = disk(lab)
    assert small["used"] <= small["low"]
    all_answer(lab)
    still_there(lab)
    stop_and_start(lab)
    journal = lab.json("prune", "--history")["entries"]
    removed = [e for e in journal if e["event"] == "removed" and e["who"] == "schedule"]
    began = [e["id"] for e in journal if e["event"] == "remove"]
    assert removed
    assert {e["id"] for e in removed} <= set(began)
    assert "freed" in lab.json("schedule", "status", check=False)["last"]["says"]
    assert not lab.json("schedule", "status", check=False)["installed"], (
        "the crontab that it was in is gone"
    )
    lab.devenv("schedule", "remove")
    assert not list((lab.folder / "state" / "devenv").glob("schedule*"))


def run_by_cron(lab: Lab, folder: Path) -> None:
    """Have the real cron run what is installed, at the next minute but one, in a world of its own."""
    tabs = folder / "crontabs"
    tabs.mkdir(mode=0o1730)
    at = (datetime.now().astimezone() + timedelta(seconds=75)).strftime("%H:%M")
    script = folder / "cron.sh"
    script.write_text(CRON)
    pidfile = folder / "pid"
    pidfile.touch()
    profile = ("--profile", str(lab.profile))
    argv = [
        "unshare",
        "--mount",
        "sh",
        script,
        tabs,
        pidfile,
        *lab.argv("schedule", "install", "--at", at, *profile),
    ]
    with (folder / "cron.log").open("wb") as log:
        cron = subprocess.Popen([str(a) for a in argv], env=lab.env, stdout=log, stderr=log)
    try:
        last = lab.folder / "state" / "devenv" / "schedule-last.json"
        lab.eventually(
            "the scheduled run",
            lambda: "" if last.exists() else (folder / "cron.log").read_text()[-300:] or "it",
            400,
        )
        assert json.loads(last.read_text())["says"]
        assert "schedule run" in next(tabs.iterdir()).read_text()
    finally:
        cron.terminate()
        cron.wait(30)


def fill_to_the_last_byte(folder: Path, user: int) -> Path:
    """Write as that user until nothing is left for anybody but root, or for root either."""
    hole = folder / f"hole-{user}"
    stat = os.statvfs(folder)
    free_blocks = stat.f_bfree if user == 0 else stat.f_bavail
    # The most of it without writing it, then what is left.
    large = max(0, free_blocks * stat.f_frsize - 64 * MIB)
    with hole.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, large or 1)
        os.lseek(file.fileno(), 0, os.SEEK_END)
        for size in ("1M", "4k"):
            argv = ["dd", "if=/dev/zero", f"bs={size}"]
            subprocess.run(argv, user=user, stdout=file, stderr=subprocess.DEVNULL, check=False)
    assert os.statvfs(folder).f_bavail == 0
    return hole


def test_it_works_on_a_disk_with_nothing_left_and_a_node_that_is_stopped(
    lab, busybox, small_disk, needed
):
    lab.docker("stop", lab.node)
    try:
        for user in (65534, 0):
            for number in range(3):
                build(lab, busybox, 100 * user + number)
            hole = fill_to_the_last_byte(small_disk.root, user)
            try:
                before = lab.json("prune", "--history")["entries"]
                told = lab.json("prune", "--yes", check=False)
                after = lab.json("prune", "--history")["entries"]
            finally:
                hole.unlink()
            assert sum(r["kind"] == "dangling" for r in told["removed"]) >= 2, told
            assert told["estimated"] == pytest.approx(told["freed"], rel=0.05)
            assert {r["place"] for r in told["removed"]} <= {"engine", "host"}, (
                "a node that does not run stays as it is"
            )
            assert after[: len(before)] == before
            assert len(after) > len(before)
    finally:
        lab.devenv("up", "--profile", str(lab.profile))
    all_answer(lab)
    still_there(lab)
    assert (lab.folder / "state" / "devenv" / "disk" / "ballast").stat().st_size == 64 * MIB


def test_killed_in_the_middle_it_leaves_a_consistent_state(lab, busybox, needed):
    lab.devenv("prune", "--free", "2Gi", "--yes", check=False)  # what the tests before have left
    for number in range(12):
        build(lab, busybox, number, size=100)
    before = len(lab.json("prune", "--history")["entries"])
    argv = lab.argv("prune", "--free", "1100Mi", "--yes")
    with subprocess.Popen(
        argv, env=lab.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        journal = Ring(lab.folder / "state" / "devenv" / "disk", "journal")
        begun = lambda: len(journal.read()) > before + 1 or run.poll() is not None  # noqa: E731
        until(
            "the first removal",
            lambda: "" if begun() else "it",
            Deadline(SystemClock(), 60),
            pause=0.005,
        )
        assert run.poll() is None, "it ended before it could be killed"
        run.send_signal(signal.SIGKILL)
    entries = lab.json("prune", "--history")["entries"][before:]
    assert {e["event"] for e in entries} <= {"remove", "removed", "skipped"}
    still_there(lab)
    told = lab.json("prune", "--free", "100Mi", "--yes")
    assert told["freed"] >= 100 * MIB
    all_answer(lab)


def test_without_leave_nothing_is_removed(lab, busybox):
    """With auto_prune: no, a command that needs room is refused and says how to make it."""
    fill_with_builds(lab, busybox, 2000)
    before = set(lab.docker("images", "-q", "--no-trunc").split())
    refused = lab.devenv("reload-image", "vllm-mock", "--profile", str(lab.profile), check=False)
    assert refused.returncode == 3, refused.stderr
    assert "budget ends at" in refused.stderr
    assert "devenv prune" in refused.stderr
    assert set(lab.docker("images", "-q", "--no-trunc").split()) == before
    told = lab.json("prune", "--yes")
    assert not any(d["left"] for d in told["disks"])


@pytest.fixture
def defaults(lab) -> tuple[str, str]:
    """A profile without any setting of the tests' own but the port."""
    profile = lab.folder / "defaults.yaml"
    profile.write_text(f"extends: offline\nname: test\ngateway: {{host_port: {lab.port}}}\n")
    return ("--profile", str(profile))


@pytest.fixture
def little_room(lab):
    """Leave so little of the disk that a few builds fill it, whatever the tests before have left."""
    lab.docker("image", "rm", JUNK, check=False)
    lab.devenv("prune", "--free", "3Gi", "--yes", check=False)
    assert free_bytes(lab) >= 1500 * MIB
    filler = lab.folder / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 1 + free_bytes(lab) - 1500 * MIB)
    yield
    filler.unlink()


def free_bytes(lab: Lab) -> int:
    stat = os.statvfs(lab.folder)
    return stat.f_bavail * stat.f_frsize


def build_mock(lab: Lab, refs: list[str], number: int, size: int) -> None:
    """Build the model's image anew, as a user would after a changed line."""
    base, mock = (next(ref for ref in refs if name in ref) for name in ("busybox", "vllm-mock"))
    more = (
        f'COPY --from={mock} /vllm-mock /vllm-mock\nUSER 65532:65532\nENTRYPOINT ["/vllm-mock"]\n'
    )
    build(lab, base, number, MOCK, size, more)


def mock_images(lab: Lab) -> list[str]:
    """What the node has of it: by its name, and to return to."""
    listed = json.loads(lab.docker("exec", lab.node, "crictl", "images", "-o", "json"))["images"]
    names = [name for image in listed for name in image["repoTags"]]
    return [name for name in names if name == MOCK or name.startswith("devenv.local/superseded:")]


def run_scheduled(lab: Lab, profile: str) -> dict:
    """Run what `schedule install` would have run, without waiting for its time."""
    job = {
        "hour": 11,
        "minute": 45,
        "weekdays": False,
        "recover": False,
        "cluster": lab.cluster,
        "profile": profile,
    }
    file = lab.folder / "job.json"
    file.write_text(json.dumps({**job, "python": "python", "environment": {}}))
    return lab.json("schedule", "run", "--job", str(file), check=False)


def test_a_day_of_builds_and_reloads_is_healed_by_recover_and_kept_off_by_the_job(
    lab, built_refs, defaults, little_room
):
    """All with default settings: what a day's builds leave is younger than any that those protect."""
    number, reloads = 0, 0
    while True:
        number += 1
        build_mock(lab, built_refs, number, 250)
        reloaded = lab.devenv("reload-image", "vllm-mock", *defaults, check=False)
        if reloaded.returncode == 3:
            break
        assert reloaded.returncode == 0, reloaded.stderr
        reloads += 1
    assert reloads >= 2
    assert len(mock_images(lab)) == 2
    while free_bytes(lab) > 0:
        number += 1
        build_mock(lab, built_refs, number, min(250, free_bytes(lab) // MIB + 1))

    facts = lab.folder / "full.json"
    found = lab.json("doctor", "--save", str(facts), *defaults, check=False)
    assert found["causes"][0]["code"] == "DE201"
    waste = [w for w in json.loads(facts.read_text())["waste"] if w["place"] == "engine"]
    # How many builds the disk takes differs; one of them is what `--undo` returns to.
    assert sum(w["count"] for w in waste if w["former_name"] == MOCK) >= 1
    returns = lab.json("reload-image", "vllm-mock", "--undo", "--dry-run")
    lab.json("recover", "--yes", *defaults)
    assert lab.doctor()["healthy"]
    assert not disk(lab)["over"]
    assert lab.json("reload-image", "vllm-mock", "--undo", "--dry-run") == returns
    lab.docker("image", "inspect", MOCK)

    room, built = free_bytes(lab), 0
    while built <= room:
        for _ in range(2):
            number, built = number + 1, built + 120 * MIB
            build_mock(lab, built_refs, number, 120)
            assert free_bytes(lab) > 0
        run_scheduled(lab, defaults[1])
    lab.devenv("reload-image", "vllm-mock", *defaults)
    assert free_bytes(lab) > 0
    assert len(mock_images(lab)) == 2
    assert lab.doctor()["healthy"]
