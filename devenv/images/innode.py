"""What a node has of images, and how it gets more: through its own containerd."""

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import Queue
from typing import Any

from devenv.errors import DevenvError
from devenv.facts.df import DF, parse
from devenv.images.load import CTR
from devenv.ports import Completed, Containers, Space

# A name under which a node keeps the image of before, until the new one is proven.
KEPT = "devenv.local/superseded"
_CONTENT = "ctr --namespace k8s.io content"
# A blob in the node that refers to the layers that are on their way, so that containerd does not collect them before an
# image does. Its content is always the same: the next run takes over what a killed one has left, and removes it.
_HOLD_TEXT = "devenv holds layers that are on their way into an image"
_HOLD = f"sha256:{hashlib.sha256(_HOLD_TEXT.encode()).hexdigest()}"
# containerd may collect the hold before its label is on it: then once more.
_INGEST = f"""key=$1
shift
for try in 1 2 3 4 5; do
  printf %s '{_HOLD_TEXT}' | {_CONTENT} ingest "hold-$key" >/dev/null 2>&1
  {_CONTENT} label {_HOLD} containerd.io/gc.root=devenv "$@" >/dev/null && exec {_CONTENT} ingest "$key"
done
exit 1
"""
# A temporary name: an arriving image gets its own only once it is complete and unpacked.
INCOMING = "devenv.local/incoming"
# Chunks of 1 MiB that a node may be behind the engine.
_AHEAD = 16
# Between the parts of a look.
MARK = "--- devenv ---"
# One exec takes 0.08 s, whatever it runs, so everything is asked with one.
# Two streams would come in any order.
_ONE = "exec 2>&1\n"
# Its arguments are pairs of names: the one under which an image comes, and its own.
_IMPORT = f"""{_ONE}{" ".join(CTR)} import --local --discard-unpacked-layers -
code=$?
{_CONTENT} delete {_HOLD} >/dev/null 2>&1
[ $code = 0 ] || exit $code
while [ $# -gt 0 ]; do
  {" ".join(CTR)} tag --force "$1" "$2" && {" ".join(CTR)} remove "$1" || exit
  shift 2
done
echo '{MARK}'
crictl images -o json || true
"""
_LOOK = f"""{_ONE}crictl images -o json && echo '{MARK}' || exit
snapshotter=$(containerd config dump 2>/dev/null | sed -n 's/^ *snapshotter = //p' | head -n 1 | tr -d "\\"'")
ctr --namespace k8s.io snapshots --snapshotter "${{snapshotter:-overlayfs}}" ls && echo '{MARK}' || exit
ctr --namespace k8s.io content ls --quiet && echo '{MARK}' || exit
{" ".join(DF)} || exit
"""


@dataclass(frozen=True)
class NodeImages:
    """A node's images: config digest → names; the chain IDs of its snapshots; the digests of its blobs."""

    node: str
    images: Mapping[str, tuple[str, ...]]
    snapshots: frozenset[str]
    blobs: frozenset[str]
    space: Space

    def id_of(self, name: str) -> str:
        """Return the config digest of the image of that name, "" where there is none."""
        return next((digest for digest, names in self.images.items() if name in names), "")


@dataclass(frozen=True)
class Nodes:
    """Talks to the containerd of each node. Raises DevenvError with its own words."""

    containers: Containers

    def look(self, node: str) -> NodeImages:
        """Return what the node has."""
        result = self.containers.exec(node, ["sh", "-c", _LOOK])
        parts = result.output.split(f"{MARK}\n")
        if result.code != 0 or len(parts) != 4:  # noqa: PLR2004 - as many as the script asks
            raise DevenvError(f"{node} does not say which images it has.", parts[-1][-500:])
        images, snapshots, blobs, space = parts
        chains = (line.split()[0] for line in snapshots.splitlines() if line.startswith("sha256:"))
        blob_digests = (line for line in blobs.splitlines() if line.startswith("sha256:"))
        return NodeImages(
            node,
            _images(node, images),
            frozenset(chains),
            frozenset(blob_digests),
            parse(node, space),
        )

    def looks(self, nodes: Sequence[str]) -> list[NodeImages]:
        """Return what the nodes have, asked at the same time."""
        with ThreadPoolExecutor(max(len(nodes), 1)) as pool:
            return list(pool.map(self.look, nodes))

    def images(self, node: str) -> dict[str, tuple[str, ...]]:
        """Return the node's images as the CRI knows them: config digest → names."""
        return _images(node, self.run(node, ["crictl", "images", "-o", "json"]))

    def receive(
        self, nodes: Sequence[str], stream: Iterable[bytes], staged: Sequence[str] = ()
    ) -> dict[str, Completed]:
        """Import one layout into all nodes at once: it is read once, and no node may fall behind by more than 16 MiB.

        `staged`: names that the layout spells as `incoming_name` does; a node gives them to what came once it is whole.
        What comes back ends with what the CRI knows then: see `told`.
        """
        pairs = [part for name in staged for part in (incoming_name(name), name)]
        into = Fan(self.containers, nodes, ["sh", "-c", _IMPORT, "sh", *pairs])
        try:
            for chunk in stream:
                if not into.put(chunk):
                    break
        finally:
            results = into.end()
        return results

    @staticmethod
    def told(node: str, result: Completed) -> dict[str, tuple[str, ...]]:
        """Return the images that a node's CRI knew right after an import; none where it did not say."""
        with suppress(DevenvError):
            return _images(node, result.output.partition(f"{MARK}\n")[2])
        return {}

    def ingest(self, nodes: Sequence[str], layers: Iterable[str]) -> "Fan":
        """Begin to put a blob into all nodes' content stores.

        `layers`: the digests of all that is on its way, as it will lie there. containerd keeps them until the next import.
        """
        references = (
            f"containerd.io/gc.ref.content.{number}={digest}"
            for number, digest in enumerate(sorted(layers))
        )
        return Fan(
            self.containers,
            nodes,
            ("sh", "-c", _INGEST, "sh", f"devenv-{uuid.uuid4().hex}", *references),
        )

    def tag(self, node: str, name: str, new_name: str) -> None:
        """Give an image another name."""
        self.run(node, [*CTR, "tag", "--force", name, new_name])

    def keep(self, node: str, name: str, new_name: str) -> None:
        """Give an image another name, unless it is gone by now, or has it already: a name is kept for one image alone.

        Not by force, which removes the name first: that would have containerd collect what is just being put into it.
        """
        argv = [*CTR, "tag", name, new_name]
        result = self.containers.exec(node, argv)
        if (
            result.code != 0
            and "not found" not in result.output
            and "already exists" not in result.output
        ):
            raise DevenvError(f"`{' '.join(argv)}` in {node} failed.", result.output[-500:])

    def untag(self, node: str, name: str) -> None:
        """Remove a name, and with the last one the image; nothing where there is none.

        The CRI gives every image a name of its own, its ID, which would keep it for ever: only the CRI removes that too.
        """
        for image, names in self.images(node).items():
            if name in names and all(n == name for n in names):
                self.run(node, ["crictl", "rmi", image])
                return
        self.containers.exec(node, [*CTR, "remove", "--sync", name])

    def running(self, node: str) -> list[dict[str, Any]]:
        """Return the node's containers that run, as the CRI has them."""
        argv = ["crictl", "ps", "-o", "json"]
        running_containers: list[dict[str, Any]] = (
            as_json(node, self.run(node, argv)).get("containers") or []
        )
        return running_containers

    def run(self, node: str, argv: Sequence[str]) -> str:
        """Run a program in the node and return what it prints. Raises DevenvError where it fails."""
        result = self.containers.exec(node, list(argv))
        if result.code != 0:
            raise DevenvError(f"`{' '.join(argv)}` in {node} failed.", result.output[-500:])
        return result.output


