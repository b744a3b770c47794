"""What devenv 0.1.0 before its redesign remembered of a real disk is read, and goes on being used."""

import json
import shutil

import pytest

from devenv.disk.history import History
from tests.paths import ROOT

SAVED = ROOT / "tests" / "saved"
ENGINE = "ENGINE"


@pytest.fixture
def history(fakes):
    remembered = History(fakes.host, fakes.clock)
    remembered.folder.mkdir(parents=True)
    for name in ("uses", "came", "called", "volumes"):
        shutil.copy(SAVED / f"{name}.json", remembered.folder / f"{name}-{ENGINE}.json")
    shutil.copy(SAVED / "named.json", remembered.folder / f"named-{ENGINE}-devenv.json")
    shutil.copy(SAVED / "samples.0", remembered.folder)
    return remembered


def saved(name):
    return json.loads((SAVED / f"{name}.json").read_text())


def test_uses_and_arrivals_of_images_are_known(history, fakes):
    fakes.clock.time = saved("uses")["asked"]
    assert history.learn_uses(ENGINE, lambda _: []) == saved("uses")["images"]
    assert history.learn_arrivals(ENGINE, saved("came")["there"]) == saved("came")["came"]


def test_former_names_owners_and_what_workloads_name_are_known(history):
    assert history.former_names(ENGINE, {}) == saved("called")["images"]
    owners = history.learn_volume_owners(ENGINE, saved("volumes")["owners"], {})
    assert {v: [o.container, o.cluster] for v, o in owners.items()} == saved("volumes")["owners"]
    assert history.learn_workload_images("devenv", ENGINE, None) == frozenset(
        saved("named")["images"]
    )


def test_samples_are_known(history):
    assert history.samples("65024") == [(1795954305.804383, 200723505152)]
