"""The record in the cluster itself, so that anyone can see who made it, from what, and what it has.

It is in the ConfigMap kube-system/devenv.
"""

from dataclasses import replace

from devenv.ports.kube import Kube
from devenv.state.record import Record, parse, spell

NAMESPACE, NAME = "kube-system", "devenv"
KEY = ("v1", "ConfigMap", NAMESPACE, NAME)


def write(kube: Kube, record: Record) -> None:
    """Write the record into the cluster.

    What is loaded into its nodes changes often, and stays in the state folder.
    """
    stored_record = replace(record, loaded={}, digest="")
    if record.adopted and KEY not in record.objects:
        # The ConfigMap of that name is not devenv's.
        return
    maker = "somebody else" if record.adopted else "devenv"
    data = {
        "profile": record.profile,
        "made-by": maker,
        "record": spell(stored_record),
    }
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": NAMESPACE, "name": NAME},
        "data": data,
    }
    kube.apply(config_map)


def read(kube: Kube) -> Record | None:
    """Return the record in the cluster; None if it is missing or broken."""
    config_map = kube.get("v1", "ConfigMap", NAMESPACE, NAME)
    if not config_map:
        return None
    try:
        return parse(config_map["data"]["record"])
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None
