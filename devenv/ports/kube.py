"""A cluster's API server."""

from collections.abc import Iterator
from typing import Any, Protocol

# One Kubernetes object as JSON has it.
Manifest = dict[str, Any]
# What identifies an object to the API server: apiVersion, kind, namespace, name.
ObjectKey = tuple[str, str, str, str]
# What identifies a kind: apiVersion, kind.
KindKey = tuple[str, str]
# What identifies one object of a kind: namespace, name.
NamespacedName = tuple[str, str]
# What identifies a container: UID of the pod, name of the container in it.
ContainerKey = tuple[str, str]


class Kube(Protocol):
    """One cluster's API server, addressed by its own context.

    Every call but `ready` and `why_unready` raises NotReachableError if it does not answer, and
    DevenvError if it refuses. For `get`, `select` and `each`, a kind that it does not know is a
    kind without objects.
    """

    def ready(self) -> bool: ...

    def why_unready(self) -> str:
        """Return why the API server is not ready, in its own words if it answers; "" if it is."""

    def kubeconfig(self) -> str:
        """Return a kubeconfig that leads to this cluster and nowhere else, as JSON."""

    def server_port(self) -> int:
        """Return the port that the context leads to, 0 if the context does not exist."""

    def forget(self) -> None:
        """Read the kubeconfig again before the next call."""

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> Manifest | None: ...

    def select(
        self, api_version: str, kind: str, namespace: str = "", selector: str = ""
    ) -> list[Manifest]:
        """Return the objects that a label selector selects, in one namespace or in all."""

    def each(self, api_version: str, kind: str) -> Iterator[Manifest]:
        """Yield all objects of a kind, without holding all of them at once."""

    def metadata(self, api_version: str, kind: str) -> list[Manifest]:
        """Return all objects of a kind with nothing but their metadata.

        Raises NotFoundError for a kind that the server does not know.
        """

    def node_stats(self, name: str) -> Manifest:
        """Return what a node's kubelet says of the resources in use."""

    def apply(self, manifest: Manifest) -> None:
        """Apply an object on the server's side, taking over fields that others manage."""

    def dry_run(self, manifest: Manifest) -> str:
        """Return why the API server would refuse to apply an object, "" if it would not."""

    def replace(self, manifest: Manifest) -> None:
        """Put an object in the place of the existing one, with nothing that others set in it."""

    def merge(self, manifest: Manifest) -> None:
        """Change only the fields that are given, even if others manage them."""

    def delete(
        self, api_version: str, kind: str, namespace: str, name: str, *, grace: int | None = None
    ) -> None:
        """Ask the API server to remove an object. Does nothing if it is not there.

        `grace` is how many seconds a pod's containers get to end; None leaves that to the pod.
        """

    def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        since_seconds: int,
        tail: int,
        *,
        timestamps: bool = False,
        previous: bool = False,
        head: int = 0,
    ) -> str:
        """Return the last `tail` lines of a container's log, or its first `head` bytes.

        0 sets no limit. `previous` means the container before the last restart.
        """

    def follow(
        self, namespace: str, pod: str, container: str, since_seconds: int, tail: int
    ) -> Iterator[str]:
        """Yield the lines of a container's log as they are written, until the container ends.

        Each begins with its time. `tail`: how many of the lines that exist come first. 0 sets no
        limit.
        """
