"""The named cases, by the layer that they break."""

from bench.campaign.case import Case
from bench.campaign.cases import control_plane, held, node, pods, references, scheduling, traffic
from tests.cluster import faults


def older_cases() -> list[Case]:
    """Return the faults that the cluster's tests inject, too."""
    return [Case(f.name, "older", f.roots, f.inject) for f in faults.FAULTS]


CASES: list[Case] = [
    *older_cases(),
    *scheduling.CASES,
    *references.CASES,
    *pods.CASES,
    *held.CASES,
    *traffic.CASES,
    *control_plane.CASES,
    *node.CASES,
]
