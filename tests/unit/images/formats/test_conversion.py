import gzip
import hashlib
import io
import json
import random
import tarfile

import pytest

from devenv.base.errors import DevenvError
from devenv.images.formats.conversion import LayoutConverter, rename_images


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


LAYERS = [random.Random(n).randbytes(5 << 20) if n else b"small layer" for n in range(3)]
DIFFS = [f"sha256:{sha(x)}" for x in LAYERS]
CONFIG = json.dumps({"architecture": "amd64", "rootfs": {"diff_ids": DIFFS}}).encode()


def tar(entries, links=()) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return out.getvalue()


def old(links=()) -> bytes:
    """As Docker up to 24 writes it: the names tell nothing, the manifest comes last."""
    paths = [f"v1-{n}/layer.tar" for n in range(3)]
    entries = [(p, x) for p, x in zip(paths, LAYERS, strict=True) if p not in dict(links)]
    manifest = json.dumps([{"Config": "c.json", "RepoTags": ["a:1"], "Layers": paths}]).encode()
    return tar(
        [*entries, ("c.json", CONFIG), ("v1-0/json", b"{}"), ("manifest.json", manifest)], links
    )


def new(pack=lambda x: x) -> bytes:
    """As Docker from 25 on writes it: blobs by their digest."""
    blobs = [pack(x) for x in LAYERS]
    paths = [f"blobs/sha256/{sha(b)}" for b in blobs]
    manifest = json.dumps(
        [{"Config": f"blobs/sha256/{sha(CONFIG)}", "RepoTags": ["a:1"], "Layers": paths}]
    ).encode()
    entries = [
        ("index.json", b"{}"),
        (f"blobs/sha256/{sha(CONFIG)}", CONFIG),
        *zip(paths, blobs, strict=True),
    ]
    return tar([*entries, ("manifest.json", manifest)])


def chunks(content: bytes, size: int = 100_000):
    return (content[i : i + size] for i in range(0, len(content), size))


NAMES = {"a:1": ["docker.io/library/a:1"]}


def unpack(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}


def convert(content: bytes, wanted, held=frozenset()):
    layout = LayoutConverter(NAMES, set(DIFFS), set(wanted), held)
    return layout, unpack(b"".join(layout.convert(chunks(content))))


@pytest.mark.parametrize("archive", [old(), new()], ids=["Docker 24", "Docker 25"])
@pytest.mark.parametrize("wanted", [[], [DIFFS[2]], [DIFFS[0], DIFFS[2]], DIFFS])
def test_only_the_wanted_layers_are_in_the_layout(archive, wanted):
    layout, files = convert(archive, wanted)
    for diff, content in zip(DIFFS, LAYERS, strict=True):
        path = f"blobs/sha256/{diff.removeprefix('sha256:')}"
        assert (path in files) == (diff in wanted)
        assert files.get(path, content) == content
    assert layout.sent == sum(len(x) for d, x in zip(DIFFS, LAYERS, strict=True) if d in wanted)


@pytest.mark.parametrize("archive", [old(), new()], ids=["Docker 24", "Docker 25"])
def test_the_manifest_names_all_layers_and_the_config_stays_as_it_is(archive):
    layout, files = convert(archive, [DIFFS[2]])
    (entry,) = json.loads(files["index.json"])["manifests"]
    assert entry["annotations"]["io.containerd.image.name"] == "docker.io/library/a:1"
    body = files[f"blobs/sha256/{entry['digest'].removeprefix('sha256:')}"]
    assert entry["digest"] == f"sha256:{sha(body)}"
    assert entry["size"] == len(body)
    manifest = json.loads(body)
    assert (
        manifest["config"]["digest"]
        == layout.configs["docker.io/library/a:1"]
        == f"sha256:{sha(CONFIG)}"
    )
    assert files[f"blobs/sha256/{sha(CONFIG)}"] == CONFIG
    assert [(x["digest"], x["size"]) for x in manifest["layers"]] == [
        (d, len(x)) for d, x in zip(DIFFS, LAYERS, strict=True)
    ]


def test_packed_blobs_of_the_containerd_store_keep_their_digests():
    """Their diff IDs are not known by their names, so they all go."""
    _, files = convert(new(lambda x: gzip.compress(x, mtime=0)), [DIFFS[2]])
    (entry,) = json.loads(files["index.json"])["manifests"]
    manifest = json.loads(files[f"blobs/sha256/{entry['digest'].removeprefix('sha256:')}"])
    assert {x["mediaType"] for x in manifest["layers"]} == {
        "application/vnd.oci.image.layer.v1.tar+gzip"
    }
    assert all(
        f"blobs/sha256/{x['digest'].removeprefix('sha256:')}" in files for x in manifest["layers"]
    )


