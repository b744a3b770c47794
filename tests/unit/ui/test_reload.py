"""The shapes of `reload-image -o json` are promises, and the text says what happened."""

from devenv.ports.engine import Image
from devenv.reload.load import Moved
from devenv.reload.moves import Move, Source, Way
from devenv.reload.plan import Plan
from devenv.reload.reload import Result
from devenv.reload.rollout import Renewed
from devenv.ui import reload as show
from devenv.ui.render import render

SOURCE = Source(
    "a:1", Image("sha256:new", "amd64", 40, {}, ("a:1",), ("sha256:x", "sha256:y")), (30, 10)
)
MOVE = Move(SOURCE, "docker.io/library/a:1", Way.PUSH, {"n": frozenset({"sha256:y"})})
IMAGE = {
    "ref": "a:1", "name": "docker.io/library/a:1", "way": "push", "nodes": ["n"], "size": 40, "layers": 2,
    "missing": [{"layer": "sha256:y", "bytes": 10}],
}  # fmt: skip


def test_shape_of_a_plan():
    assert show.plan("c", Plan((MOVE,), (), ("n",))).content() == {
        "cluster": "c",
        "images": [IMAGE],
        "workloads": [],
    }


def test_shape_of_a_reload():
    moved = Moved(MOVE, "sha256:new", 10, {"move": 1.0})
    result = Result(
        "c", (moved,), Renewed(("model",), ("pod",)), {"build": 0.0, "move": 1.0, "restart": 2.0}
    )
    assert show.result_shape(result) == {
        "cluster": "c", "images": [{**IMAGE, "digest": "sha256:new", "sent": 10, "seconds": {"move": 1.0}}],
        "restarted": ["model"], "pods": ["pod"], "requests": [], "seconds": {"build": 0.0, "move": 1.0, "restart": 2.0},
    }  # fmt: skip


def test_a_plan_says_which_layers_and_how_many_bytes(capsys, check_message):
    plan = Plan((MOVE, Move(SOURCE, "docker.io/library/a:1", Way.PRESENT)), (), ("n",))
    render(show.plan("c", plan), "text")
    check_message(capsys.readouterr().out)
