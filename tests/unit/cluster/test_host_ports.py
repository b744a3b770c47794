import pytest

from devenv.cluster.host_ports import HostPorts
from devenv.ports.containers import Node
from devenv.state.record import Record, Records


@pytest.fixture
def ports(fakes):
    return HostPorts("c", fakes.host, fakes.engine, Records(fakes.host))


def run_node(fakes, cluster, port):
    node = Node(f"{cluster}-node", cluster, "running", cluster, 1, ((6443, 40001), (30888, port)))
    fakes.engine.containers[node.name] = node


def record(fakes, cluster, port):
    config = f"nodes: [{{role: control-plane, extraPortMappings: [{{hostPort: {port}}}]}}]"
    Records(fakes.host).write(Record(cluster, "offline", config=config, made=True))


@pytest.mark.parametrize("exists", [True, False])
def test_a_free_port_is_no_problem(fakes, ports, exists):
    run_node(fakes, "c", 8888)
    record(fakes, "stopped", 8888)
    assert ports.problem(8888, exists=exists) == ""


@pytest.mark.parametrize("is_own", [True, False])
@pytest.mark.parametrize("exists", [True, False])
def test_the_port_of_another_cluster(fakes, ports, exists, is_own, check_message):
    run_node(fakes, "other", 8888)
    if is_own:
        record(fakes, "other", 8888)
    fakes.host.ports[8888] = "docker-proxy (process 7)"
    check_message(ports.problem(8888, exists=exists))


def test_the_port_of_a_program(fakes, ports, check_message):
    fakes.host.ports[8888] = "nginx (process 7)"
    check_message(ports.problem(8888, exists=False))


def test_a_port_that_nobody_has_or_will_have_is_offered(fakes, ports):
    run_node(fakes, "other", 8888)
    run_node(fakes, "third", 8889)
    fakes.host.ports[8890] = "nginx (process 7)"
    record(fakes, "stopped", 8891)
    assert "`--port 8892`" in ports.problem(8888, exists=False)


def test_where_no_port_is_near_none_is_offered(fakes, ports):
    fakes.host.ports[65535] = "nginx (process 7)"
    assert "--port" not in ports.problem(65535, exists=False)