class Fan:
    """One program in each of several nodes, all fed with the same bytes as they come."""

    def __init__(self, containers: Containers, nodes: Sequence[str], argv: Sequence[str]) -> None:
        self._queues: dict[str, Queue[bytes | None]] = {node: Queue(_AHEAD) for node in nodes}
        self._gone: set[str] = set()
        self._ended = False
        self._containers, self._argv = containers, list(argv)
        self._pool = ThreadPoolExecutor(max(len(nodes), 1))
        self._running = {node: self._pool.submit(self._run, node) for node in nodes}

    def _run(self, node: str) -> Completed:
        queue = self._queues[node]
        try:
            return self._containers.exec(node, self._argv, stdin=_until_none(queue))
        finally:
            self._gone.add(node)
            # So that nobody waits for a node that has given up.
            while queue.get() is not None:
                pass

    def put(self, chunk: bytes) -> bool:
        """Pass a chunk on. Return whether any node still takes it."""
        for node, queue in self._queues.items():
            if node not in self._gone and not self._ended:
                queue.put(chunk)
        return len(self._gone) < len(self._queues)

    def end(self) -> dict[str, Completed]:
        """Say that there is no more, and return how each node's program ended."""
        self._ended = True
        for queue in self._queues.values():
            queue.put(None)
        self._pool.shutdown()
        return {node: future.result() for node, future in self._running.items()}


def kept_name(digest: str) -> str:
    """Return the name under which a node keeps a superseded image. `digest`: of its config."""
    return f"{KEPT}:{digest.removeprefix('sha256:')[:32]}"


def incoming_name(name: str) -> str:
    """Return the temporary name under which the image of this name arrives in the nodes."""
    return f"{INCOMING}:{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def is_own_name(name: str) -> bool:
    """Whether devenv gave the name for its own use: no workload needs an image that has no other."""
    return name.startswith((f"{KEPT}:", f"{INCOMING}:"))


def kept_names(images: Mapping[str, tuple[str, ...]]) -> set[str]:
    """Return the names that devenv gave for its own use. `images`: config digest → names."""
    return {name for names in images.values() for name in names if is_own_name(name)}


def lost(results: dict[str, Completed]) -> bool:
    """Whether what failed only lacks something that was there before."""
    failed = [d for d in results.values() if d.code != 0]
    return bool(failed) and all("not found" in d.output for d in failed)


def _images(node: str, output: str) -> dict[str, tuple[str, ...]]:
    listed = as_json(node, output).get("images") or ()
    return {i["id"]: (*(i.get("repoTags") or ()), *(i.get("repoDigests") or ())) for i in listed}


def by_name(images: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Turn config digest → names into name → config digest."""
    return {name: digest for digest, names in images.items() for name in names}


def as_json(node: str, output: str) -> dict[str, Any]:
    """Return the JSON object in what a node printed. Raises DevenvError where there is none."""
    try:
        content: dict[str, Any] = json.loads(output[output.index("{") : output.rindex("}") + 1])
    except ValueError as error:
        raise DevenvError(f"containerd in {node} gave no JSON.", output[-300:]) from error
    return content


def _until_none(queue: "Queue[bytes | None]") -> Iterator[bytes]:
    get: Callable[[], bytes | None] = queue.get
    while (chunk := get()) is not None:
        yield chunk
    # For whoever empties the queue afterwards.
    queue.put(None)
