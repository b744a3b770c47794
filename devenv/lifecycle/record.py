"""What devenv remembers of a cluster: that it is its own, from which profile, and what is in its nodes."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Lock

from devenv.errors import DevenvError
from devenv.ports import Containers, Host, Node


@dataclass(frozen=True)
class Record:
    """One cluster. `nodes` has its containers' IDs; none while it is being created."""

    cluster: str
    profile: str  # a name, or the absolute path of a file
    nodes: tuple[str, ...] = ()
    loaded: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # node ID → name in the node → image's ID
    digest: str = ""  # of all that was installed, once it was proven


@dataclass(frozen=True)
class Records:
    """The records in the state folder, a file a cluster, each written whole or not at all."""

    host: Host
    _guard: Lock = field(default_factory=Lock, repr=False, compare=False)

    def path(self, cluster: str) -> Path:
        """The cluster's file."""
        folder = self.host.state_dir() / "clusters"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / f"{cluster}.json"

    def read(self, cluster: str) -> Record | None:
        """Return the cluster's record, None where there is none. Raises DevenvError where it can't be read."""
        path = self.path(cluster)
        try:
            content = json.loads(path.read_text())
            return Record(**{**content, "nodes": tuple(content["nodes"])})
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            raise DevenvError(
                f"{path} is broken.", str(error), "Remove it, then the cluster by `kind delete cluster`."
            ) from error

    def write(self, record: Record) -> Record:
        """Keep the record and return it."""
        path = self.path(record.cluster)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(record), indent=1))
        os.replace(new, path)  # noqa: PTH105 - atomic, and over an existing file
        return record

    def remove(self, cluster: str) -> None:
        """Forget the cluster."""
        self.path(cluster).unlink(missing_ok=True)

    def update(self, cluster: str, change: Callable[[Record], Record]) -> None:
        """Change the record as one step among the threads of this process; the cluster's lock keeps other processes out."""
        with self._guard:
            if record := self.read(cluster):
                self.write(change(record))

    def note_image(self, cluster: str, node: str, name: str, image: str) -> None:
        """Note that the node has the image under the name."""

        def change(record: Record) -> Record:
            names = {**record.loaded.get(node, {}), name: image}
            return replace(record, loaded={**record.loaded, node: names})

        self.update(cluster, change)


def own_nodes(records: Records, containers: Containers, cluster: str) -> list[Node]:
    """Return the nodes of devenv's own cluster, none where there is none.

    Raises DevenvError where a kind cluster has that name and devenv did not make it.
    """
    nodes = containers.nodes(cluster)
    record = records.read(cluster)
    foreign = [n.name for n in nodes if record is None or (record.nodes and n.id not in record.nodes)]
    if foreign:
        raise DevenvError(
            f"devenv did not make the kind cluster {cluster}.",
            f"Its node {', '.join(foreign)} is not in devenv's records; it is left alone.",
            f"Choose another name with --name, or remove it by hand: kind delete cluster --name {cluster}",
        )
    return nodes
