"""Archives that zstd packed are read forwards and backwards."""

import tarfile
from pathlib import Path

import pytest
import zstandard

from devenv.images.formats.opening import open_archive
from tests.unit.images.formats.test_image_file import tar

LARGE = {"a": b"a" * (3 << 20), "b": b"b" * (3 << 20), "c": b"c"}


@pytest.fixture
def packed(tmp_path) -> Path:
    path = tar(tmp_path / "a.tar", LARGE)
    path.write_bytes(zstandard.compress(path.read_bytes()))
    return path


def content(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def test_members_are_read_in_any_order(packed):
    with open_archive(packed) as archive:
        for name in ("c", "a", "b", "a"):
            assert content(archive, name) == LARGE[name]


def test_what_wants_to_look_back_too_far_is_refused(tmp_path):
    path = tar(tmp_path / "a.tar", LARGE)
    parameters = zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    path.write_bytes(packer.compress(path.read_bytes()) + packer.flush())
    with pytest.raises(ValueError, match="zstd"), open_archive(path) as archive:
        archive.getmembers()
