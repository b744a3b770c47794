"""The loop on AIBrix's own source, by hand: `DEVENV_AIBRIX_CHECKOUT=PATH pytest -m real_aibrix`.

The checkout is copied, since the tests change it. DEVENV_AIBRIX_VERSION says which release it is of; main, if it is empty.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cluster.lab import Lab

pytestmark = [pytest.mark.real_aibrix, pytest.mark.timeout(1800)]
MAIN = Path("cmd") / "plugins" / "main.go"
BEGIN = "\tflag.Parse()\n"
PANIC = f'{BEGIN}\tpanic("a test made me")\n'


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the checkout with a commit of its own."""
    copy = tmp_path_factory.mktemp("real") / "aibrix"
    shutil.copytree(
        os.environ["DEVENV_AIBRIX_CHECKOUT"],
        copy,
        symlinks=True,
        ignore=shutil.ignore_patterns(".git"),
    )
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"]
    for argv in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "as it was"]):
        subprocess.run([*git, *argv], cwd=copy, check=True)
    return copy


@pytest.fixture(scope="module")
def lab(at_hand, source, tmp_path_factory):
    version = os.environ.get("DEVENV_AIBRIX_VERSION", "")
    chosen = ("--checkout", str(source), *(("--aibrix-version", version) if version else ()))
    made = Lab(tmp_path_factory.mktemp("lab"), "devenv-test-real", base="aibrix", chosen=chosen)
    made.devenv("down", check=False)
    made.first = made.up()
    yield made
    made.devenv("down")


@pytest.fixture
def plugins(source):
    """The plugins' main.go, put back at the end."""
    path = source / MAIN
    before = path.read_text()
    assert BEGIN in before
    yield path
    path.write_text(before)


def test_it_answers_on_every_route(lab):
    assert {r["ok"] for r in lab.first["requests"]} == {True}


def test_a_panic_is_rolled_back_and_repaired_code_is_not_blamed_for_it(lab, plugins):
    before = plugins.read_text()
    plugins.write_text(before.replace(BEGIN, PANIC))
    failed = lab.devenv("reload-image", "gateway-plugins", "--build", "--rollback", check=False)
    assert failed.returncode == 1
    assert "panic: a test made me" in failed.stderr
    assert lab.request("extension")["ok"]
    plugins.write_text(before.replace(BEGIN, f'{BEGIN}\tklog.Info("repaired")\n'))
    told = lab.json("reload-image", "gateway-plugins", "--build")
    assert told["restarted"] == ["gateway-plugins"]
    assert all(r["ok"] for r in told["requests"])


def test_a_crashing_reload_leaves_the_gateway_answering_and_undo_returns(lab, plugins):
    plugins.write_text(plugins.read_text().replace(BEGIN, PANIC))
    assert lab.devenv("reload-image", "gateway-plugins", "--build", check=False).returncode == 1
    assert lab.request("extension")["ok"], "the old pod answers"
    lab.json("reload-image", "gateway-plugins", "--undo")
    assert all(r["ok"] for r in lab.json("up")["requests"])
    assert lab.doctor()["healthy"]


def test_up_compiles_nothing_in_a_cluster_that_runs(lab, plugins):
    # The test before returned to an image, which `up` would keep without naming the command.
    lab.devenv("reload-image", "gateway-plugins", "--build")
    plugins.write_text(f"{plugins.read_text()}\n// changed\n")
    told = lab.devenv("up")
    assert "build gateway-plugins" not in told.stderr
    assert "reload-image gateway-plugins --build" in told.stderr
