"""The ports of the host that clusters have, or will have once they run again."""

import yaml

from devenv.facts.objects import items_of
from devenv.state.record import Record


def recorded_port(record: Record) -> int:
    """Return the host's port of the gateway that the cluster was made with, 0 if none is recorded.

    devenv writes it as the last mapping of the first node: see manifests.kind_config. An adopted
    cluster has no config.
    """
    try:
        config = yaml.safe_load(record.config)
    except yaml.YAMLError:
        return 0
    nodes = items_of(config if isinstance(config, dict) else {}, "nodes")
    if not nodes:
        return 0
    mappings = items_of(nodes[0], "extraPortMappings")
    return int(mappings[-1].get("hostPort") or 0) if mappings else 0
