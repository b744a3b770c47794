import dataclasses

import pytest

from devenv.base.errors import DevenvError, Exit
from devenv.images.recipes.build import Builder
from devenv.ports.processes import Completed
from devenv.state.record import Records
from devenv.up import Up
from tests.unit.test_up import up  # noqa: F401 - a fixture

# What the fakes log where `up` waits for another process that makes the images.
LOCK = "lock images"


def lose(fakes, *words: str) -> None:
    """Have the engine lose the images whose names have one of these words, all of them where none is given."""
    for ref in list(fakes.engine.there):
        if not words or any(word in ref for word in words):
            fakes.engine.untag(ref)


def done_with_images(fakes) -> list[str]:
    return [
        e for e in fakes.log if e.startswith(("load", "pull", "build", "import", LOCK, "run go"))
    ]


@pytest.mark.parametrize("stopped", [False, True])
def test_what_the_nodes_hold_the_engine_needn_t_have(up, fakes, stopped):
    """Nor does `up` wait for another process that builds it."""
    up().run(0)
    lose(fakes)
    if stopped:
        fakes.engine.stop("c-control-plane")
    fakes.log.clear()
    up().run(0)
    assert [e for e in done_with_images(fakes) if e != LOCK or not stopped] == []
    fakes.log.clear()
    assert not up().run(0).changed
    assert done_with_images(fakes) == []


def test_what_the_engine_loses_while_routes_are_proven_is_not_missed(up, fakes, monkeypatch):
    real = fakes.gateway.send

    def send(request):
        lose(fakes)
        return real(request)

    monkeypatch.setattr(fakes.gateway, "send", send)
    assert up().run(0).changed
    monkeypatch.setattr(fakes.gateway, "send", real)
    assert not up().run(0).changed


@pytest.fixture
def builds(monkeypatch, fakes) -> list[str]:
    """Have builds end at once; names of the recipes that were built."""
    built: list[str] = []

    def build(self, plan):
        for recipe in plan.images:
            built.append(recipe)
            fakes.engine.add(self.book.tag(self.book.get(recipe)))

    monkeypatch.setattr(Builder, "build", build)
    return built


def test_what_a_node_has_of_others_is_brought_from_the_engine(up, fakes, builds):
    """Not held as it was loaded: the recipe makes it again."""
    up().run(0)
    lose(fakes, "vllm-mock")
    fakes.engine.configs["devenv.local/vllm-mock:reference"] = "sha256:another"
    fakes.log.clear()
    up().run(0)
    assert [e.split(":")[0] for e in fakes.log if e.startswith("load")] == [
        "load devenv.local/vllm-mock"
    ]


def test_an_image_that_its_recipe_makes_otherwise_now_is_built_though_the_nodes_hold_the_old_one(
    up, fakes, builds
):
    up().run(0)
    lose(fakes, "vllm-mock")
    record = Records(fakes.host).read("c")
    Records(fakes.host).write(
        dataclasses.replace(
            record,
            refs={
                **record.refs,
                "devenv.local/vllm-mock:reference": "devenv.local/vllm-mock:older",
            },
        )
    )
    up().run(0)
    assert builds == ["vllm-mock"]


def test_a_node_that_lost_what_it_held_says_so_and_the_next_up_brings_it(up, fakes, builds):
    up().run(0)
    lose(fakes, "vllm-mock")
    fakes.engine.stop("c-control-plane")
    fakes.engine.in_nodes["c-control-plane"].discard("devenv.local/vllm-mock:reference")
    with pytest.raises(DevenvError, match="vllm-mock"):
        up().run(0)
    assert up().run(0).changed
    assert builds == ["vllm-mock"]


def test_what_a_user_loaded_in_place_of_a_recipe_s_is_replaced_though_docker_has_neither(
    up, fakes, builds
):
    up().run(0)
    record, name = Records(fakes.host).read("c"), "devenv.local/vllm-mock:reference"
    Records(fakes.host).write(dataclasses.replace(record, refs={**record.refs, name: name}))
    lose(fakes, "vllm-mock")
    up().run(0)
    assert builds == ["vllm-mock"]


def test_a_containerd_that_is_still_starting_is_waited_for(up, fakes, monkeypatch):
    up().run(0)
    answer, silences = fakes.engine.exec, [1, 1]

    def starting(container, argv, stdin=None):
        if silences and argv[0] in {"crictl", "ctr"}:
            if argv[:3] == ["crictl", "images", "--quiet"]:
                silences.pop()
            return Completed(1, "cannot access socket /run/containerd/containerd.sock")
        return answer(container, argv, stdin)

    monkeypatch.setattr(fakes.engine, "exec", starting)
    monkeypatch.setattr(Up, "_proofs_if_unchanged", lambda _: [])
    assert up().run(0).proofs
    assert silences == []


def test_an_image_of_another_architecture_is_refused_before_the_cluster_is_made(
    up, fakes, check_message
):
    mock = next(t for t in fakes.engine.there if "vllm-mock" in t)
    fakes.engine.there[mock] = dataclasses.replace(fakes.engine.there[mock], architecture="arm64")
    with pytest.raises(DevenvError) as caught:
        up().run(0)
    assert caught.value.exit_code == Exit.PREREQUISITE
    check_message(str(caught.value).replace(mock, "MOCK"))
    assert "kind create c" not in fakes.log
