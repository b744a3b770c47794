"""The endpoint as engines speak to it: Docker 20.10 sends chunks and an empty PUT, Docker 29 sends all with the PUT."""

import gzip
import hashlib
import http.client
import io
import json
import os
import ssl
import tarfile
import threading
from dataclasses import replace

import pytest

from devenv.adapters.endpoint import REPOSITORY, LoopbackEndpoint
from devenv.base.errors import DevenvError, Exit
from devenv.images.formats.gunzip import Gunzip
from devenv.ports.engine import Image
from devenv.ports.processes import Completed
from devenv.reload.push import PushCache, PushedLayer, Pusher, Sink


def sha(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


LAYERS = [b"below" * 1000, b"above" * 1000]
DIFFS = [sha(x) for x in LAYERS]
PACKED = [gzip.compress(x, mtime=0) for x in LAYERS]
CONFIG = json.dumps({"rootfs": {"diff_ids": DIFFS}}).encode()
MANIFEST = json.dumps({
    "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "config": {"digest": sha(CONFIG)},
    "layers": [
        {"digest": sha(p), "size": len(p), "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip"} for p in PACKED
    ],
}).encode()  # fmt: skip
BASE = f"/v2/{REPOSITORY}"


class Client:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()

    def __init__(self, port: int) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.http = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)

    def ask(self, method: str, path: str, body=b"", **headers):
        self.http.request(method, path, body, headers)
        answer = self.http.getresponse()
        self.body = answer.read()
        return answer

    def upload(self, content: bytes, digest: str, *, chunked: bool) -> int:
        location = self.ask("POST", f"{BASE}/blobs/uploads/").headers["Location"]
        if chunked:
            self.http.request(
                "PATCH",
                location,
                iter([content[:10], content[10:]]),
                {"Transfer-Encoding": "chunked"},
                encode_chunked=True,
            )
            answer = self.http.getresponse()
            answer.read()
            return self.ask("PUT", f"{answer.headers['Location']}?digest={digest}").status
        return self.ask("PUT", f"{location}?digest={digest}", content).status


@pytest.fixture
def known(tmp_path):
    return PushCache(tmp_path / "layers.json")


class Node:
    """Takes blobs, as containerd's content store does."""

    def __init__(self) -> None:
        self.blobs, self.fails = [], ""

    def ingest(self):
        node, taken = self, []

        class Target:
            def put(self, chunk):
                taken.append(chunk)
                return True

            def end(self):
                if taken is not None and not node.fails:
                    node.blobs.append(b"".join(taken))
                return {"n": Completed(1 if node.fails else 0, node.fails)}

        return Target()


@pytest.fixture
def node():
    return Node()


@pytest.fixture
def push(known, node):
    """Push the image as an engine does, and return the sink."""

    made = []

    def run(wanted, *, chunked=True, layers=PACKED, manifest=MANIFEST):
        sink = Sink(known, frozenset(DIFFS)).decide(frozenset(wanted), node.ingest)
        made.append(sink)
        with LoopbackEndpoint().listening(sink, 0) as port, Client(port) as client:
            assert client.ask("GET", "/v2/").status == 200
            for content in (*layers, CONFIG):
                if client.ask("HEAD", f"{BASE}/blobs/{sha(content)}").status == 404:
                    assert client.upload(content, sha(content), chunked=chunked) == 201
            assert client.ask("PUT", f"{BASE}/manifests/tag", manifest).status == 201
        return sink

    yield run
    for sink in made:
        sink.close()


def files(sink: Sink) -> dict[str, bytes]:
    with tarfile.open(
        fileobj=io.BytesIO(b"".join(sink.layout("docker.io/library/a:1")))
    ) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}


def manifest_in(told: dict[str, bytes]) -> dict:
    (listed,) = json.loads(told["index.json"])["manifests"]
    return json.loads(told[f"blobs/sha256/{listed['digest'][7:]}"])


TAR, GZIP, ZSTD = (
    f"application/vnd.oci.image.layer.v1.tar{kind}" for kind in ("", "+gzip", "+zstd")
)


