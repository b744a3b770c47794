"""A real engine that pushes to the endpoint: what it does when it is refused, or when nobody wants it any more."""

import os

import pytest

from devenv import wiring
from devenv.adapters.endpoint import LoopbackEndpoint
from devenv.base.errors import DevenvError
from devenv.reload.push import PushCache, Pusher, Sink
from tests.cluster.lab import Lab

NAME = "devenv-test/push:1"


class Counting(Sink):
    """Counts the uploads that the engine begins."""

    begun = 0

    def begin(self):
        self.begun += 1
        return super().begin()


@pytest.fixture
def image(built_refs, tmp_path):
    lab = Lab(tmp_path, "devenv-test-none")
    base = next(ref for ref in built_refs if "vllm-mock" in ref)
    (tmp_path / "Dockerfile").write_text(f"FROM {base}\nCOPY note /note\n")
    (tmp_path / "note").write_text(str(tmp_path))
    lab.build(NAME, tmp_path)
    yield NAME
    lab.docker("rmi", "-f", NAME)
    lab.forget_images()


@pytest.fixture
def push(image, tmp_path):
    """Push the image into a sink, with a port that is always new: an engine remembers what it pushed to which."""
    with wiring.world() as world:
        known = PushCache(tmp_path / "layers.json")
        layers = frozenset(world.engine.image(image).layers)

        def run(decide, progress=lambda _done, _total: None) -> Counting:
            sink = Counting(known, layers)
            decide(sink)
            with pytest.raises(DevenvError, match=r"cancelled|denied"):
                Pusher(world.engine, LoopbackEndpoint(), world.host).push(
                    image, sink, known, lambda *now: progress(sink, *now)
                )
            # Another worker may be reloading an image: its name holds the ID of its own process.
            assert not [n for n in world.engine.names() if f"/devenv/reload:{os.getpid()}-" in n]
            return sink

        yield run, len(layers)


def test_an_engine_that_is_refused_does_not_try_again(push):
    run, layers = push
    assert run(Sink.refuse).begun <= layers, (
        "a layer that is refused without a word is tried six times, for 50 s"
    )


def test_a_push_that_nobody_wants_any_more_ends(push):
    """As an interrupt does it: the engine has begun, and goes on only as long as somebody listens."""
    run, layers = push
    told = []

    def progress(sink, _done, _total):
        told.append(sink)
        sink.refuse()

    sink = run(lambda sink: sink.decide(frozenset()), progress)
    assert len(told) == 1
    assert sink.begun <= layers
