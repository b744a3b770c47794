"""Images in files: whole ones are read, sent in part, and broken ones are refused."""

import gzip
import hashlib
import io
import json
import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
import zstandard

from devenv.base.errors import DevenvError, Exit
from devenv.images.formats import archive, image_file
from tests.unit.images.formats.test_conversion import unpack


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def layer(content: bytes) -> bytes:
    """A tar of 5120 bytes."""
    info = tarfile.TarInfo("file")
    info.size = 3584
    return info.tobuf() + content.ljust(3584, b".") + b"\0" * 1024


LAYERS = [layer(b"below" * 500), layer(b"above" * 500)]
DIFFS = [f"sha256:{sha(x)}" for x in LAYERS]
CONFIG = json.dumps(
    {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": DIFFS}}
).encode()
OCI = "application/vnd.oci.image"


def tar(path: Path, files: dict[str, bytes], links=()) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, target in dict(links).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return path


def saved(**changed) -> dict[str, bytes]:
    """As Docker up to 24 saves it."""
    listed = [{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["0/layer.tar", "1/layer.tar"]}]
    files = {
        "0/layer.tar": LAYERS[0],
        "1/layer.tar": LAYERS[1],
        "c.json": CONFIG,
        "manifest.json": json.dumps(listed).encode(),
    }
    return {k: v for k, v in {**files, **changed}.items() if v is not None}


def blob(content: bytes) -> str:
    return f"blobs/sha256/{sha(content)}"


def descriptor(content: bytes, kind: str, **more) -> dict:
    return {
        "mediaType": f"{OCI}.{kind}",
        "digest": f"sha256:{sha(content)}",
        "size": len(content),
        **more,
    }


def layout(
    pack=lambda x: x, names=("registry.example/x/a:1",), *, nested=False
) -> dict[str, bytes]:
    """As an OCI layout has it."""
    blobs = [pack(x) for x in LAYERS]
    kind = {b"\x1f\x8b": "+gzip", b"\x28\xb5": "+zstd"}.get(blobs[0][:2], "")
    manifest = json.dumps({
        "config": descriptor(CONFIG, "config.v1+json"), "layers": [descriptor(b, f"layer.v1.tar{kind}") for b in blobs],
    }).encode()  # fmt: skip
    files = {blob(x): x for x in (*blobs, CONFIG, manifest)}
    top = manifest
    if nested:
        other = json.dumps({"config": {"digest": "sha256:" + "0" * 64}, "layers": []}).encode()
        top = json.dumps({"manifests": [
            descriptor(other, "manifest.v1+json", platform={"os": "linux", "architecture": "arm64"}),
            descriptor(manifest, "manifest.v1+json", platform={"os": "linux", "architecture": "amd64"}),
            descriptor(other, "manifest.v1+json", platform={"os": "unknown", "architecture": "unknown"}),
        ]}).encode()  # fmt: skip
        files |= {blob(top): top, blob(other): other}
    notes = [{"annotations": {"io.containerd.image.name": n}} for n in names] or [{}]
    index = json.dumps(
        {"manifests": [descriptor(top, "manifest.v1+json", **n) for n in notes]}
    ).encode()
    return {**files, "index.json": index, "oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}


def folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def read(path: Path, architecture="amd64"):
    return image_file.read_images(path, architecture, lambda *_: None)


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


WHOLE = {
    "docker save": lambda p: tar(p / "a.tar", saved()),
    "docker save, packed": lambda p: _gz(tar(p / "a.tar", saved())),
    "docker save of the containerd store": lambda p: tar(
        p / "a.tar", {**layout(packed), "manifest.json": _new_list(packed)}
    ),
    "layout as an archive": lambda p: tar(p / "a.tar", layout()),
    "layout as a folder": lambda p: folder(p / "a", layout()),
    "packed layers": lambda p: folder(p / "a", layout(packed)),
    "an index of architectures": lambda p: folder(p / "a", layout(nested=True)),
    "docker save, packed by zstd": lambda p: _zst(tar(p / "a.tar", saved())),
    "zstd layers": lambda p: folder(p / "a", layout(zstandard.compress)),
    "zstd layers of several frames": lambda p: folder(p / "a", layout(frames)),
}


def frames(content: bytes) -> bytes:
    return zstandard.compress(content[:2000]) + zstandard.compress(content[2000:])


def _zst(path: Path) -> Path:
    path.write_bytes(zstandard.compress(path.read_bytes()))
    return path


def _gz(path: Path) -> Path:
    path.write_bytes(gzip.compress(path.read_bytes()))
    return path


def _new_list(pack) -> bytes:
    return json.dumps(
        [{"Config": blob(CONFIG), "RepoTags": ["a:1"], "Layers": [blob(pack(x)) for x in LAYERS]}]
    ).encode()


def unpacked(content: bytes) -> bytes:
    if content.startswith(b"\x1f\x8b"):
        return gzip.decompress(content)
    if content.startswith(b"\x28\xb5\x2f\xfd"):
        reader = zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True)
        return reader.read()
    return content


@pytest.mark.parametrize("how", WHOLE)
def test_an_image_is_read_and_sent_in_part(tmp_path, how):
    (found,) = read(WHOLE[how](tmp_path))
    assert found.image.id == f"sha256:{sha(CONFIG)}"
    assert found.image.layers == tuple(DIFFS)
    assert found.image.architecture == "amd64"
    assert found.names in {("a:1",), ("registry.example/x/a:1",)}
    out = unpack(b"".join(found.layout("docker.io/library/a:1", {DIFFS[1]})))
    (listed,) = json.loads(out["index.json"])["manifests"]
    assert listed["annotations"]["io.containerd.image.name"] == "docker.io/library/a:1"
    manifest = json.loads(out[f"blobs/sha256/{listed['digest'][7:]}"])
    lower, upper = (x["digest"].removeprefix("sha256:") for x in manifest["layers"])
    assert f"blobs/sha256/{lower}" not in out
    content = out[f"blobs/sha256/{upper}"]
    assert unpacked(content) == LAYERS[1]
    assert all(
        x["size"] <= size == 5120 for x, size in zip(manifest["layers"], found.sizes, strict=True)
    )


def test_layers_that_are_the_same_may_be_links(tmp_path):
    config = json.dumps(
        {"architecture": "amd64", "rootfs": {"diff_ids": [DIFFS[0], DIFFS[0]]}}
    ).encode()
    path = tar(
        tmp_path / "a.tar",
        saved(**{"1/layer.tar": None, "c.json": config}),
        {"1/layer.tar": "../0/layer.tar"},
    )
    (found,) = read(path)
    assert found.image.layers == (DIFFS[0], DIFFS[0])
    assert b"".join(found.layout("a:1", {DIFFS[0]})).count(LAYERS[0]) == 1


def test_an_image_may_have_several_names_and_a_file_several_images(tmp_path):
    names = ("registry.example/x/a:1", "registry.example/x/b:1")
    assert [i.names for i in read(folder(tmp_path / "a", layout(names=names)))] == [names]
    both = json.loads(saved()["manifest.json"]) * 2
    assert (
        len(read(tar(tmp_path / "b.tar", saved(**{"manifest.json": json.dumps(both).encode()}))))
        == 2
    )


def test_a_layout_may_not_say_what_its_image_is_called(tmp_path):
    assert read(folder(tmp_path / "a", layout(names=())))[0].names == ()
    assert read(folder(tmp_path / "b", layout(names=("latest",))))[0].names == ()


def damaged(files: dict[str, bytes], name: str) -> dict[str, bytes]:
    return {**files, name: b"X" + files[name][1:]}


def shortened(path: Path, size: int) -> Path:
    path.write_bytes(path.read_bytes()[:size])
    return path


def negative(path: Path) -> Path:
    """A member whose size is below zero, which the library would read for ever."""
    tar(path, saved())
    content = bytearray(path.read_bytes())
    content[124:136] = b"\xff" * 10 + (-512 & 0xFFFF).to_bytes(2, "big")
    content[148:156] = b" " * 8
    content[148:156] = f"{sum(content[:512]):06o}\0 ".encode()
    path.write_bytes(content)
    return path


def looping(path: Path) -> Path:
    path.mkdir()
    (path / "index.json").symlink_to(path / "index.json")
    return path


def zipped(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", "[]")
    return path


def listing(content: object, **more) -> dict[str, bytes]:
    return saved(**{"manifest.json": json.dumps(content).encode(), **more})


def many_names() -> dict[str, bytes]:
    (listed,) = json.loads(saved()["manifest.json"])
    return listing([{**listed, "RepoTags": [f"a:{n}" for n in range(200)]}])


def no_tar() -> dict[str, bytes]:
    content = b"no tar at all" * 500
    config = json.dumps(
        {"architecture": "amd64", "rootfs": {"diff_ids": [f"sha256:{sha(content)}"]}}
    ).encode()
    listed = [{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["0/layer.tar"]}]
    return listing(listed, **{"0/layer.tar": content, "c.json": config})


def lying(content: bytes) -> bytes:
    """A zstd layer that is whole, and another one than its config names."""
    return zstandard.compress(content[:600] + b"!" + content[601:])


def described(change) -> dict[str, bytes]:
    """A layout whose manifest was changed, and is named by its new digest."""
    files = layout()
    name = next(n for n, c in files.items() if b'"layers"' in c)
    manifest = json.loads(files.pop(name))
    change(manifest)
    content = json.dumps(manifest).encode()
    notes = {"annotations": {"io.containerd.image.name": "registry.example/x/a:1"}}
    index = {"manifests": [descriptor(content, "manifest.v1+json", **notes)]}
    return {**files, blob(content): content, "index.json": json.dumps(index).encode()}


BROKEN = {
    "a zip": lambda p: zipped(p / "a.tar"),
    "a zstd that is cut off": lambda p: shortened(_zst(tar(p / "a.tar", saved())), 90),
    "a null manifest": lambda p: tar(p / "a.tar", listing(None)),
    "a null image": lambda p: tar(p / "a.tar", listing([None])),
    "a null layer list": lambda p: tar(
        p / "a.tar", listing([{"Config": "c.json", "RepoTags": None}])
    ),
    "a manifest that is no JSON": lambda p: tar(p / "a.tar", saved(**{"manifest.json": b"{"})),
    "a folder with nothing in it": lambda p: folder(p, {}),
    "200 tags": lambda p: tar(p / "a.tar", many_names()),
    "a name that is none": lambda p: tar(
        p / "a.tar", listing([{"Config": "c.json", "RepoTags": ["A B"], "Layers": []}])
    ),
    "a layer that is not a tar": lambda p: tar(p / "a.tar", no_tar()),
    "a zstd layer that lies": lambda p: folder(p / "a", layout(lying)),
    "a file that never ends": lambda p: Path("/dev/zero"),
    "an archive without an image": lambda p: tar(p / "a.tar", {"README": b"x"}),
    "an empty file": lambda p: shortened(tar(p / "a.tar", saved()), 0),
    "zeros": lambda p: _zeros(p / "a.tar"),
    "a size that does not fit": lambda p: folder(
        p / "a", described(lambda m: m["layers"][0].update(size=3))
    ),
    "a size that is none": lambda p: folder(
        p / "a", described(lambda m: m["layers"][0].update(size="3"))
    ),
    "a media type that does not fit": lambda p: folder(
        p / "a",
        described(lambda m: m["layers"][0].update(mediaType=f"{OCI}.layer.v1.tar+gzip")),
    ),
    "a layer of another kind": lambda p: folder(
        p / "a",
        described(lambda m: m["layers"][0].update(mediaType="application/vnd.in-toto+json")),
    ),
    "a chart": lambda p: folder(
        p / "a",
        described(
            lambda m: m["config"].update(mediaType="application/vnd.cncf.helm.config.v1+json")
        ),
    ),
    "a negative size": lambda p: negative(p / "a.tar"),
    "a gzip that is cut off": lambda p: tar(
        p / "a.tar", saved(**{"1/layer.tar": packed(LAYERS[1])[:-4]})
    ),
    "cut off": lambda p: shortened(tar(p / "a.tar", saved()), 7000),
    "cut off in its first bytes": lambda p: shortened(tar(p / "a.tar", saved()), 100),
    "cut off, packed": lambda p: shortened(_gz(tar(p / "a.tar", saved())), 200),
    "no archive": lambda p: _text(p / "a.tar"),
    "a layer that is another": lambda p: tar(p / "a.tar", damaged(saved(), "1/layer.tar")),
    "a damaged blob": lambda p: folder(p / "a", damaged(layout(), blob(LAYERS[1]))),
    "a damaged manifest": lambda p: folder(p / "a", _other_manifest()),
    "no config": lambda p: tar(p / "a.tar", saved(**{"c.json": None})),
    "no config in the layout": lambda p: folder(
        p / "a", {k: v for k, v in layout().items() if k != blob(CONFIG)}
    ),
    "a damaged config": lambda p: folder(p / "a", damaged(layout(), blob(CONFIG))),
    "no layer": lambda p: tar(p / "a.tar", saved(**{"0/layer.tar": None})),
    "no list and no index": lambda p: tar(p / "a.tar", saved(**{"manifest.json": None})),
    "no image": lambda p: tar(p / "a.tar", {"manifest.json": b"[]"}),
    "a path that leads out": lambda p: tar(p / "a.tar", saved(**{"../../etc/passwd": b"x"})),
    "an absolute path": lambda p: tar(p / "a.tar", saved(**{"/etc/passwd": b"x"})),
    "a link that leads out": lambda p: tar(p / "a.tar", saved(), {"x": "../../etc/passwd"}),
    "a layer outside": lambda p: tar(p / "a.tar", saved(**{"manifest.json": _outside()})),
    "a digest that is a path": lambda p: folder(p / "a", _path_digest()),
    "a folder's link that leads out": lambda p: _linked(folder(p / "a", layout())),
    "an empty folder": lambda p: folder(p / "a", {"x": b""}),
    "more layers than the config says": lambda p: tar(
        p / "a.tar", saved(**{"c.json": _one_layer()})
    ),
    "no architecture": lambda p: tar(
        p / "a.tar", saved(**{"c.json": CONFIG.replace(b"architecture", b"x")})
    ),
}


def _zeros(path: Path) -> Path:
    path.write_bytes(bytes(100_000))
    return path


def _text(path: Path) -> Path:
    path.write_text("no archive")
    return path


def _other_manifest() -> dict[str, bytes]:
    files = layout()
    name = next(n for n, c in files.items() if b'"layers"' in c)
    return {**files, name: files[name] + b" "}


def _outside() -> bytes:
    return json.dumps(
        [{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["../../x", "1/layer.tar"]}]
    ).encode()


def _path_digest() -> dict[str, bytes]:
    return {
        "index.json": json.dumps({"manifests": [{"digest": "sha256:../../../etc/passwd"}]}).encode()
    }


def _linked(path: Path) -> Path:
    target = path / blob(LAYERS[0])
    shutil.move(target, path.parent / "outside")
    target.symlink_to(path.parent / "outside")
    return path


def _one_layer() -> bytes:
    return json.dumps({"architecture": "amd64", "rootfs": {"diff_ids": DIFFS[:1]}}).encode()


@pytest.mark.parametrize("how", BROKEN)
def test_what_is_broken_is_refused_with_what_is_wrong(tmp_path, how, check_message):
    path = BROKEN[how](tmp_path)
    with pytest.raises(DevenvError) as caught:
        read(path)
    assert caught.value.exit_code == Exit.USAGE
    check_message(re.sub("[0-9a-f]{64}", "DIGEST", str(caught.value)))


def test_links_in_a_circle_are_refused(tmp_path):
    """What is wrong is told in the words of Python, which differ by its version."""
    path = looping(tmp_path / "a")
    with pytest.raises(DevenvError) as caught:
        read(path)
    assert caught.value.exit_code == Exit.USAGE
    assert str(path) in caught.value.what
    assert caught.value.next_step


def top_level(pack=lambda x: x) -> dict[str, bytes]:
    """An index of architectures and an attestation at the very top; the image has two names."""
    files = layout(pack)
    (entry,) = json.loads(files["index.json"])["manifests"]
    other = {**entry, "digest": "sha256:" + "0" * 64}
    listed = [
        {**other, "platform": {"os": "windows", "architecture": "amd64"}},
        {**other, "platform": {"os": "linux", "architecture": "arm64"}},
        {**entry, "platform": {"os": "linux", "architecture": "amd64"}},
        {**entry, "annotations": {"io.containerd.image.name": "registry.example/x/a:2"}},
        {**other, "artifactType": "application/vnd.example.signature"},
    ]
    return {**files, "index.json": json.dumps({"manifests": listed}).encode()}


def test_of_an_index_at_the_top_the_architecture_s_image_is_taken_once_with_all_its_names(tmp_path):
    (found,) = read(folder(tmp_path / "a", top_level()))
    assert found.names == ("registry.example/x/a:1", "registry.example/x/a:2")


def test_layers_of_several_gzip_members_are_whole(tmp_path):
    several = gzip.compress(LAYERS[1][:2000], mtime=0) + gzip.compress(LAYERS[1][2000:], mtime=0)
    (found,) = read(tar(tmp_path / "a.tar", saved(**{"1/layer.tar": several})))
    assert found.sizes == (len(LAYERS[0]), len(LAYERS[1])), "what it takes once it is unpacked"


def test_a_file_that_changes_between_the_check_and_the_sending(tmp_path):
    path = folder(tmp_path / "a", layout())
    (found,) = read(path)
    (path / blob(LAYERS[1])).unlink()
    with pytest.raises(DevenvError, match=blob(LAYERS[1])):
        b"".join(found.layout("a:1", {DIFFS[1]}))


def test_a_file_that_is_not_there(tmp_path, expect_error):
    with expect_error(Exit.USAGE):
        read(tmp_path / "none.tar")


@pytest.mark.parametrize(
    ("ref", "expected"),
    [("./a", True), ("/a/b", True), ("a.tar", True), ("a.tar.gz", True), ("a.tar.zst", True), ("redis:7", False), ("x/a:1", False), ("lay", True),
     ("plain", False), ("file", True), ("x" * 300, False), ("~nobody-at-all/x.tar", True)],
)  # fmt: skip
def test_what_is_meant_as_a_path(tmp_path, monkeypatch, ref, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain").mkdir()
    (tmp_path / "file").write_text("")
    folder(tmp_path / "lay", {"index.json": b"{}"})
    assert image_file.is_file(ref) is expected


def _endless(path: Path) -> Path:
    with path.open("wb") as file:
        file.truncate(40 << 30)
    return path


def _circle(path: Path) -> Path:
    return tar(path, saved(**{"manifest.json": None}), {"manifest.json": "manifest.json"})


def test_zeros_are_not_read_as_the_padding_of_an_xz_file(tmp_path, monkeypatch):
    def refuse(*_args, **_options):
        pytest.fail("zeros were taken for an xz file")

    monkeypatch.setattr(tarfile.TarFile, "xzopen", refuse)
    with pytest.raises(DevenvError) as error:
        read(_endless(tmp_path / "a.tar"))
    assert error.value.exit_code == Exit.USAGE


def test_a_link_to_itself_is_not_called_json(tmp_path):
    for read_file in (read, archive.list_images):  # both read the list first
        with pytest.raises(DevenvError) as error:
            read_file(_circle(tmp_path / "a.tar"))
        assert error.value.exit_code == Exit.USAGE
        assert "JSON" not in error.value.what
        assert "recursion" not in error.value.what
