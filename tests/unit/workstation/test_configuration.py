import pytest

from devenv import data
from devenv.base.errors import DevenvError
from devenv.state.choice import choose
from devenv.workstation.configuration import DEFAULT, ConfigurationReader

# The source of what the profile has.
OFFLINE = "profile offline"


@pytest.fixture
def read(fakes):
    def run(**others):
        content = {
            "cluster_source": "DEVENV_CLUSTER",
            "profile_source": "",
            "choose": lambda: choose(
                fakes.host, "c", None, data.root() / "profiles", warn=lambda _: None
            ),
            "engine": lambda: ("unix:///socket", ""),
            "environment": {},
            **others,
        }
        configuration = ConfigurationReader(host=fakes.host, cluster="c", **content).read()
        return {entry.name: entry for entry in configuration.entries}, configuration.variables

    return run


def write_settings(fakes, text):
    path = fakes.host.config_dir() / "config.yaml"
    path.parent.mkdir()
    path.write_text(text)
    return path


def test_without_settings_all_is_the_profiles_or_a_default(read):
    entries, variables = read()
    assert variables == {}
    assert (entries["cluster"].value, entries["cluster"].source) == ("c", "DEVENV_CLUSTER")
    assert (entries["engine"].value, entries["engine"].source) == ("unix:///socket", DEFAULT)
    assert (entries["auto_prune"].value, entries["auto_prune"].source) == ("ask", OFFLINE)
    assert entries["keep_newer"].value == "24"
    assert entries["profile"].value == "offline"
    assert not any(entry.problem for entry in entries.values())


def test_a_value_of_the_settings_names_its_line(read, fakes):
    path = write_settings(
        fakes, "protect: [mine/*]\nbudgets:\n  host:\n    keep_free: 3Gi\nauto_prune: no\n"
    )
    entries, _ = read()
    assert entries["budgets.host.keep_free"].source == f"{path}:4"
    assert entries["budgets.host.keep_free"].value == "3Gi"
    assert entries["budgets.host.max_use"].source == OFFLINE
    assert entries["protect"].source == f"{OFFLINE}, {path}:1"
    assert (entries["auto_prune"].value, entries["auto_prune"].source) == ("no", f"{path}:5")


def test_broken_settings_are_named_and_count_for_nothing(read, fakes):
    write_settings(fakes, "auto_prune: no\ncolour: red\n")
    entries, _ = read()
    assert "colour" in entries["settings"].problem
    assert (entries["auto_prune"].value, entries["auto_prune"].source) == ("ask", OFFLINE)


def test_variables_that_matter_without_credentials(read):
    environment = {
        "KUBECONFIG": "/a:/b",
        "XDG_STATE_HOME": "/state",
        "https_proxy": "http://me:pa55word@proxy",
        "HTTP_PROXY": "http://tokenasuser@proxy",
        "NO_COLOR": "",
        "HOME": "/home/me",
    }
    entries, variables = read(environment=environment)
    assert set(variables) == {"KUBECONFIG", "XDG_STATE_HOME", "https_proxy", "HTTP_PROXY"}
    assert "pa55word" not in str(variables)
    assert "tokenasuser" not in str(variables)
    assert (entries["kubeconfig"].value, entries["kubeconfig"].source) == ("/a:/b", "KUBECONFIG")
    assert (entries["state"].source, entries["cache"].source) == ("XDG_STATE_HOME", DEFAULT)


def test_what_can_not_be_read_is_told_and_the_rest_is_there(read):
    def broken():
        raise DevenvError("broken")

    entries, _ = read(choose=broken, engine=broken, profile_source="--profile")
    assert (entries["profile"].problem, entries["engine"].problem) == ("broken", "broken")
    assert entries["profile"].source == "--profile"
    assert entries["cluster"].value == "c"


def test_the_address_of_an_engine_has_no_password(read):
    entries, _ = read(engine=lambda: ("tcp://me:pa55word@host", "DOCKER_HOST"))
    assert "pa55word" not in entries["engine"].value
    assert entries["engine"].source == "DOCKER_HOST"
