"""The shape of `-o json` is a promise. A change here is a new version."""

from devenv.cluster.versions import ClusterVersions, Versions
from devenv.ui.versions import versions_shape

VERSIONS = Versions(
    "v0.30.0",
    "28.5.1",
    ClusterVersions("devenv", "aibrix", "v1.34.4", "v1.2.8", "main", "/src/aibrix"),
    (),
    "0.1.0",
    "3.12.3",
)
SILENT = Versions(
    "", "", ClusterVersions("c", "offline"), ("engine", "kubernetes"), "0.1.0", "3.12.3"
)


def test_shape_of_version():
    assert versions_shape(VERSIONS) == {
        "devenv": "0.1.0", "python": "3.12.3", "kind": "v0.30.0", "engine": "28.5.1",
        "cluster": {
            "name": "devenv", "profile": "aibrix", "kubernetes": "v1.34.4", "envoy_gateway": "v1.2.8",
            "aibrix": "main", "checkout": "/src/aibrix",
        },
        "no_answer": [],
    }  # fmt: skip


def test_shape_without_a_cluster_and_without_answers():
    shape = versions_shape(Versions("", "", None, ("engine",)))
    assert (shape["cluster"], shape["engine"], shape["no_answer"]) == (None, "", ["engine"])
