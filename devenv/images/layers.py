"""Which layers of an image a node lacks, and how large they are. Pure.

A node keeps an unpacked layer as a snapshot, known by its chain ID: chain[0] = diff[0], chain[i] = sha256 of
"chain[i-1] diff[i]" (the OCI image spec, on chain IDs). A layer whose chain is there need not be sent (docs/facts/images.md).
"""

import hashlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet


def chain_ids(diff_ids: Sequence[str]) -> tuple[str, ...]:
    """Return the chain ID of each layer, from the lowest up."""
    chains: list[str] = []
    for diff in diff_ids:
        joined = f"{chains[-1]} {diff}" if chains else ""
        chains.append(f"sha256:{hashlib.sha256(joined.encode()).hexdigest()}" if joined else diff)
    return tuple(chains)


def lacking(diff_ids: Sequence[str], snapshots: AbstractSet[str]) -> frozenset[str]:
    """Return the diff IDs of the layers that must be sent to a node which has these snapshots.

    A chain's parents are there where it is, so what is below the highest chain that is there need not be sent.
    """
    chains = chain_ids(diff_ids)
    highest = max((number for number, chain in enumerate(chains) if chain in snapshots), default=-1)
    return frozenset(diff_ids[highest + 1 :])


def sizes(history: Sequence[int], layers: int) -> tuple[int, ...]:
    """Return at most how many bytes each layer has, from the lowest up.

    `history` has the bytes of each step of the image's making, from the first on; a step that made no layer has 0, but so
    may a layer. The uppermost steps with bytes are given to the uppermost layers, so that no sum over those is too small.
    """
    counted = [size for size in history if size > 0][-layers:] if layers else []
    return tuple([0] * (layers - len(counted)) + counted)
