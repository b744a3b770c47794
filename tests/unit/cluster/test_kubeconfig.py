import stat

import pytest
import yaml

from devenv.base.errors import Exit
from devenv.cluster.down import Down
from devenv.cluster.kubeconfig import ADMIN_CONFIG, ClusterKubeconfig, KubeconfigFile
from devenv.ports.containers import Node
from devenv.state.ownership import Ownership
from devenv.state.record import Record, Records
from tests.fakes.world import PORTS

# As kubeadm writes it.
ADMIN = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "kubernetes-admin@c",
    "clusters": [
        {"name": "c", "cluster": {"server": "https://c-control-plane:6443", "certificate-authority-data": "Y2E="}}
    ],
    "contexts": [{"name": "kubernetes-admin@c", "context": {"cluster": "c", "user": "kubernetes-admin"}}],
    "users": [{"name": "kubernetes-admin", "user": {"client-key-data": "a2V5"}}],
}  # fmt: skip


def add_node(fakes, name="c-control-plane", status="running", ports=PORTS):
    node = Node(name, f"id-{name}", status, "c", 1, ports)
    fakes.engine.containers[name] = node
    record = Record("c", "offline", nodes=("id-c-control-plane", "id-c-worker"), made=True)
    Records(fakes.host).write(record)
    fakes.engine.files[ADMIN_CONFIG] = yaml.safe_dump(ADMIN).encode()


@pytest.fixture
def kubeconfig(fakes):
    ownership = Ownership(Records(fakes.host), fakes.engine, fakes.engine)
    return ClusterKubeconfig("c", fakes.host, fakes.engine, ownership)


def test_it_leads_to_the_port_of_the_host_and_nowhere_else(fakes, kubeconfig):
    add_node(fakes)
    content = yaml.safe_load(kubeconfig.text())
    (cluster,) = content["clusters"]
    assert cluster["name"] == content["current-context"] == "kind-c"
    assert cluster["cluster"] == {
        "server": "https://127.0.0.1:40001",
        "certificate-authority-data": "Y2E=",
    }
    assert content["contexts"] == [
        {"name": "kind-c", "context": {"cluster": "kind-c", "user": "kind-c"}}
    ]
    assert content["users"] == [{"name": "kind-c", "user": {"client-key-data": "a2V5"}}]


def test_the_file_is_for_this_user_alone_and_goes_with_the_cluster(fakes, kubeconfig):
    add_node(fakes)
    path = kubeconfig.write()
    assert path.read_text() == kubeconfig.text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    down = Down(
        cluster="c",
        host=fakes.host,
        clock=fakes.clock,
        engine=fakes.engine,
        containers=fakes.engine,
        kind=fakes.kind,
        kube=fakes.kube,
        provide_kind=lambda: None,
        reporter=fakes.reporter,
    )
    down.run(0)
    assert not path.exists()
    KubeconfigFile(fakes.host, "c").remove()


def test_a_control_plane_that_runs_is_chosen(fakes, kubeconfig):
    add_node(fakes)
    add_node(fakes, "c-worker", ports=())
    assert kubeconfig.node().name == "c-control-plane"


@pytest.mark.parametrize("worker", [True, False])
def test_a_cluster_that_does_not_run_has_none(fakes, kubeconfig, worker, expect_error):
    add_node(fakes, status="exited", ports=())
    if worker:
        add_node(fakes, "c-worker", ports=())
    with expect_error(Exit.FAILED):
        kubeconfig.text()


def test_a_cluster_that_does_not_exist_has_none(kubeconfig, expect_error):
    with expect_error(Exit.USAGE):
        kubeconfig.text()


def test_a_cluster_that_kind_is_still_making_has_none_yet(fakes, kubeconfig, expect_error):
    add_node(fakes)
    fakes.engine.files.clear()
    with expect_error(Exit.FAILED):
        kubeconfig.text()
