"""The shape of `-o json` is a promise. A change here is a new version."""

from devenv.cluster.down import Removal
from devenv.ui import down
from devenv.workstation.purge import Item, PurgePlan


def test_shape_of_down():
    key = ("v1", "Namespace", "", "ns")
    removal = Removal(
        (),
        (("v1", "ConfigMap", "ns", "c"),),
        ("docker.io/library/redis:latest",),
        {key: "used"},
    )
    purge = PurgePlan((Item("x", 5), Item("y", 5)), (Item("z", 5),), ("other",))
    teardown = down.Teardown("c", removal, purge, ("y: used",))
    assert down.down_shape(teardown) == {
        "cluster": "c", "dry_run": False, "nodes": [],
        "objects": [{"apiVersion": "v1", "kind": "ConfigMap", "namespace": "ns", "name": "c"}],
        "images": ["docker.io/library/redis:latest"], "purged": ["x"],
        "stayed": ["Namespace ns: used", "y: used"], "kept": ["z"], "other_clusters": ["other"],
    }  # fmt: skip
