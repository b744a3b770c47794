"""What devenv 0.1.0 before its redesign saved of two real clusters is read whole, and written with the same keys."""

import json
import shutil

import pytest

from devenv.state import in_cluster
from devenv.state.record import Records, parse, spell
from tests.paths import ROOT

SAVED = ROOT / "tests" / "saved"
RECORDS = ("record.json", "record-of-a-checkout.json")


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_is_read_and_written_without_a_change(name):
    text = (SAVED / name).read_text()
    assert json.loads(spell(parse(text))) == json.loads(text)


@pytest.mark.parametrize("name", RECORDS)
def test_the_state_folder_is_read(fakes, name):
    cluster = json.loads((SAVED / name).read_text())["cluster"]
    file = Records(fakes.host).path(cluster)
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(SAVED / name, file)
    (record,) = Records(fakes.host).all()
    assert record.cluster == cluster
    assert record.made
    assert len(record.nodes) == 1


def test_the_record_of_a_checkout_has_its_images(fakes):
    record = parse((SAVED / "record-of-a-checkout.json").read_text())
    assert record.variant.checkout == "/home/me/src/aibrix"
    assert record.version == "main"
    images = {name for images in record.proven.values() for name in images}
    assert "docker.io/aibrix/gateway-plugins:nightly" in images


def test_the_clusters_own_record_is_read(fakes):
    config_map = json.loads((SAVED / "configmap.json").read_text())
    fakes.kube.apply(config_map)
    record = in_cluster.read(fakes.kube)
    assert record is not None
    assert (record.cluster, record.profile) == ("e2e", "aibrix-e2e")
    assert json.loads(spell(record)) == json.loads(config_map["data"]["record"])
