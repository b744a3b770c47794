import pytest

from devenv.profiles.references import is_image_id, is_reference


@pytest.mark.parametrize("text", [
    "redis", "redis:7", "library/redis", "docker.io/library/redis:7.2-alpine", "localhost:5000/a/b_c:1", "[::1]:5000/a:1",
    "ghcr.io/org/a--b/c__d:V1_x", "kindest/node:v1.34.0@sha256:" + "0" * 64, "a@sha256:" + "f" * 64, "Host.example/a",
])  # fmt: skip
def test_what_is_a_reference(text):
    assert is_reference(text)


@pytest.mark.parametrize("text", [
    "", "Redis", "a b", "a:", ":1", "a:1:2", "/a", "a/", "a//b", "-a", "a:-1", "a@sha256:short", "a@sha256:" + "g" * 64,
    "a:" + "x" * 200, "x" * 600, "a\n", "ä", "a:{tag}", "http://a/b",
])  # fmt: skip
def test_what_is_none(text):
    assert not is_reference(text)


def test_an_id_is_told_from_a_name():
    assert is_image_id("0123456789ab")
    assert is_image_id("sha256:" + "0" * 64)
    assert not is_image_id("redis")
    assert not is_image_id("0123456789AB")
