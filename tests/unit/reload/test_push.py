"""The endpoint as engines speak to it: Docker 20.10 sends chunks and an empty PUT, Docker 29 sends all with the PUT."""

import gzip
import hashlib
import http.client
import io
import json
import ssl
import tarfile

import pytest

from devenv.adapters.endpoint import REPOSITORY, LoopbackEndpoint
from devenv.reload.push import Known, Pusher, Sink


def sha(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


LAYERS = [b"below" * 1000, b"above" * 1000]
DIFFS = [sha(x) for x in LAYERS]
PACKED = [gzip.compress(x, mtime=0) for x in LAYERS]
CONFIG = json.dumps({"rootfs": {"diff_ids": DIFFS}}).encode()
MANIFEST = json.dumps({
    "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "config": {"digest": sha(CONFIG)},
    "layers": [{"digest": sha(p)} for p in PACKED],
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
        answer.read()
        return answer

    def upload(self, content: bytes, digest: str, *, chunked: bool) -> int:
        location = self.ask("POST", f"{BASE}/blobs/uploads/").headers["Location"]
        if chunked:
            self.http.request(
                "PATCH", location, iter([content[:10], content[10:]]), {"Transfer-Encoding": "chunked"}, encode_chunked=True
            )
            answer = self.http.getresponse()
            answer.read()
            return self.ask("PUT", f"{answer.headers['Location']}?digest={digest}").status
        return self.ask("PUT", f"{location}?digest={digest}", content).status


@pytest.fixture
def known(tmp_path):
    return Known(tmp_path / "layers.json")


@pytest.fixture
def push(known):
    """Push the image as an engine does, and return the sink."""

    made = []

    def run(wanted, *, chunked=True):
        sink = Sink(known, frozenset(DIFFS), frozenset(wanted))
        made.append(sink)
        with LoopbackEndpoint().listening(sink, 0) as port, Client(port) as client:
            assert client.ask("GET", "/v2/").status == 200
            for content in (*PACKED, CONFIG):
                if client.ask("HEAD", f"{BASE}/blobs/{sha(content)}").status == 404:
                    assert client.upload(content, sha(content), chunked=chunked) == 201
            assert client.ask("PUT", f"{BASE}/manifests/tag", MANIFEST).status == 201
        return sink

    yield run
    for sink in made:
        sink.close()


def files(sink: Sink) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(sink.layout("docker.io/library/a:1")))) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}


@pytest.mark.parametrize("chunked", [True, False], ids=["Docker 20.10", "Docker 29"])
def test_only_what_a_node_lacks_is_in_the_layout(push, chunked):
    told = files(push([DIFFS[1]], chunked=chunked))
    assert set(told) == {f"blobs/sha256/{sha(x)[7:]}" for x in (PACKED[1], CONFIG, MANIFEST)} | {"oci-layout", "index.json"}
    assert told[f"blobs/sha256/{sha(PACKED[1])[7:]}"] == PACKED[1]


def test_a_layer_that_was_learned_is_not_sent_again(push, known):
    first = push([])
    assert first.sent == 0
    assert {d["diff"] for d in known.digests.values()} == set(DIFFS)
    sink = Sink(known, frozenset(DIFFS), frozenset([DIFFS[1]]))
    assert sink.has(sha(PACKED[0])) == len(PACKED[0])
    assert sink.has(sha(PACKED[1])) == -1, "a node lacks it, so it must be sent though it is known"


def test_a_layer_of_another_image_is_never_said_to_be_there(push, known):
    push([])
    assert Sink(known, frozenset([DIFFS[1]]), frozenset()).has(sha(PACKED[0])) == -1


def test_a_blob_that_is_not_what_it_says_is_refused(known):
    sink = Sink(known, frozenset(DIFFS), frozenset(DIFFS))
    with LoopbackEndpoint().listening(sink, 0) as port, Client(port) as client:
        assert client.upload(PACKED[0], sha(b"other"), chunked=True) == 400
    assert sink.kept == {}


@pytest.mark.parametrize("path", ["/v2/other/blobs/uploads/", "/", "/v2/devenv/reload/../x"])
def test_nothing_else_is_answered(known, path):
    with LoopbackEndpoint().listening(Sink(known, frozenset(), frozenset()), 0) as port, Client(port) as client:
        assert client.ask("POST", path).status == 404
        assert client.ask("HEAD", f"{BASE}/manifests/tag").status == 404


def test_it_ends_with_the_command(known):
    with LoopbackEndpoint().listening(Sink(known, frozenset(), frozenset()), 0) as port:
        pass
    with Client(port) as client, pytest.raises(OSError):
        client.ask("GET", "/v2/")


def test_what_was_learned_is_kept(fakes, known):
    known.digests["d"] = {"diff": "x", "size": 1}
    known.port = 5
    kept = Known.read(fakes.host, "engine")
    kept.digests, kept.port = known.digests, known.port
    kept.write()
    assert Known.read(fakes.host, "engine") == kept
    kept.path.write_text("{broken")
    assert Known.read(fakes.host, "engine").digests == {}


def test_the_name_for_the_push_is_removed_whatever_happens(fakes, known):
    fakes.engine.push_fails = True
    pusher = Pusher(fakes.engine, LoopbackEndpoint(), fakes.host)
    with pytest.raises(RuntimeError), pusher.pushed("a:1", Sink(known, frozenset(), frozenset()), known, lambda *_: None):
        pass
    assert not [name for name in fakes.engine.names() if name.startswith("127.0.0.1")]


def test_the_classic_store_pushes_only_what_it_has_packed_before(fakes, known):
    pusher = Pusher(fakes.engine, LoopbackEndpoint(), fakes.host)
    every, wanted = frozenset(DIFFS), frozenset([DIFFS[1]])
    assert not pusher.usable(every, wanted, known)
    known.digests[sha(PACKED[0])] = {"diff": DIFFS[0], "size": 1}
    assert pusher.usable(every, wanted, known)
