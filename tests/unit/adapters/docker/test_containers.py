"""The network of kind's nodes, and files of stopped nodes, as the engine is asked for them."""

import io
import tarfile

import docker
import pytest

from devenv.adapters.docker import DockerEngine, containers
from devenv.base.errors import DevenvError
from devenv.ports.processes import Completed

REFUSAL = "Pool overlaps with other one on this address space"


class Api:
    """An engine that refuses the first few networks."""

    def __init__(self, refusals=0, names=("bridge",)) -> None:
        self.refusals, self.log = refusals, []
        self.names = list(names)
        self.archive = io.BytesIO()
        self.exit_codes: list[int | None] = [0]

    def networks(self):
        return [{"Id": f"{name}-id", "Name": name} for name in self.names]

    def inspect_network(self, name):
        return {"Options": {"com.docker.network.driver.mtu": "1400"}}

    def create_network(self, name, **settings):
        pools = (settings["ipam"] or {}).get("Config", ())
        self.log.append((name, [p["Subnet"] for p in pools], settings["enable_ipv6"]))
        self.options = settings["options"]
        if len(self.log) <= self.refusals:
            raise docker.errors.APIError(REFUSAL)
        self.names.append(name)

    def disconnect_container_from_network(self, container, network, *, force):
        self.log.append(("disconnect", container, network, force))

    def connect_container_to_network(self, container, network):
        self.log.append(("connect", container, network))

    def exec_create(self, container, argv, *, stdin):
        return {"Id": "exec"}

    def exec_start(self, exec_id, *, socket):
        return b"said"

    def exec_inspect(self, exec_id):
        """The last exit code stays, as an engine's does."""
        code, *later = self.exit_codes
        self.exit_codes = later or [code]
        self.log.append(code)
        return {"ExitCode": code}

    def get_archive(self, container, path):
        self.log.append((container, path))
        return iter([self.archive.getvalue()]), {}


@pytest.fixture
def engine(monkeypatch):
    def answering(**settings):
        api = Api(**settings)
        monkeypatch.setattr(DockerEngine, "_client", lambda *_: api)
        return DockerEngine(), api

    return answering


SUBNET, SUBNET6 = "172.18.0.0/16", "fc00:f853:ccd:e793::/64"
TRIES = [
    ("kind", [SUBNET, SUBNET6], True),
    ("kind", [SUBNET6], True),
    ("kind", [SUBNET], False),
    ("kind", [], False),
]


@pytest.mark.parametrize("refusals", range(4))
def test_the_network_is_made_with_as_much_of_its_former_self_as_the_engine_takes(engine, refusals):
    one, api = engine(refusals=refusals)
    one.create_network(SUBNET)
    assert api.log == TRIES[: refusals + 1]
    assert api.options == {
        "com.docker.network.bridge.enable_ip_masquerade": "true",
        "com.docker.network.driver.mtu": "1400",
    }


def test_an_engine_that_takes_no_network_is_quoted(engine):
    one, _ = engine(refusals=4)
    with pytest.raises(DevenvError) as caught:
        one.create_network(SUBNET)
    assert REFUSAL in caught.value.why


def test_a_network_that_exists_is_left_alone(engine):
    one, api = engine(names=("bridge", "kind"))
    one.create_network("")
    assert api.log == []
    assert one.networks() == {"bridge-id": "bridge", "kind-id": "kind"}


def test_a_node_leaves_the_former_network_first(engine):
    one, api = engine()
    one.reconnect("n", "kind")
    assert api.log == [("disconnect", "n", "kind", True), ("connect", "n", "kind")]


def test_a_file_is_read_from_its_archive(engine):
    one, api = engine()
    with tarfile.open(fileobj=api.archive, mode="w") as archive:
        info = tarfile.TarInfo("kubeadm.conf")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"a: b\n"))
    assert one.read_file("n", "/kind/kubeadm.conf") == b"a: b\n"


def test_an_exit_code_that_comes_after_the_output_is_waited_for(engine):
    one, api = engine()
    api.exit_codes = [None, None, 3]
    assert one.exec("node", ["df"]) == Completed(3, "said")
    assert api.log == [None, None, 3]


def test_an_exit_code_that_never_comes_is_a_failure(engine, monkeypatch):
    monkeypatch.setattr(containers, "_EXIT_CODE_TIMEOUT", 0.1)
    one, api = engine()
    api.exit_codes = [None]
    assert one.exec("node", ["df"]).failed
