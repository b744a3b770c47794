"""A bug report of a real cluster: one that answers, and one whose node is paused."""

import json
import tarfile
from pathlib import Path

import pytest

FILES = {"facts.json", "diagnosis.txt", "logs.txt", "versions.json", "configuration.json"}


@pytest.fixture
def report(cluster, tmp_path):
    """Write a report, and return its result and its files."""

    def write(name):
        path = tmp_path / name
        result = cluster.json("bugreport", "--to", str(path))
        assert path.stat().st_mode & 0o777 == 0o600
        with tarfile.open(path) as archive:
            texts = {
                entry.name.partition("/")[2]: archive.extractfile(entry).read().decode()
                for entry in archive
            }
        return result, texts

    return write


def test_of_a_cluster_that_answers(report, cluster):
    result, texts = report("healthy.tar.gz")
    assert result["missing"] == []
    assert set(texts) >= {*FILES, f"state/clusters/{cluster.cluster}.json"}
    assert "gateway-plugins" in texts["logs.txt"]
    versions = json.loads(texts["versions.json"])
    assert versions["cluster"]["kubernetes"].startswith("v1.")
    home = f"{Path.home()}/"
    assert [name for name, text in texts.items() if home in text] == []


def test_of_a_cluster_whose_node_is_paused(report, cluster):
    cluster.docker("pause", cluster.node)
    try:
        result, texts = report("paused.tar.gz")
    finally:
        cluster.docker("unpause", cluster.node)
    assert "logs.txt" in {part["name"] for part in result["missing"]}
    assert {"facts.json", "diagnosis.txt", "versions.json"} <= set(texts)
