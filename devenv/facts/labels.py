"""By what AIBrix finds models, and what a pod says of itself: read in one way by whoever looks."""

from collections.abc import Mapping
from typing import Any

from devenv.ports import Manifest

MODEL, PORT = "model.aibrix.ai/name", "model.aibrix.ai/port"


def model_label(obj: Mapping[str, Any]) -> str:
    """Return the model that an object's label names, or a pod template's; "" where it names none."""
    return str(((obj.get("metadata") or {}).get("labels") or {}).get(MODEL) or "")


def asked_models(route: Manifest) -> set[str]:
    """Return the models whose header a route matches on: such a route is a model's own."""
    matches = [m for rule in route["spec"].get("rules") or () for m in rule.get("matches") or ()]
    return {str(h.get("value")) for m in matches for h in m.get("headers") or () if h.get("name") == "model"}


def is_ready(pod: Manifest) -> bool:
    """Whether a pod takes requests."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
