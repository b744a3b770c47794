import pytest

from devenv import data
from devenv.install.manifests import kind_config
from devenv.profiles.load import load
from devenv.profiles.variant import Variant
from devenv.state.ports import recorded_port
from devenv.state.record import Record


def test_the_port_is_that_of_the_config():
    profile = load("offline", data.root() / "profiles", Variant(port=9999))
    assert recorded_port(Record("c", "offline", config=kind_config(profile))) == 9999


def test_the_profiles_own_mappings_come_before_the_gateways():
    config = "nodes: [{extraPortMappings: [{hostPort: 1}, {hostPort: 2}]}]"
    assert recorded_port(Record("c", "offline", config=config)) == 2


@pytest.mark.parametrize("config", ["", "nodes: []", "nodes: [{role: worker}]", "a: [", "text"])
def test_a_config_without_a_port(config):
    assert recorded_port(Record("c", "offline", config=config)) == 0
