import json

import pytest

from devenv import data
from devenv.base.errors import DevenvError
from devenv.profiles.variant import Variant
from devenv.state.choice import Availability, choose
from devenv.state.record import Record, Records

FOLDER = data.root() / "profiles"


def names(choice):
    return choice.profile.name, choice.profile.version


@pytest.mark.parametrize(("is_at_hand", "name"), [(True, "aibrix"), (False, "offline")])
def test_a_new_cluster_gets_what_can_be_had_and_the_reason_is_kept(fakes, is_at_hand, name):
    chosen = choose(
        fakes.host, "c", None, FOLDER, at_hand=lambda _: Availability(is_at_hand, "reason")
    )
    assert chosen.profile.name == name
    assert chosen.reason == "reason"


def test_nobody_else_asks_a_registry(fakes):
    assert choose(fakes.host, "c", None, FOLDER).profile.name == "offline"


def test_what_is_aibrixs_means_aibrix(fakes):
    chosen = choose(
        fakes.host,
        "c",
        None,
        FOLDER,
        Variant(version="v0.4.1"),
        at_hand=lambda _: pytest.fail("it is said already"),
    )
    assert names(chosen) == ("aibrix", "v0.4.1")


def test_a_cluster_remembers_its_variant(fakes):
    variant = Variant("v0.6.0", ("metadata-service",), ("/a.yaml",))
    Records(fakes.host).write(Record("c", "aibrix", nodes=("n",), variant=variant))
    chosen = choose(fakes.host, "c", None, FOLDER)
    assert names(chosen) == ("aibrix", "v0.6.0")
    assert chosen.variant == variant
    assert choose(fakes.host, "c", "offline", FOLDER).variant == Variant(), (
        "of another profile it is not"
    )


@pytest.mark.parametrize("is_at_hand", [True, False])
def test_a_port_alone_does_not_choose_aibrix(fakes, is_at_hand):
    at_hand = lambda _: Availability(is_at_hand, "reason")  # noqa: E731
    chosen = choose(fakes.host, "c", None, FOLDER, Variant(port=8890), at_hand)
    assert (chosen.profile.name == "aibrix") == is_at_hand
    assert chosen.profile.gateway.host_port == 8890


def test_a_cluster_remembers_its_port(fakes):
    record = Record("c", "offline", base="offline", nodes=("n",), variant=Variant(port=8890))
    Records(fakes.host).write(record)
    assert choose(fakes.host, "c", None, FOLDER).profile.gateway.host_port == 8890
    assert choose(fakes.host, "c", None, FOLDER, Variant(port=1)).profile.gateway.host_port == 1


def test_a_record_of_an_older_devenv_has_no_variant(fakes):
    records = Records(fakes.host)
    records.write(Record("c", "offline", nodes=("n",)))
    content = json.loads(records.path("c").read_text())
    del content["variant"], content["base"], content["version"]
    records.path("c").write_text(json.dumps(content))
    assert choose(fakes.host, "c", None, FOLDER).variant == Variant()


def test_broken_settings_stop_who_changes_things_and_not_who_looks(fakes):
    settings = fakes.host.config_dir() / "config.yaml"
    settings.parent.mkdir(parents=True)
    settings.write_text("keep_newer: 3\ncolour: red\n")
    with pytest.raises(DevenvError):
        choose(fakes.host, "c", None, FOLDER)
    warnings: list[DevenvError] = []
    chosen = choose(fakes.host, "c", None, FOLDER, warn=warnings.append)
    (warning,) = warnings
    assert f"{settings}:2: colour: " in warning.why
    settings.unlink()
    assert chosen.profile == choose(fakes.host, "c", None, FOLDER).profile


def test_a_profile_s_file_is_remembered_whatever_its_ending(fakes, tmp_path):
    (tmp_path / "mine.v2").write_text("extends: offline\nname: mine\n")
    assert choose(fakes.host, "c", str(tmp_path / "mine.v2"), FOLDER).name == str(
        tmp_path / "mine.v2"
    )
