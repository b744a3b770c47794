"""Reads which images a node has, and streams more into it, through the node's own containerd."""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from devenv.base.digests import sha256_of
from devenv.base.errors import DevenvError
from devenv.base.image_names import DigestsByName
from devenv.base.json_types import JsonMap, JsonObject
from devenv.facts.df import DF, parse
from devenv.images.formats.layout import digest_of
from devenv.images.nodes.image_import import CTR
from devenv.images.nodes.node_streams import NodeStreams
from devenv.ports.containers import Containers
from devenv.ports.host import Space
from devenv.ports.names import Names
from devenv.ports.processes import Completed, ResultsByNode

# The repository of the names under which a node keeps superseded images, until the new one is
# proven.
KEPT = "devenv.local/superseded"
_CONTENT = "ctr --namespace k8s.io content"
# A blob in the node that refers to the layers that are on their way. Without it, containerd would
# collect them before an image refers to them. Its content is always the same, so the next run
# takes over what a killed run has left, and removes it.
_HOLD_TEXT = "devenv holds layers that are on their way into an image"
_HOLD = digest_of(_HOLD_TEXT.encode())
_LABEL_HOLD = f"{_CONTENT} label {_HOLD} containerd.io/gc.root=devenv"
# Puts a blob into the content store. Its arguments are a key for the ingest, and labels that name
# the layers to hold. containerd may collect the hold before it has its labels: then the script
# tries again, up to 5 times.
_INGEST = f"""key=$1
shift
for try in 1 2 3 4 5; do
  printf %s '{_HOLD_TEXT}' | {_CONTENT} ingest "hold-$key" >/dev/null 2>&1
  {_LABEL_HOLD} "$@" >/dev/null && exec {_CONTENT} ingest "$key"
done
exit 1
"""
# The repository of temporary names: an image gets its own name once it is complete and unpacked.
INCOMING = "devenv.local/incoming"
# Separates the parts of a script's output.
MARK = "--- devenv ---"
# One exec takes 0.08 s, whatever it runs, so one script asks everything. It writes errors to the
# same stream, because two streams would arrive in any order.
_ONE = "exec 2>&1\n"
# Imports a layout. Its arguments are pairs of names: the one under which an image comes, and its
# own.
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
# What containerd's configuration names; without a name, containerd uses overlayfs.
_CONFIGURED_SNAPSHOTTER = (
    "containerd config dump 2>/dev/null | sed -n 's/^ *snapshotter = //p' | head -n 1"
)
_LIST_SNAPSHOTS = 'ctr --namespace k8s.io snapshots --snapshotter "${snapshotter:-overlayfs}" ls'
# Prints images, snapshots, blobs and free space, with MARK after each but the last.
_LOOK = f"""{_ONE}crictl images -o json && echo '{MARK}' || exit
snapshotter=$({_CONFIGURED_SNAPSHOTTER} | tr -d "\\"'")
{_LIST_SNAPSHOTS} && echo '{MARK}' || exit
ctr --namespace k8s.io content ls --quiet && echo '{MARK}' || exit
{" ".join(DF)} || exit
"""
_LOOK_PARTS = 4

# Config digest → names.
NamesByDigest: TypeAlias = Mapping[str, Names]


@dataclass(frozen=True)
class NodeImages:
    """What a node has.

    `images` maps config digests to names, `snapshots` has chain IDs, and `blobs` has digests.
    """

    node: str
    images: NamesByDigest
    snapshots: frozenset[str]
    blobs: frozenset[str]
    space: Space

    def id_of(self, name: str) -> str:
        """Return the config digest of the image of that name, "" without such an image."""
        for digest, names in self.images.items():
            if name in names:
                return digest
        return ""


