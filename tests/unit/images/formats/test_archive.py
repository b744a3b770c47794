import gzip
import hashlib
import io
import json
import lzma
import tarfile
from pathlib import Path

import pytest
import zstandard

from devenv.base.errors import DevenvError, Exit
from devenv.base.image_names import normalise
from devenv.images.formats import archive

CONFIG = json.dumps({"architecture": "amd64", "os": "linux"}).encode()
CONFIG_ID = f"sha256:{hashlib.sha256(CONFIG).hexdigest()}"


def write(
    path: Path,
    names: list[str],
    *,
    config: bytes = CONFIG,
    drop: str = "",
    index: bool = False,
    extra=None,
) -> Path:
    """Write what `docker save` writes, less the member `drop`."""
    members = {
        "layer/layer.tar": b"x" * 5000,
        "config.json": config,
        "manifest.json": json.dumps(
            [{"Config": "config.json", "RepoTags": names, "Layers": ["layer/layer.tar"]}]
        ).encode(),
    }
    if index:
        entry = {
            "digest": "sha256:manifest",
            "annotations": {"io.containerd.image.name": normalise(names[0])},
        }
        members["index.json"] = json.dumps({"manifests": [entry]}).encode()
    members |= extra or {}
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            if name != drop:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def test_an_archive_tells_names_ids_and_architecture(tmp_path: Path):
    (found,) = archive.list_images(
        write(tmp_path / "a.tar", ["example.com/x:1", "example.com/x:2"])
    )
    assert found.names == ("example.com/x:1", "example.com/x:2")
    assert (found.ids, found.architecture) == ({CONFIG_ID}, "amd64")


def test_newer_engines_call_an_image_by_its_manifest(tmp_path: Path):
    (found,) = archive.list_images(write(tmp_path / "a.tar", ["redis:7"], index=True))
    assert found.ids == {CONFIG_ID, "sha256:manifest"}


def test_an_archive_may_be_compressed(tmp_path: Path):
    plain = write(tmp_path / "a.tar", ["example.com/x:1"])
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(plain.read_bytes()))
    (tmp_path / "a.tar.zst").write_bytes(zstandard.compress(plain.read_bytes()))
    for name in ("a.tar.gz", "a.tar.zst"):
        assert archive.list_images(tmp_path / name)[0].names == ("example.com/x:1",)


BREAK = {
    "missing": lambda path, whole: path.unlink(),
    "text": lambda path, whole: path.write_text("no archive"),
    "cut off": lambda path, whole: path.write_bytes(whole[:3000]),
    "no manifest": lambda path, whole: write(path, ["x:1"], drop="manifest.json"),
    "no layer": lambda path, whole: write(path, ["x:1"], drop="layer/layer.tar"),
    "bad config": lambda path, whole: write(path, ["x:1"], config=b"{}"),
    "cut off, compressed": lambda path, whole: path.write_bytes(gzip.compress(whole)[:200]),
    "null name": lambda path, whole: write(path, [None], drop="config.json"),
    "no xz": lambda path, whole: path.write_bytes(lzma.compress(whole)[:40] + b"x" * 400),
    "bad index": lambda path, whole: write(
        path, ["x:1"], extra={"index.json": b'{"manifests": [1]}'}
    ),
    "folder": lambda path, whole: (path.unlink(), path.mkdir()),
    "empty": lambda path, whole: path.write_bytes(b""),
    "zip": lambda path, whole: path.write_bytes(b"PK\x03\x04" + whole),
    "device": lambda path, whole: (path.unlink(), path.symlink_to("/dev/zero")),
    "zstd, cut off": lambda path, whole: path.write_bytes(zstandard.compress(whole)[:60]),
    "null manifest": lambda path, whole: write(path, ["x:1"], extra={"manifest.json": b"null"}),
    "no images": lambda path, whole: write(path, ["x:1"], extra={"manifest.json": b"[]"}),
    "null image": lambda path, whole: write(path, ["x:1"], extra={"manifest.json": b"[null]"}),
    "null layers": lambda path, whole: write(
        path, ["x:1"], extra={"manifest.json": b'[{"Config": "config.json"}]'}
    ),
    "nested": lambda path, whole: write(path, ["x:1"], extra={"manifest.json": b"[" * 100_000}),
}


@pytest.mark.parametrize("how", BREAK)
def test_what_is_no_archive_is_refused_with_how_to_make_one(tmp_path: Path, how: str):
    path = tmp_path / "a.tar"
    BREAK[how](path, write(path, ["x:1"]).read_bytes())
    with pytest.raises(DevenvError) as caught:
        archive.list_images(path)
    assert caught.value.exit_code == Exit.USAGE
    assert str(path) in caught.value.what
    assert "docker save" in caught.value.next_step
    assert "Traceback" not in str(caught.value)
    assert "NoneType" not in str(caught.value)
