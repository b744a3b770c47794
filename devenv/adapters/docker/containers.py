"""devenv's own containers: kind's nodes, and the helpers in which node images are made."""

import contextlib
import io
import tarfile
from collections.abc import Iterable, Mapping, Sequence

import docker
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from devenv.adapters.docker.answers import (
    CLUSTER_LABEL,
    container_name,
    map_at,
    seconds_since_1970,
)
from devenv.adapters.docker.client import EngineConnection
from devenv.adapters.docker.conversation import converse
from devenv.adapters.docker.errors import engine_errors
from devenv.base.errors import DevenvError, NotFoundError
from devenv.base.json_types import JsonMap
from devenv.ports.containers import KIND_NETWORK, ContainerState, Node
from devenv.ports.processes import Completed

# kind's label of its containers, and what it says of the one before several control planes, which
# is not a node.
_ROLE_LABEL = "io.x-k8s.kind.role"
_LOAD_BALANCER = "external-load-balancer"
# kind derives the subnet from the network's name
# (pkg/cluster/internal/providers/docker/network.go).
_KIND_SUBNET6 = "fc00:f853:ccd:e793::/64"
_MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
_MTU = "com.docker.network.driver.mtu"
# The label of containers that devenv made and may remove.
_HELPER_LABEL = "devenv.helper"
# Seconds that a container gets to stop.
_STOP_TIMEOUT = 30
# Seconds that the engine gets to learn the exit code of a program whose output has ended.
_EXIT_CODE_TIMEOUT = 10.0
_EXIT_CODE_PAUSE = 0.05
_UNKNOWN_EXIT_CODE = -1


