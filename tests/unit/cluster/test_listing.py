import pytest

from devenv.base.errors import NotReachableError
from devenv.cluster.listing import Listing, State
from devenv.ports.containers import Node
from devenv.ports.engine import Measured
from devenv.ports.host import Holder
from devenv.state.record import Record, Records

CONFIG = "nodes: [{role: control-plane, extraPortMappings: [{hostPort: 1}, {hostPort: 8889}]}]"


@pytest.fixture
def listing(fakes):
    return Listing(
        fakes.host, fakes.clock, fakes.engine, fakes.engine, fakes.engine, lambda name: f"of {name}"
    )


def add(fakes, name, *statuses, **fields):
    """A cluster with a node for each status."""
    nodes = [
        Node(f"{name}-{number}", f"{name}-{number}", status, name, 400 + number)
        for number, status in enumerate(statuses)
    ]
    fakes.engine.containers |= {node.name: node for node in nodes}
    values = {
        "engine": fakes.engine.id,
        "config": CONFIG,
        "made": True,
        "nodes": tuple(node.id for node in nodes),
    }
    Records(fakes.host).write(Record(name, "offline", **{**values, **fields}))


def states(listing):
    return {cluster.name: cluster.state for cluster in listing.read()}


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        (["running", "running"], State.RUNNING),
        (["exited"], State.STOPPED),
        (["paused"], State.PAUSED),
        (["running", "exited"], State.PARTLY_RUNNING),
        ([], State.GONE),
    ],
)
def test_the_state_follows_from_the_nodes(fakes, listing, statuses, state):
    add(fakes, "c", *statuses)
    assert states(listing) == {"c": state}


def test_a_cluster_that_kind_did_not_finish(fakes, listing):
    add(fakes, "c", "running", made=False)
    assert states(listing) == {"c": State.UNFINISHED}
    fakes.host.holder = Holder("process 7")
    (cluster,) = listing.read()
    assert (cluster.state, cluster.changing) == (State.BEING_CREATED, "process 7")


def test_a_cluster_that_devenv_adopted_is_not_unfinished(fakes, listing):
    add(fakes, "c", "running", made=False, adopted=True, config="")
    (cluster,) = listing.read()
    assert (cluster.state, cluster.url) == (State.RUNNING, "of c")


def test_a_cluster_of_another_engine_or_tool(fakes, listing):
    add(fakes, "far", engine="engine-2")
    add(fakes, "taken", "running", nodes=("another",))
    assert states(listing) == {"far": State.ON_ANOTHER_ENGINE, "taken": State.ANOTHER_TOOLS}
    assert [bool(cluster.problem) for cluster in listing.read()] == [False, True]


def test_a_broken_record_is_listed(fakes, listing):
    add(fakes, "c", "running")
    Records(fakes.host).path("broken").write_text("[")
    assert states(listing) == {"broken": State.RECORD_BROKEN, "c": State.RUNNING}


def test_url_version_and_age(fakes, listing):
    add(fakes, "c", "running", version="v0.7.0", began=1.0)
    (cluster,) = listing.read()
    assert (cluster.url, cluster.version) == ("http://localhost:8889", "v0.7.0")
    assert (cluster.created, cluster.age) == (400, 600.0)
    fakes.engine.containers.clear()
    (cluster,) = listing.read()
    assert cluster.created == 1.0


def test_the_size_is_that_of_layers_and_volumes(fakes, listing):
    add(fakes, "c", "running", "running")
    fakes.engine.volumes_of = {"c-0": ("v",)}
    fakes.engine.measured = Measured({"v": 100}, {"c-0": 20, "c-1": 3})
    assert listing.read()[0].size == 123
    fakes.engine.measured = Measured({}, {"c-0": 20, "c-1": 3})
    assert listing.read()[0].size is None
    fakes.engine.measured = None
    assert listing.read()[0].size is None


def test_without_an_engine_it_is_an_error(fakes, listing):
    fakes.engine.down = True
    with pytest.raises(NotReachableError):
        listing.read()


def test_without_clusters_nothing_is_measured(fakes, listing, monkeypatch):
    monkeypatch.delattr(type(fakes.engine), "measure")
    assert listing.read() == []
