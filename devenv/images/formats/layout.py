"""Writes OCI layouts as tar archives: blobs, image manifests, and the index that names images."""

import hashlib
import json
import tarfile
from collections.abc import Iterator, Sequence
from enum import StrEnum

from devenv.base.json_types import JsonObject

# The folder of blobs. The rest of a blob's path is its digest, without "sha256:".
BLOBS = "blobs/sha256/"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
# The two empty blocks that end a tar archive.
ARCHIVE_END = bytes(2 * tarfile.BLOCKSIZE)


class Packing(StrEnum):
    """How a layer's tar is packed, as its media type."""

    NONE = "application/vnd.oci.image.layer.v1.tar"
    GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
    ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"


def detect_packing(head: bytes) -> Packing:
    """Tell how a layer is packed from the first bytes of its blob."""
    if head.startswith(b"\x1f\x8b"):
        return Packing.GZIP
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return Packing.ZSTD
    return Packing.NONE


def entry(digest: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield a blob of a layout as a member of a tar archive."""
    yield _header(_blob_path(digest), size)
    yield from chunks
    yield tar_padding(size)


def manifest_of(config: bytes, layers: Sequence[tuple[Packing, str, int]]) -> bytes:
    """Return an image manifest. A layer is its packing, its blob's digest and its blob's bytes."""
    config_descriptor = {"mediaType": _CONFIG, "digest": digest_of(config), "size": len(config)}
    layer_descriptors = [
        {"mediaType": packing.value, "digest": digest, "size": size}
        for packing, digest, size in layers
    ]
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": config_descriptor,
            "layers": layer_descriptors,
        }
    )


def finish(images: Sequence[tuple[str, bytes, bytes]]) -> Iterator[bytes]:
    """Yield the end of a layout, which names its images.

    An image is its name, config and manifest.
    """
    descriptors = [_named_descriptor(name, manifest) for name, _, manifest in images]
    documents: dict[str, bytes] = {}
    for _, config, manifest in images:
        documents[_blob_path(digest_of(config))] = config
        documents[_blob_path(digest_of(manifest))] = manifest
    for path, content in documents.items():
        yield tar_file(path, content)
    yield tar_file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    yield tar_file("index.json", _json({"schemaVersion": 2, "manifests": descriptors}))
    yield ARCHIVE_END


def _named_descriptor(name: str, manifest: bytes) -> JsonObject:
    return {
        "mediaType": _MANIFEST,
        "digest": digest_of(manifest),
        "size": len(manifest),
        "annotations": {"io.containerd.image.name": name},
    }


def digest_of(content: bytes) -> str:
    """Return the digest as registries spell it."""
    hex_digits = hashlib.sha256(content).hexdigest()
    return f"sha256:{hex_digits}"


def _blob_path(digest: str) -> str:
    return BLOBS + digest.removeprefix("sha256:")


def tar_file(path: str, content: bytes) -> bytes:
    """Return a whole file as a member of a tar archive."""
    return _header(path, len(content)) + content + tar_padding(len(content))


def _header(path: str, size: int) -> bytes:
    info = tarfile.TarInfo(path)
    info.size = size
    return info.tobuf(format=tarfile.GNU_FORMAT)


def tar_padding(size: int) -> bytes:
    """Return the bytes that fill the last block of a member of this size."""
    return bytes(-size % tarfile.BLOCKSIZE)


def _json(content: JsonObject) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
