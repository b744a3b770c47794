"""The shape of `-o json` is a promise. A change here is a new version."""

from devenv.ui.configuration import configuration_shape
from devenv.workstation.configuration import Configuration, Entry

CONFIGURATION = Configuration(
    (
        Entry("cluster", "devenv", "default"),
        Entry("engine", "", "", "The Docker context x does not exist."),
        Entry("budgets.host.keep_free", "3Gi", "/home/me/.config/devenv/config.yaml:3"),
    ),
    {"NO_COLOR": "1"},
)


def test_shape_of_config_view():
    shape = configuration_shape(CONFIGURATION)
    assert shape["variables"] == {"NO_COLOR": "1"}
    assert shape["values"][0] == {
        "name": "cluster",
        "value": "devenv",
        "source": "default",
        "problem": "",
    }
    assert [value["name"] for value in shape["values"]] == [
        "cluster",
        "engine",
        "budgets.host.keep_free",
    ]
