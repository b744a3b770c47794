"""A kubeconfig that leads to one cluster and nowhere else, read from the cluster's own node.

It needs neither the user's kubeconfig nor an API server that answers.
"""

from dataclasses import dataclass
from pathlib import Path

import yaml

from devenv.base.atomic import write_private
from devenv.base.errors import DevenvError, Exit, NotFoundError
from devenv.base.json_types import JsonMap
from devenv.install.context import is_control_plane, is_running
from devenv.ports.containers import Containers, Node
from devenv.ports.host import Host
from devenv.state.absence import not_running
from devenv.state.ownership import Ownership
from devenv.state.record import api_ports

# kubeadm writes it in each control plane.
ADMIN_CONFIG = "/etc/kubernetes/admin.conf"


@dataclass(frozen=True)
class KubeconfigFile:
    """The file in the state folder, which holds the rights of an administrator."""

    host: Host
    cluster: str

    @property
    def path(self) -> Path:
        """Where it is, or will be."""
        return self.host.state_dir() / "kubeconfigs" / f"{self.cluster}.yaml"

    def write(self, text: str) -> Path:
        """Write it for this user alone, and return its path."""
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        write_private(self.path, text)
        return self.path

    def remove(self) -> None:
        """Remove it. Does nothing if it is not there."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class ClusterKubeconfig:
    """Makes a cluster's kubeconfig.

    Raises DevenvError unless devenv has the cluster, and it runs.
    """

    cluster: str
    host: Host
    containers: Containers
    ownership: Ownership

    def node(self) -> Node:
        """Return a control plane that runs."""
        self.ownership.require_running(self.cluster)
        for node in self.containers.nodes(self.cluster):
            if is_control_plane(node) and is_running(node):
                return node
        raise not_running(self.cluster)

    def text(self) -> str:
        """Return the kubeconfig as YAML, keys included."""
        node = self.node()
        ports = api_ports([node])
        try:
            content = yaml.safe_load(self.containers.read_file(node.name, ADMIN_CONFIG))
        except NotFoundError:
            content = None
        if not content or not ports:
            raise DevenvError(
                f"The cluster {self.cluster} has no kubeconfig yet.",
                f"{node.name} lacks {ADMIN_CONFIG}, or does not map its API server's port.",
                f"Finish creating the cluster: `devenv up --name {self.cluster}`.",
                Exit.FAILED,
            )
        address = f"https://127.0.0.1:{min(ports)}"
        return yaml.safe_dump(_for_host(content, f"kind-{self.cluster}", address), sort_keys=False)

    def write(self) -> Path:
        """Write the kubeconfig to its file, and return the file's path."""
        return KubeconfigFile(self.host, self.cluster).write(self.text())


def _for_host(content: JsonMap, name: str, address: str) -> JsonMap:
    """Return the node's own kubeconfig with the address for the host, and with kind's names."""
    cluster = {**content["clusters"][0]["cluster"], "server": address}
    user = content["users"][0]["user"]
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "users": [{"name": name, "user": user}],
    }
