"""The main processes of containers in the node, and signals to them."""

import json
from collections.abc import Iterable

from tests.cluster.lab import Lab


def containers_of(lab: Lab, namespace: str, container: str) -> list[str]:
    """Return the process IDs, in the node, of all running containers of a name."""
    namespace_label = f"io.kubernetes.pod.namespace={namespace}"
    words = ("crictl", "ps", "--quiet", "--label", namespace_label, "--name", f"^{container}$")
    keys = lab.docker("exec", lab.node, *words).split()
    return [process_of(lab, key) for key in keys]


def process_of(lab: Lab, key: str) -> str:
    """Return the process ID, in the node, of a container by its ID."""
    inspected = json.loads(lab.docker("exec", lab.node, "crictl", "inspect", key))
    return str(inspected["info"]["pid"])


def send(lab: Lab, signal: str, processes: Iterable[str], *, check: bool = True) -> None:
    """Send a signal, such as STOP, to processes of the node."""
    lab.docker("exec", lab.node, "kill", f"-{signal}", *processes, check=check)
