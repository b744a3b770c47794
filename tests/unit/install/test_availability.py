"""Whether a new cluster can have AIBrix here, and why."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from devenv import data
from devenv.install.availability import Sources
from devenv.profiles.load import load


@pytest.fixture
def profile():
    return load("aibrix", data.root() / "profiles")


def sources(tmp_path, *, images: bool, manifests: bool, registry: str = "", address: str = ""):
    manifest = tmp_path / "manifest.yaml"
    if manifests:
        manifest.touch()
    downloads = SimpleNamespace(path=lambda _url, _sum: Path(manifest))
    provider = SimpleNamespace(obtainable=lambda _images: images)
    return Sources(provider, downloads, lambda _ref: registry, lambda _url: address)


@pytest.mark.parametrize(("there", "refusals", "is_at_hand"), [
    ({"images": True, "manifests": True}, {"registry": "no route to host"}, True),
    ({"images": False, "manifests": True}, {"registry": "no route to host"}, False),
    ({"images": False, "manifests": False}, {}, True),
    ({"images": False, "manifests": False}, {"address": "it does not answer"}, False),
    ({"images": True, "manifests": False}, {"registry": "no route to host"}, False),
])  # fmt: skip
def test_aibrix_is_at_hand_if_all_of_it_is_or_can_be_had(
    tmp_path, profile, there, refusals, is_at_hand
):
    availability = sources(tmp_path, **there, **refusals).availability(profile)
    assert availability.is_at_hand == is_at_hand
    for words in refusals.values():
        assert is_at_hand or words in availability.reason
