"""What `down --purge` would take, on a real engine: it is only listed here, since the engine is shared."""

import pytest

BASE = "devenv.local/vllm-mock"
MINE = f"{BASE}:devenv-test-mine"


@pytest.fixture
def users_image(cluster, built_refs, tmp_path):
    """An image that a user built on one of devenv's: it has all its labels."""
    base = next(ref for ref in built_refs if ref.startswith(f"{BASE}:"))
    (tmp_path / "Dockerfile").write_text(f"FROM {base}\nLABEL mine=yes\n")
    cluster.build(MINE, tmp_path)
    assert (
        cluster.docker(
            "inspect", "-f", '{{index .Config.Labels "devenv.recipe.name"}}', MINE
        ).strip()
        == "vllm-mock"
    )
    yield MINE
    cluster.docker("rmi", "-f", MINE)


def test_what_another_cluster_uses_is_kept_and_a_user_s_image_is_not_even_listed(
    cluster, users_image, built_refs
):
    told = cluster.json("down", "--purge", "--dry-run", "--name", "devenv-test-none")
    assert cluster.cluster in told["other_clusters"]
    assert set(built_refs) <= set(told["kept"])
    assert not set(built_refs) & set(told["purged"])
    everything = cluster.json("down", "--purge", "--all", "--dry-run", "--name", "devenv-test-none")
    assert cluster.cluster in everything["other_clusters"]
    assert set(built_refs) <= set(everything["purged"])
    assert users_image not in {*told["purged"], *told["kept"], *everything["purged"]}


def test_where_nobody_can_be_asked_nothing_goes(cluster):
    assert cluster.devenv("down", "--purge", check=False).returncode == 2
    assert cluster.docker("inspect", "-f", "{{.State.Running}}", cluster.node).strip() == "true"
    assert all(r["ok"] for r in cluster.up()["requests"])
