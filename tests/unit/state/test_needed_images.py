"""Which images a prune must keep, as far as devenv remembers."""

from devenv import data
from devenv.profiles.load import load
from devenv.state.needed_images import loaded_images, profile_images, unproven_images
from devenv.state.record import Record, Records


def test_a_profiles_images_and_those_held_by_hand_are_needed():
    profile = load("offline", data.root() / "profiles")
    needed = profile_images(profile, Record("c", "offline", held=("docker.io/library/own:1",)))
    assert "docker.io/library/own:1" in needed
    assert "docker.io/envoyproxy/gateway:v1.2.8" in needed
    assert profile_images(profile, None) == needed - {"docker.io/library/own:1"}


def test_what_was_loaded_into_any_cluster_is_needed():
    records = [
        Record("a", "offline", loaded={"n1": {"x:1": "sha256:1"}, "n2": {"y:1": "sha256:2"}}),
        Record("b", "offline", loaded={"n3": {"x:1": "sha256:1"}}),
    ]
    assert loaded_images(records) == {"x:1", "y:1"}


def test_of_a_cluster_that_is_not_there_nothing_is_unproven(fakes):
    assert unproven_images(Records(fakes.host), "nowhere") == ()
