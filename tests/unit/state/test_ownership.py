"""Whose a cluster is, and the one error of every command that needs a cluster that is not there."""

import pytest

from devenv.base.errors import DevenvError, Exit, NotReachableError
from devenv.ports.containers import Node
from devenv.state.ownership import Ownership
from devenv.state.record import Record, Records


@pytest.fixture
def ownership(fakes):
    records = Records(fakes.host)
    for cluster in ("b", "a"):
        records.write(Record(cluster, "offline", nodes=(f"id-{cluster}",), made=True))
    return Ownership(records, fakes.engine, fakes.engine)


def with_node(monkeypatch, fakes, status: str, node_id: str = "id-a") -> None:
    node = Node("a-control-plane", node_id, status, "a")
    monkeypatch.setattr(fakes.engine, "nodes", lambda cluster: [node] if cluster == "a" else [])


def test_a_cluster_that_is_not_there_is_a_wrong_call_and_the_others_are_named(ownership):
    with pytest.raises(DevenvError, match=r"nowhere.*: a, b\.") as error:
        ownership.require_existing("nowhere")
    assert error.value.exit_code == Exit.USAGE
    assert "devenv up --name nowhere" in error.value.next_step


@pytest.mark.parametrize("require", ["require_existing", "require_running", "refuse_unknown"])
def test_every_question_has_the_same_answer(ownership, require):
    with pytest.raises(DevenvError) as error:
        getattr(ownership, require)("nowhere")
    assert error.value.exit_code == Exit.USAGE


def test_a_stopped_cluster_is_no_wrong_call(ownership, fakes, monkeypatch):
    with_node(monkeypatch, fakes, "exited")
    assert ownership.require_existing("a")
    with pytest.raises(DevenvError) as error:
        ownership.require_running("a")
    assert error.value.exit_code == Exit.FAILED


def test_a_running_cluster_is_fine(ownership, fakes, monkeypatch):
    with_node(monkeypatch, fakes, "running")
    ownership.require_running("a")


def test_a_known_name_needs_no_engine(ownership, fakes, monkeypatch):
    def silent(_cluster: str) -> list[Node]:
        raise NotReachableError("No engine.")

    monkeypatch.setattr(fakes.engine, "nodes", silent)
    for cluster in ("a", "devenv", "unknown"):
        ownership.refuse_unknown(cluster)


def test_another_tools_cluster_is_refused_with_the_way_to_read_it(ownership, fakes, monkeypatch):
    with_node(monkeypatch, fakes, "running", "another-id")
    with pytest.raises(DevenvError) as error:
        ownership.refuse_foreign("a")
    assert "devenv doctor --context kind-a" in error.value.next_step
