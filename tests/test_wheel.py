"""The wheel as a user installs it: in a fresh environment, run from another folder."""

import os
import subprocess
import sys
import tarfile
import venv

import pytest

from devenv import data

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--no-isolation",
            "--outdir",
            str(folder),
            str(data.root()),
        ],
        check=True,
        capture_output=True,
    )
    venv.create(folder / "env", with_pip=True)
    wheel = next(folder.glob("*.whl"))
    assert wheel.name.startswith("aibrix_devenv-")
    subprocess.run(
        [folder / "env" / "bin" / "pip", "install", "-q", str(wheel)],
        check=True,
        capture_output=True,
    )
    return folder / "env" / "bin" / "devenv"


def installed_alone() -> dict[str, str]:
    """An environment in which no checkout's code is found."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(program, cwd, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *args],
        cwd=cwd,
        env=installed_alone(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_brings_its_data_along(installed, tmp_path):
    assert run(installed, tmp_path, "--version").stdout.startswith("devenv, version ")
    script = (
        "from devenv import data; from devenv.profiles.load import load; from devenv.images.recipes import recipe\n"
        "root = data.root(); print(root, load('offline', root / 'profiles').name)\n"
        "print(len(recipe.load(root / 'images', 'amd64', '').recipes), (root / 'manifests/offline/models.yaml').exists())"
    )
    done = subprocess.run(
        [installed.parent / "python", "-c", script],
        cwd=tmp_path,
        env=installed_alone(),
        capture_output=True,
        text=True,
        check=True,
    )
    place, name, recipes, manifest = done.stdout.split()
    assert place.endswith("devenv/_data")
    assert name == "offline"
    assert int(recipes) >= 14
    assert manifest == "True"
    assert "DE401" in run(installed, tmp_path, "doctor", "--list").stdout
    seen = data.root() / "tests" / "incidents" / "the-incident" / "facts.json"
    assert run(installed, tmp_path, "doctor", "--from", str(seen), "-o", "html").stdout.startswith(
        "<!DOCTYPE html>"
    )
    assert (
        "aibrix-core-crds-v0.7.0.yaml"
        in run(installed, tmp_path, "profile", "show", "aibrix").stdout
    )


def test_the_wheel_finds_what_a_checkout_has_built(installed, tmp_path):
    """Keys follow content, so an installed devenv and a checkout of the same version share images and caches."""
    checkout = run(sys.executable, tmp_path, "-m", "devenv", "images", "list", "-o", "json")
    if checkout.returncode == 3:
        pytest.skip("no engine answers")
    assert run(installed, tmp_path, "images", "list", "-o", "json").stdout == checkout.stdout


def test_the_sdist_has_all_that_the_wheel_is_made_of(tmp_path):
    argv = [
        sys.executable,
        "-m",
        "build",
        "--sdist",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
        str(data.root()),
    ]
    subprocess.run(argv, check=True, capture_output=True)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as sdist:
        packed = {name.partition("/")[2] for name in sdist.getnames()}
    folders = ("devenv", "profiles", "manifests", "images")
    listed = subprocess.run(
        ["git", "ls-files", "-z", *folders],
        cwd=data.root(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(listed.stdout.strip("\0").split("\0")) - packed == set()
