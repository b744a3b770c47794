"""Tells which layers of an image a node lacks, and how large they are. Pure.

A node keeps an unpacked layer as a snapshot, known by its chain ID (the OCI image spec, on chain
IDs): chain[0] = diff[0], chain[i] = sha256 of "chain[i-1] diff[i]". A layer whose chain ID the
node has need not be sent (docs/facts/images.md).
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from devenv.images.formats.layout import digest_of


def chain_ids(diff_ids: Sequence[str]) -> tuple[str, ...]:
    """Return the chain ID of each layer, from the lowest up."""
    chains: list[str] = []
    for diff_id in diff_ids:
        if chains:
            parent_and_layer = f"{chains[-1]} {diff_id}"
            chains.append(digest_of(parent_and_layer.encode()))
        else:
            chains.append(diff_id)
    return tuple(chains)


def layers_to_send(diff_ids: Sequence[str], snapshots: AbstractSet[str]) -> frozenset[str]:
    """Return the diff IDs of the layers that a node with these snapshots lacks.

    A node that has a snapshot also has all snapshots below it. So only the layers above the highest
    existing snapshot must be sent.
    """
    highest = -1
    for number, chain_id in enumerate(chain_ids(diff_ids)):
        if chain_id in snapshots:
            highest = number
    return frozenset(diff_ids[highest + 1 :])


def sizes(history: Sequence[int], layers: int) -> tuple[int, ...]:
    """Return how many bytes each layer has at most, from the lowest up.

    `history` has the bytes of each step that made the image, from the first on. A step that made
    no layer has 0 bytes, but a layer may have 0 bytes too. The uppermost steps with bytes count
    for the uppermost layers, so no sum over the uppermost layers is too small.
    """
    if layers == 0:
        return ()
    nonempty_steps = [size for size in history if size > 0][-layers:]
    unmatched_layers = layers - len(nonempty_steps)
    return (*[0] * unmatched_layers, *nonempty_steps)