@pytest.mark.parametrize(
    "learned", [False, True], ids=["kept until it is known", "passed on at once"]
)
@pytest.mark.parametrize("chunked", [True, False], ids=["Docker 20.10", "Docker 29"])
def test_only_what_a_node_lacks_goes_into_it_and_unpacked(push, known, node, chunked, learned):
    if learned:
        known.layers[sha(PACKED[0])] = PushedLayer(DIFFS[0], len(PACKED[0]))
    sink = push([DIFFS[1]], chunked=chunked)
    assert node.blobs == [LAYERS[1]]
    assert sink.sent == len(LAYERS[1])
    told = manifest_in(files(sink))
    assert told["config"]["digest"] == sink.config == sha(CONFIG)
    assert [(x["mediaType"], x["digest"], x["size"]) for x in told["layers"]] == [
        (GZIP, sha(PACKED[0]), len(PACKED[0])), (TAR, DIFFS[1], len(LAYERS[1])),
    ]  # fmt: skip


def test_what_is_packed_in_another_way_goes_as_it_is(push, known, node):
    known.layers[sha(PACKED[0])] = PushedLayer(DIFFS[0], len(PACKED[0]))
    other = b"\x28\xb5\x2f\xfd packed by zstd"
    manifest = MANIFEST.replace(sha(PACKED[1]).encode(), sha(other).encode())
    sink = push([DIFFS[1]], layers=[PACKED[0], other], manifest=manifest)
    assert node.blobs == [other]
    assert manifest_in(files(sink))["layers"][1] == {
        "mediaType": ZSTD,
        "digest": sha(other),
        "size": len(other),
    }


def test_a_node_that_can_t_take_it_is_told_of(push, node, expect_error):
    node.fails = "no space left on device"
    with expect_error(Exit.FAILED):
        files(push(DIFFS))


def test_a_push_that_breaks_off_ends_what_was_begun(known, node):
    sink = Sink(known, frozenset(DIFFS)).decide(frozenset(DIFFS), node.ingest)
    sink.begin().write(PACKED[0])
    sink.close()
    assert len(node.blobs) == 1


def test_a_layer_that_was_learned_is_not_sent_again(push, known):
    first = push([])
    assert first.sent == 0
    assert {layer.diff for layer in known.layers.values()} == set(DIFFS)
    sink = Sink(known, frozenset(DIFFS)).decide(frozenset([DIFFS[1]]))
    assert sink.has(sha(PACKED[0])) == len(PACKED[0])
    assert sink.has(sha(PACKED[1])) == -1, "a node lacks it, so it must be sent though it is known"


def test_a_layer_of_another_image_is_never_said_to_be_there(push, known):
    push([])
    assert Sink(known, frozenset([DIFFS[1]])).decide(frozenset()).has(sha(PACKED[0])) == -1


def test_a_blob_that_is_not_what_it_says_is_refused(known):
    sink = Sink(known, frozenset(DIFFS)).decide(frozenset(DIFFS))
    with LoopbackEndpoint().listening(sink, 0) as port, Client(port) as client:
        assert client.upload(PACKED[0], sha(b"other"), chunked=True) == 400
    assert sink.sent_layers == {}
    assert known.layers == {}


@pytest.mark.parametrize("path", ["/v2/other/blobs/uploads/", "/", "/v2/devenv/reload/../x"])
def test_nothing_else_is_answered(known, path):
    with (
        LoopbackEndpoint().listening(Sink(known, frozenset()).decide(frozenset()), 0) as port,
        Client(port) as client,
    ):
        assert client.ask("POST", path).status == 404
        assert client.ask("HEAD", f"{BASE}/manifests/tag").status == 404


def test_it_ends_with_the_command(known):
    with LoopbackEndpoint().listening(Sink(known, frozenset()).decide(frozenset()), 0) as port:
        pass
    with Client(port) as client, pytest.raises(OSError):
        client.ask("GET", "/v2/")


def test_what_was_learned_is_kept(fakes, known):
    known.layers["d"] = PushedLayer("x", 1)
    known.port = 5
    kept = PushCache.read(fakes.host, "engine")
    kept.layers, kept.port = known.layers, known.port
    kept.write()
    assert PushCache.read(fakes.host, "engine") == kept
    content = json.loads(kept.path.read_text())
    assert content == {"digests": {"d": {"diff": "x", "size": 1}}, "port": 5}, "the saved form"
    kept.path.write_text("{broken")
    assert PushCache.read(fakes.host, "engine").layers == {}