class ContainerCalls(EngineConnection):
    """The calls about devenv's own containers."""

    def nodes(self, cluster: str) -> list[Node]:
        """Return the nodes of a kind cluster by name; those of all clusters if `cluster` is ""."""
        label = f"{CLUSTER_LABEL}={cluster}" if cluster else CLUSTER_LABEL
        with engine_errors():
            containers = self._api.containers(all=True, filters={"label": label})
        nodes = [_node(entry) for entry in containers if not _is_load_balancer(entry)]
        return sorted(nodes, key=lambda node: node.name)

    def state(self, container: str) -> ContainerState:
        """Return a container's address, and when it was started and ended."""
        with engine_errors():
            inspection = self._api.inspect_container(container)
        networks = map_at(inspection, "NetworkSettings", "Networks")
        addresses = (network.get("IPAddress") for network in networks.values())
        return ContainerState(
            address=next(filter(None, addresses), ""),
            started=seconds_since_1970(inspection["State"].get("StartedAt")),
            ended=seconds_since_1970(inspection["State"].get("FinishedAt")),
            networks=tuple(sorted(map(_network_entry, networks.items()))),
        )

    def start(self, container: str) -> None:
        """Start a stopped container, or wake a paused one."""
        with engine_errors():
            if self._api.inspect_container(container)["State"]["Status"] == "paused":
                self._api.unpause(container)
            else:
                self._api.start(container)

    def stop(self, container: str) -> None:
        """Stop a container as its image asks to be stopped; by force after 30 s."""
        with engine_errors():
            self._slow_api.stop(container, timeout=_STOP_TIMEOUT)

    def networks(self) -> dict[str, str]:
        """Return the engine's networks: ID → name."""
        with engine_errors():
            return {network["Id"]: network["Name"] for network in self._api.networks()}

    def create_network(self, subnet: str) -> None:
        """Create the network `kind` as kind does. Does nothing if the engine has one.

        Without IPv6 in the kernel the engine refuses the first try, as it refuses a subnet that
        another network has taken.
        """
        with engine_errors():
            bridge = self._api.inspect_network("bridge")
        mtu = map_at(bridge, "Options").get(_MTU)
        options = {_MASQUERADE: "true", **({_MTU: mtu} if mtu else {})}
        *tries, last_try = [[subnet, _KIND_SUBNET6], ["", _KIND_SUBNET6], [subnet], [""]]
        for subnets in tries:
            with contextlib.suppress(docker.errors.APIError):
                return self._make_network(subnets, options)
        with engine_errors():
            return self._make_network(last_try, options)

    def _make_network(self, subnets: Sequence[str], options: Mapping[str, str]) -> None:
        if KIND_NETWORK in self.networks().values():
            return
        pools = [docker.types.IPAMPool(subnet=subnet) for subnet in filter(None, subnets)]
        self._api.create_network(
            KIND_NETWORK,
            driver="bridge",
            options=dict(options),
            ipam=docker.types.IPAMConfig(pool_configs=pools) if pools else None,
            enable_ipv6=_KIND_SUBNET6 in subnets,
        )

    def reconnect(self, container: str, network: str) -> None:
        """Connect a stopped container to the network of a name in place of a former one."""
        with engine_errors():
            # By name, the engine forgets the network that is gone.
            self._api.disconnect_container_from_network(container, network, force=True)
            self._api.connect_container_to_network(container, network)

    def read_file(self, container: str, path: str) -> bytes:
        """Return a small file of a container, which need not run.

        Raises NotFoundError if the container lacks it.
        """
        with engine_errors():
            chunks, _ = self._api.get_archive(container, path)
            archive = io.BytesIO(b"".join(chunks))
        with tarfile.open(fileobj=archive) as opened:
            member = opened.extractfile(opened.next() or "")
            return member.read() if member else b""

    def exec(
        self, container: str, argv: Sequence[str], stdin: Iterable[bytes] | None = None
    ) -> Completed:
        """Run a program in a container, with its output and errors as one.

        `stdin` is streamed into it. An exit code that the engine does not know becomes -1. A busy
        engine learns it a moment after it has sent the last of the output, so it is asked for 10 s.
        """
        has_input = stdin is not None
        with engine_errors():
            exec_id = self._api.exec_create(container, list(argv), stdin=has_input)["Id"]
            output = self._slow_api.exec_start(exec_id, socket=has_input)
            if stdin is not None:
                # Then it is a connection.
                output = converse(output, stdin)
            code = self._exit_code(exec_id)
        return Completed(code, output.decode(errors="replace"))

    def _exit_code(self, exec_id: str) -> int:
        """Return the exit code of a program whose output has ended, -1 if it can't be told."""

        def exit_code() -> int:
            inspection = self._api.exec_inspect(exec_id)
            code = inspection["ExitCode"]
            return _UNKNOWN_EXIT_CODE if code is None else int(code)

        asking = Retrying(
            retry=retry_if_result(lambda code: code == _UNKNOWN_EXIT_CODE),
            stop=stop_after_delay(_EXIT_CODE_TIMEOUT),
            wait=wait_fixed(_EXIT_CODE_PAUSE),
            retry_error_callback=lambda _: _UNKNOWN_EXIT_CODE,
        )
        return asking(exit_code)

    def exec_detached(self, container: str, argv: Sequence[str]) -> None:
        """Start a program in a container and leave it running."""
        with engine_errors():
            exec_id = self._api.exec_create(container, list(argv))["Id"]
            self._api.exec_start(exec_id, detach=True)

    def run_helper(self, image: str, name: str, argv: Sequence[str]) -> str:
        """Start a privileged container of devenv's own, without a network, and return its ID."""
        with engine_errors():
            config = self._api.create_host_config(privileged=True, network_mode="none")
            container = self._api.create_container(
                image,
                list(argv),
                name=name,
                labels={_HELPER_LABEL: "1"},
                entrypoint=[],
                host_config=config,
                # The container becomes an image, and a proxy's address may have a password in it.
                use_config_proxy=False,
            )
            self._api.start(container["Id"])
        return str(container["Id"])

    def commit(self, container: str, tag: str, changes: Sequence[str]) -> None:
        """Make an image of a container's file system; `changes` are lines of a Dockerfile."""
        repository, _, version = tag.rpartition(":")
        with engine_errors():
            self._slow_api.commit(
                container, repository=repository, tag=version, changes=list(changes)
            )

    def remove_helper(self, name: str) -> None:
        """Remove a helper with its volumes, running or not. Does nothing if it is not there.

        Raises DevenvError if the container is not devenv's own.
        """
        with contextlib.suppress(NotFoundError), engine_errors():
            inspection = self._api.inspect_container(name)
            if _HELPER_LABEL not in (inspection["Config"]["Labels"] or {}):
                raise DevenvError(
                    f"The container {name} is not devenv's own.", next_step="Rename or remove it."
                )
            self._api.remove_container(name, force=True, v=True)


def _network_entry(entry: tuple[str, JsonMap]) -> tuple[str, str]:
    """Return a network's name and ID. A container that has not started since has no ID of it."""
    name, settings = entry
    return name, str(settings.get("NetworkID") or "")


def _is_load_balancer(container: JsonMap) -> bool:
    return bool(container["Labels"].get(_ROLE_LABEL) == _LOAD_BALANCER)


def _node(container: JsonMap) -> Node:
    return Node(
        name=container_name(container),
        id=container["Id"],
        status=container["State"],
        cluster=container["Labels"][CLUSTER_LABEL],
        created=container["Created"],
        ports=_published_ports(container),
    )


def _published_ports(container: JsonMap) -> tuple[tuple[int, int], ...]:
    published_ports = [port for port in container.get("Ports") or () if "PublicPort" in port]
    return tuple((port["PrivatePort"], port["PublicPort"]) for port in published_ports)
