"""The record that the cluster itself carries: whoever finds it knows who made it, from what, and what is in it."""

from dataclasses import replace

from devenv.lifecycle.record import Record, parse, spell
from devenv.ports import Kube, Manifest

NAMESPACE, NAME = "kube-system", "devenv"
KEY = ("v1", "ConfigMap", NAMESPACE, NAME)


def write(kube: Kube, record: Record) -> None:
    """Keep the record in the cluster. What is loaded into its nodes changes often, and stays in the state folder."""
    stored_record = replace(record, loaded={}, digest="")
    if record.adopted and KEY not in record.objects:
        # Somebody else has one of that name.
        return
    kube.apply({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": NAMESPACE, "name": NAME},
        "data": {
            "profile": record.profile,
            "made-by": "somebody else" if record.adopted else "devenv",
            "record": spell(stored_record),
        },
    })  # fmt: skip


def read(kube: Kube) -> Record | None:
    """Return the record that the cluster carries; None where it has none that can be read."""
    config_map: Manifest | None = kube.get("v1", "ConfigMap", NAMESPACE, NAME)
    try:
        return parse(config_map["data"]["record"]) if config_map else None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None
