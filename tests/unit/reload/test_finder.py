from dataclasses import replace

import pytest

from devenv import data
from devenv.ports.engine import Image
from devenv.profiles.load import load
from devenv.reload.finder import BadImageError, ImageFinder, is_id_of, only_name

IMAGE = Image("sha256:new", "amd64", 40, {}, ("a:1",))


@pytest.mark.parametrize(
    ("ref", "is_id"),
    [("0123456789ab", True), ("sha256:0123456789ab", True), ("sha256:" + "0123456789ab" * 5 + "0123", True), ("ba9876543210", False),
     ("012345", True), ("redis:7", False)],
)  # fmt: skip
def test_an_id_is_told_as_docker_prints_it(ref, is_id):
    image = replace(IMAGE, id="sha256:" + "0123456789ab" * 5 + "0123")
    assert is_id_of(ref, image) is is_id


def test_a_name_that_looks_like_an_id_is_a_name():
    assert not is_id_of("cafe00", replace(IMAGE, id="sha256:cafe00", tags=("cafe00:latest",)))


def test_an_image_that_is_called_by_its_id_goes_by_its_only_name():
    assert only_name("0123456789ab", replace(IMAGE, tags=("a:1",))) == "a:1"
    for tags in ((), ("a:1", "b:1")):
        with pytest.raises(BadImageError, match="--as"):
            only_name("0123456789ab", replace(IMAGE, tags=tags))


@pytest.mark.parametrize(
    "asked", ["devenv.local/vllm-mok:reference", "devenv.local/vllm-mock:reference"]
)
def test_an_image_that_the_engine_lacks_is_never_confused_with_what_a_recipe_built(
    fakes, asked, check_message
):
    fakes.engine.add("devenv.local/vllm-mok:0123456789abcdef")
    profile = load("offline", data.root() / "profiles")
    finder = ImageFinder("c", profile, fakes.engine, fakes.reporter)
    check_message(finder.absent(asked))