def test_the_name_for_the_push_is_removed_whatever_happens(fakes, known):
    fakes.engine.push_fails = True
    pusher = Pusher(fakes.engine, LoopbackEndpoint(), fakes.host)
    with pytest.raises(RuntimeError):
        pusher.push("a:1", Sink(known, frozenset()).decide(frozenset()), known, lambda *_: None)
    assert not [name for name in fakes.engine.names() if name.startswith("127.0.0.1")]


def test_the_classic_store_pushes_only_what_it_has_packed_before(fakes, known):
    pusher = Pusher(fakes.engine, LoopbackEndpoint(), fakes.host)
    every, wanted = Image("sha256:x", "amd64", 1, {}, ("a:1",), tuple(DIFFS)), frozenset([DIFFS[1]])
    assert not pusher.is_quick(every, wanted, 0.1, known)
    known.layers[sha(PACKED[0])] = PushedLayer(DIFFS[0], 1)
    assert pusher.is_quick(every, wanted, 0.1, known)
    assert not pusher.is_quick(every, wanted, 0.9, known), "it packs what it pushes"
    assert not pusher.is_quick(every, frozenset(DIFFS), 1.0, known)
    assert not pusher.is_quick(replace(every, tags=()), wanted, 0.1, known), (
        "it would go with the name for the push"
    )


def test_names_that_killed_runs_left_in_the_engine_go_and_those_of_others_stay(fakes):
    mine = f"127.0.0.1:5000/devenv/reload:{os.getpid()}-ab"
    last = "127.0.0.1:5000/devenv/reload:99999998-ab"
    for name in (
        mine,
        "127.0.0.1:5000/devenv/reload:99999999-ab",
        "127.0.0.1:5000/devenv/other:1-ab",
        last,
    ):
        fakes.engine.there[name] = Image(
            f"sha256:{name}", "amd64", 1, {}, (name,) if name == last else (name, "app:1")
        )
    removed = []
    fakes.engine.untag = lambda name: removed.append(fakes.engine.there.pop(name).id)
    Pusher(fakes.engine, LoopbackEndpoint(), fakes.host).forget_leftovers()
    assert {n for n in fakes.engine.names() if "127" in n} == {
        mine,
        "127.0.0.1:5000/devenv/other:1-ab",
    }
    assert f"sha256:{last}" not in removed, "with its last name the image would have gone"
    assert len(removed) == 2


def test_an_image_that_loses_its_own_name_meanwhile_is_not_removed_with_the_one_for_the_push(
    fakes, known
):
    for name in ("a:1", "b:1"):
        fakes.engine.add(name)
    real, removed = fakes.engine.tag, []

    def tag(ref, name):
        real(ref, name)
        if ref == "a:1":  # somebody builds it anew just then
            fakes.engine.there.pop(ref)
            fakes.engine.there[name] = Image("sha256:old", "amd64", 1, {}, (name,))

    fakes.engine.tag, fakes.engine.untag = (
        tag,
        lambda name: removed.append(fakes.engine.there.pop(name).id),
    )
    Pusher(fakes.engine, LoopbackEndpoint(), fakes.host).push(
        "a:1", Sink(known, frozenset()).decide(frozenset()), known, print
    )
    assert removed == ["sha256:b:1"], "the name was another image's when it went"


def test_an_engine_that_begins_early_waits_for_the_decision(known):
    sink, answers = Sink(known, frozenset(DIFFS)), []
    known.layers[sha(PACKED[0])] = PushedLayer(DIFFS[0], 7)
    with LoopbackEndpoint().listening(sink, 0) as port, Client(port) as client:
        asking = threading.Thread(
            target=lambda: answers.append(
                client.ask("HEAD", f"{BASE}/blobs/{sha(PACKED[0])}").status
            )
        )
        asking.start()
        asking.join(0.3)
        assert answers == []
        sink.decide(frozenset([DIFFS[1]]))
        asking.join(10)
    assert answers == [200]