def test_a_layer_that_is_a_link_to_another():
    same = [LAYERS[0], LAYERS[0], LAYERS[2]]
    config = json.dumps(
        {"architecture": "amd64", "rootfs": {"diff_ids": [DIFFS[0], DIFFS[0], DIFFS[2]]}}
    ).encode()
    paths = [f"v1-{n}/layer.tar" for n in range(3)]
    manifest = json.dumps([{"Config": "c.json", "RepoTags": ["a:1"], "Layers": paths}]).encode()
    content = tar(
        [(paths[0], same[0]), (paths[2], same[2]), ("c.json", config), ("manifest.json", manifest)],
        [(paths[1], "../v1-0/layer.tar")],
    )
    diffs = [DIFFS[0], DIFFS[0], DIFFS[2]]
    out = b"".join(LayoutConverter(NAMES, set(diffs), set(diffs)).convert(chunks(content)))
    assert out.count(sha(LAYERS[0]).encode()) >= 1


@pytest.mark.parametrize("cut", [100, 6 << 20, -12000])
def test_what_is_cut_off_is_no_image(cut):
    with pytest.raises(DevenvError, match="a:1"):
        list(LayoutConverter(NAMES, set(DIFFS), set(DIFFS)).convert(chunks(new()[:cut])))
    with pytest.raises(DevenvError, match="a:1"):
        list(rename_images(chunks(new()[:cut]), NAMES))


def test_another_image_than_was_asked_for():
    with pytest.raises(DevenvError, match="a:1"):
        list(LayoutConverter(NAMES, set(DIFFS[:2]), set()).convert(chunks(new())))


def test_a_blob_that_the_node_holds_is_not_sent():
    _, files = convert(old(), DIFFS, {DIFFS[0]})
    assert [f"blobs/sha256/{d[7:]}" in files for d in DIFFS] == [False, True, True]


def both(names) -> bytes:
    """Two images that share their lowest layer."""
    paths = [f"v1-{n}/layer.tar" for n in range(3)]
    second = json.dumps(
        {"architecture": "amd64", "rootfs": {"diff_ids": [DIFFS[0], DIFFS[2]]}}
    ).encode()
    listed = [
        {"Config": "c.json", "RepoTags": names[0], "Layers": paths[:2]},
        {"Config": "d.json", "RepoTags": names[1], "Layers": [paths[0], paths[2]]},
    ]
    first = json.dumps({"architecture": "amd64", "rootfs": {"diff_ids": DIFFS[:2]}}).encode()
    files = [*zip(paths, LAYERS, strict=True), ("c.json", first), ("d.json", second)]
    return tar([*files, ("manifest.json", json.dumps(listed).encode())])


def test_several_images_go_as_one_with_what_they_share_once():
    names = {"a:1": ["docker.io/library/a:1", "docker.io/x/a:2"], "b:1": ["docker.io/library/b:1"]}
    layout = LayoutConverter(names, set(DIFFS), set(DIFFS))
    out = b"".join(layout.convert(chunks(both([["a:1"], ["b:1"]]))))
    named = {
        m["annotations"]["io.containerd.image.name"]
        for m in json.loads(unpack(out)["index.json"])["manifests"]
    }
    assert (
        named
        == {"docker.io/library/a:1", "docker.io/x/a:2", "docker.io/library/b:1"}
        == set(layout.configs)
    )
    assert layout.sent == sum(map(len, LAYERS))


def test_an_image_that_did_not_come_is_missed():
    with pytest.raises(DevenvError, match="missing"):
        list(
            LayoutConverter({"a:1": ["a"], "c:1": ["c"]}, set(DIFFS), set()).convert(
                chunks(both([["a:1"], ["b:1"]]))
            )
        )


@pytest.mark.parametrize("archive", [old(), new()], ids=["Docker 24", "Docker 25"])
def test_what_is_passed_on_whole_has_only_other_names(archive):
    files = unpack(b"".join(rename_images(chunks(archive), {"a:1": ["other:2"]})))
    (listed,) = json.loads(files["manifest.json"])
    assert listed["RepoTags"] == ["other:2"]
    assert [files[path] for path in listed["Layers"]] == LAYERS
    assert files[listed["Config"]] == CONFIG
    assert "index.json" not in files, "it would say the name of before"


def test_what_is_passed_on_keeps_links():
    paths = [f"v1-{n}/layer.tar" for n in range(3)]
    out = b"".join(rename_images(chunks(old(((paths[1], "../v1-0/layer.tar"),))), NAMES))
    with tarfile.open(fileobj=io.BytesIO(out)) as archive:
        assert archive.getmember(paths[1]).linkname == "../v1-0/layer.tar"
