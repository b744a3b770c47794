"""Archives that are damaged anywhere are read or refused as what they are: never a crash, never a hang."""

import gzip
import json

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from devenv.base.errors import Exit
from devenv.images.formats import archive, image_file
from tests.fuzz.mutations import bounded, kinds, odd_values, refusal, with_value
from tests.unit.images.formats.test_image_file import (
    CONFIG,
    _new_list,
    blob,
    descriptor,
    folder,
    layout,
    packed,
    saved,
    tar,
)


@pytest.fixture(scope="module")
def wholes(tmp_path_factory) -> list[bytes]:
    """Whole archives of every form, as bytes."""
    home = tmp_path_factory.mktemp("whole")
    plain = tar(home / "a", saved()).read_bytes()
    return [
        plain, gzip.compress(plain), zstandard.compress(plain), tar(home / "b", layout(packed)).read_bytes(),
        tar(home / "c", {**layout(zstandard.compress), "manifest.json": _new_list(zstandard.compress)}).read_bytes(),
    ]  # fmt: skip


def refused(path) -> None:
    for look in (
        lambda: image_file.read_images(path, "amd64", lambda *_: None),
        lambda: archive.list_images(path),
    ):
        if error := refusal(look):
            assert error.exit_code == Exit.USAGE
            assert str(path) in error.what


@bounded(150)
@given(data=st.data())
def test_bytes_that_are_other_ones(tmp_path_factory, wholes, data):
    content = bytearray(data.draw(st.sampled_from(wholes)))
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.integers(0, max(0, len(content) - 1)))
        how = data.draw(st.sampled_from(["change", "cut", "insert"]))
        if how == "change" and content:
            content[where] = data.draw(st.integers(0, 255))
        elif how == "cut":
            del content[where:]
        else:
            content[where:where] = data.draw(st.binary(max_size=20))
    path = tmp_path_factory.mktemp("archive") / "a.tar"
    path.write_bytes(content)
    refused(path)


LISTED = json.loads(saved()["manifest.json"])
FILES = layout()
(INDEX,) = [json.loads(content) for name, content in FILES.items() if name == "index.json"]
(MANIFEST,) = [json.loads(content) for content in FILES.values() if b'"layers"' in content]
PLACES = [
    *(("list", path) for path in kinds(LISTED)),
    *(("config", path) for path in kinds(json.loads(CONFIG))),
    *(("index", path) for path in kinds(INDEX)),
    *(("manifest", path) for path in kinds(MANIFEST)),
]


@bounded(120)
@given(place=st.sampled_from(PLACES), value=odd_values)
def test_values_that_are_odd(tmp_path_factory, place, value):
    which, path = place
    home = tmp_path_factory.mktemp("archive")
    if which == "list":
        changed = json.dumps(with_value(LISTED, path, value)).encode()
        refused(tar(home / "a.tar", saved(**{"manifest.json": changed})))
    elif which == "config":
        changed = json.dumps(with_value(json.loads(CONFIG), path, value)).encode()
        refused(tar(home / "a.tar", saved(**{"c.json": changed})))
    elif which == "index":
        changed = json.dumps(with_value(INDEX, path, value)).encode()
        refused(folder(home / "a", {**FILES, "index.json": changed}))
    else:
        manifest = json.dumps(with_value(MANIFEST, path, value)).encode()
        index = {"manifests": [descriptor(manifest, "manifest.v1+json")]}
        refused(
            folder(
                home / "a",
                {**FILES, blob(manifest): manifest, "index.json": json.dumps(index).encode()},
            )
        )