def test_what_an_engine_sends_unasked_waits_for_the_decision_too(known, node):
    """Docker 20.10 asks nothing about a layer that it never pushed."""
    sink, answers = Sink(known, frozenset(DIFFS)), []
    known.layers[sha(PACKED[0])] = PushedLayer(DIFFS[0], 7)
    with LoopbackEndpoint().listening(sink, 0) as port, Client(port) as client:
        sending = threading.Thread(
            target=lambda: answers.append(client.upload(PACKED[1], sha(PACKED[1]), chunked=True))
        )
        sending.start()
        sending.join(0.3)
        assert answers == []
        sink.decide(frozenset([DIFFS[1]]), node.ingest)
        sending.join(10)
    assert answers == [201]
    assert node.blobs == [LAYERS[1]]


def test_an_engine_that_began_in_vain_is_refused(known):
    sink = Sink(known, frozenset(DIFFS))
    sink.refuse()
    with LoopbackEndpoint().listening(sink, 0) as port, Client(port) as client:
        assert client.ask("HEAD", f"{BASE}/blobs/{sha(PACKED[0])}").status == 403
        assert (
            client.ask("PUT", f"{BASE}/blobs/uploads/x?digest={sha(PACKED[0])}", PACKED[0]).status
            == 403
        )
    with LoopbackEndpoint().listening(sink, 0) as port, Client(port) as client:
        refused = client.ask("POST", f"{BASE}/blobs/uploads/")
        assert (refused.status, json.loads(client.body)["errors"][0]["code"]) == (403, "DENIED"), (
            "it would try again"
        )


def test_without_tls_for_an_engine_that_is_content_with_that(known):
    with LoopbackEndpoint().listening(
        Sink(known, frozenset()).decide(frozenset()), 0, plain=True
    ) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/v2/")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        connection.close()


def test_what_is_likely_to_be_pushed(fakes, known):
    pusher, layers = (
        Pusher(fakes.engine, LoopbackEndpoint(), fakes.host),
        Image("x", "amd64", 1, {}, ("a:1",), tuple(DIFFS)),
    )
    assert not pusher.is_likely(layers, known), "the classic store would pack it all"
    known.layers["x"] = PushedLayer(DIFFS[0], 1)
    assert pusher.is_likely(layers, known)
    known.layers["y"] = PushedLayer(DIFFS[1], 1)
    assert not pusher.is_likely(layers, known), "it has been pushed before, and may be there"


def test_layers_of_several_gzip_members_and_well_packed_ones(push, known, node):
    """eStargz has several; a piece that goes on is never large."""
    known.layers[sha(PACKED[0])] = PushedLayer(DIFFS[0], len(PACKED[0]))
    several = gzip.compress(LAYERS[1][:2000], mtime=0) + gzip.compress(LAYERS[1][2000:], mtime=0)
    push(
        [DIFFS[1]],
        layers=[PACKED[0], several],
        manifest=MANIFEST.replace(sha(PACKED[1]).encode(), sha(several).encode()),
    )
    assert node.blobs == [LAYERS[1]]
    assert max(len(piece) for piece in Gunzip().feed(gzip.compress(bytes(50 << 20)))) <= 1 << 20


def test_the_manifest_of_another_architecture_or_an_attestation_is_not_the_image_s(known, node):
    sink = Sink(known, frozenset(DIFFS)).decide(frozenset(), node.ingest)
    other = json.dumps({"rootfs": {"diff_ids": ["sha256:other"]}}).encode()
    for content in (CONFIG, other):
        blob = sink.begin()
        blob.write(content)
        assert sink.end(blob, sha(content))
    assert sink.manifest(MANIFEST)
    assert sink.manifest(json.dumps({"config": {"digest": sha(other)}, "layers": []}).encode())
    assert sink.manifest(b"[]") == ""
    assert sink.config == sha(CONFIG)


def test_what_is_refused_in_the_middle_of_a_blob_is_read_no_further(known, node):
    sink = Sink(known, frozenset(DIFFS)).decide(frozenset(DIFFS), node.ingest)
    blob = sink.begin()
    blob.write(b"some")
    sink.refuse()
    with pytest.raises(DevenvError):
        blob.write(b"more")
    sink.close()
    sink.close()
    assert len(node.blobs) == 1