@dataclass(frozen=True)
class Nodes:
    """Talks to the containerd of each node. Raises DevenvError with the output of containerd."""

    containers: Containers

    def inventory(self, node: str) -> NodeImages:
        """Return what the node has."""
        result = self.containers.exec(node, ["sh", "-c", _LOOK])
        parts = result.output.split(f"{MARK}\n")
        if result.failed or len(parts) != _LOOK_PARTS:
            raise DevenvError(f"{node} does not say which images it has.", parts[-1][-500:])
        images, snapshots, blobs, space = parts
        chain_ids = [line.split()[0] for line in _digest_lines(snapshots)]
        return NodeImages(
            node=node,
            images=_images(node, images),
            snapshots=frozenset(chain_ids),
            blobs=frozenset(_digest_lines(blobs)),
            space=parse(node, space),
        )

    def inventories(self, nodes: Sequence[str]) -> list[NodeImages]:
        """Return what the nodes have. All are asked at the same time."""
        with ThreadPoolExecutor(max(len(nodes), 1)) as pool:
            return list(pool.map(self.inventory, nodes))

    def images(self, node: str) -> NamesByDigest:
        """Return the node's images as its CRI knows them: config digest → names."""
        return _images(node, self._query_cri(node, "images"))

    def receive(
        self, nodes: Sequence[str], stream: Iterable[bytes], staged: Sequence[str] = ()
    ) -> ResultsByNode:
        """Import one layout into all nodes at once, and return how each import ended.

        The layout is read once, and no node may fall behind by more than 16 MiB. `staged`: names
        for which the layout has the name of `incoming_name`; a node gives the image its own name
        once it is complete. The outputs end with what the CRI knows then: see
        `images_after_import`.
        """
        name_pairs: list[str] = []
        for name in staged:
            name_pairs += [incoming_name(name), name]
        streams = NodeStreams(self.containers, nodes, ["sh", "-c", _IMPORT, "sh", *name_pairs])
        try:
            for chunk in stream:
                if not streams.put(chunk):
                    break
        finally:
            results = streams.end()
        return results

    @staticmethod
    def images_after_import(node: str, result: Completed) -> NamesByDigest:
        """Return the images that a node's CRI knew after an import, none if it did not say."""
        with suppress(DevenvError):
            return _images(node, result.output.partition(f"{MARK}\n")[2])
        return {}

    def ingest(self, nodes: Sequence[str], layers: Iterable[str]) -> NodeStreams:
        """Begin to put a blob into the content stores of all nodes.

        `layers`: the digests of all blobs that are on their way, as the nodes will store them.
        containerd keeps these until the next import.
        """
        references = [
            f"containerd.io/gc.ref.content.{number}={digest}"
            for number, digest in enumerate(sorted(layers))
        ]
        key = f"devenv-{uuid.uuid4().hex}"
        return NodeStreams(self.containers, nodes, ["sh", "-c", _INGEST, "sh", key, *references])

    def tag(self, node: str, name: str, new_name: str) -> None:
        """Give an image another name."""
        self.run(node, [*CTR, "tag", "--force", name, new_name])

    def keep(self, node: str, name: str, new_name: str) -> None:
        """Give an image another name, unless the image is gone by now or the name is taken.

        A name is kept for one image alone. The tag is not forced: force removes the name first,
        and then containerd would collect what is just being put into the image.
        """
        argv = [*CTR, "tag", name, new_name]
        result = self.containers.exec(node, argv)
        is_harmless = "not found" in result.output or "already exists" in result.output
        if result.failed and not is_harmless:
            raise _failure(node, argv, result)

    def untag(self, node: str, name: str) -> None:
        """Remove a name, and with the last name the image. Does nothing if the node lacks the name.

        The CRI gives every image a name of its own, its ID, which would keep the image for ever.
        Only the CRI removes that name too.
        """
        for image, names in self.images(node).items():
            if set(names) == {name}:
                self.run(node, ["crictl", "rmi", image])
                return
        self.containers.exec(node, [*CTR, "remove", "--sync", name])

    def running(self, node: str) -> list[JsonObject]:
        """Return the node's running containers, as the CRI describes them."""
        content = as_json(node, self._query_cri(node, "ps"))
        containers: list[JsonObject] = content.get("containers") or []
        return containers

    def _query_cri(self, node: str, subject: str) -> str:
        """Return the CRI's answer as JSON text.

        On a busy machine Docker 20.10 may lose the output of a short program, which ends with 0 all
        the same: seen once in some thousand calls. So an empty answer is asked for again.
        """
        argv = ["crictl", subject, "-o", "json"]
        return self.run(node, argv) or self.run(node, argv)

    def run(self, node: str, argv: Sequence[str]) -> str:
        """Run a program in the node and return its output. Raises DevenvError if it fails."""
        result = self.containers.exec(node, list(argv))
        if result.failed:
            raise _failure(node, argv, result)
        return result.output


def _failure(node: str, argv: Sequence[str], result: Completed) -> DevenvError:
    """Return the error for a program that failed in a node, with the end of its output."""
    command = " ".join(argv)
    return DevenvError(f"`{command}` in {node} failed.", result.output[-500:])


def _digest_lines(output: str) -> list[str]:
    """Return the lines that begin with a digest. containerd prints headings and warnings too."""
    return [line for line in output.splitlines() if line.startswith("sha256:")]


def kept_name(digest: str) -> str:
    """Return the name under which a node keeps a superseded image.

    `digest` is that of its config.
    """
    hex_digits = digest.removeprefix("sha256:")
    return f"{KEPT}:{hex_digits[:32]}"


def incoming_name(name: str) -> str:
    """Return the temporary name under which the image of this name arrives in the nodes."""
    hex_digits = sha256_of(name)
    return f"{INCOMING}:{hex_digits[:32]}"


def is_own_name(name: str) -> bool:
    """Whether devenv gave the name for its own use.

    No workload needs an image that has only such names.
    """
    return name.startswith((f"{KEPT}:", f"{INCOMING}:"))


def kept_names(images: NamesByDigest) -> set[str]:
    """Return the names that devenv gave for its own use. `images`: config digest → names."""
    return {name for name in by_name(images) if is_own_name(name)}


def has_lost_content(results: ResultsByNode) -> bool:
    """Whether imports failed only because nodes have lost layers that they had before."""
    failures = [result for result in results.values() if result.failed]
    if not failures:
        return False
    return all("not found" in result.output for result in failures)


def _images(node: str, output: str) -> NamesByDigest:
    """Return the images in the output of `crictl images`: config digest → names."""
    images = as_json(node, output).get("images") or ()
    return {image["id"]: _names(image) for image in images}


def _names(image: JsonMap) -> Names:
    """Return an image's tags and digests, as the CRI lists them."""
    tags = image.get("repoTags") or ()
    digests = image.get("repoDigests") or ()
    return (*tags, *digests)


def by_name(images: NamesByDigest) -> DigestsByName:
    """Turn config digest → names into name → config digest."""
    return {name: digest for digest, names in images.items() for name in names}


def as_json(node: str, output: str) -> JsonObject:
    """Return the JSON object in a node's output. Raises DevenvError if it has none.

    Warnings may come before the object and after it.
    """
    try:
        json_text = output[output.index("{") : output.rindex("}") + 1]
        content: JsonObject = json.loads(json_text)
    except ValueError as error:
        raise DevenvError(f"containerd in {node} gave no JSON.", output[-300:]) from error
    return content
