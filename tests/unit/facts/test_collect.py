import pytest

from devenv.facts.collect import akin, repository
from tests.unit.diagnosis.test_incidents import read


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("docker.io/library/redis:latest", "redis"),
        ("redis", "redis"),
        ("localhost:5000/a/b", "localhost:5000/a/b"),
        ("localhost:5000/a/b:c", "localhost:5000/a/b"),
        ("aibrix/x:nightly@sha256:0123", "aibrix/x"),
    ],
)
def test_a_repository_is_a_name_without_tag_and_digest(image, name):
    assert repository(image) == name


def test_of_the_engines_images_others_are_nobodys_business():
    facts = read("healthy")
    names = ["devenv.local/vllm-mock:elsewhere", "redis:7.4", "secret/project:1", "envoyproxy/gateway:v2"]
    assert akin(names, facts.profile, facts.objects) == [
        "devenv.local/vllm-mock:elsewhere", "envoyproxy/gateway:v2", "redis:7.4",
    ]  # fmt: skip
