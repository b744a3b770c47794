"""The Secrets that Envoy Gateway's Job certgen makes, and whether they fit together.

Each run that makes some has a CA of its own, and keeps those that exist. So all must come from one
run (docs/facts/gateway.md). Nothing but the Secrets' metadata is read.
"""

from collections.abc import Iterable
from datetime import datetime

from devenv.facts.objects import name_of, namespace_of
from devenv.ports.kube import Manifest

# Where the two sides of the connection between Envoy Gateway and its proxy have theirs.
PAIR = ("envoy-gateway", "envoy")
CERTIFICATES = (*PAIR, "envoy-rate-limit", "envoy-oidc-hmac")
_JOB = "certgen"
# Seconds within which one run makes all of its Secrets. They have the same second, or the next.
_ONE_RUN = 5.0


def is_certgen(obj: Manifest) -> bool:
    """Whether an object is the Job that makes the certificates."""
    return bool(obj["kind"] == "Job") and name_of(obj).endswith(_JOB)


def own_certificates(secrets: Iterable[Manifest], namespace: str) -> list[Manifest]:
    """Return the existing Secrets among those of certgen, in a namespace."""
    return [s for s in secrets if namespace_of(s) == namespace and name_of(s) in CERTIFICATES]


def missing_names(certificates: Iterable[Manifest]) -> list[str]:
    """Return the names of the Secrets that certgen makes and that do not exist."""
    existing_names = set(map(name_of, certificates))
    return [name for name in CERTIFICATES if name not in existing_names]


def are_of_different_runs(certificates: Iterable[Manifest]) -> bool:
    """Whether the proxy's Secret has another CA than Envoy Gateway's own."""
    times = [_created_at(secret) for secret in certificates if name_of(secret) in PAIR]
    return bool(times) and max(times) - min(times) > _ONE_RUN


def _created_at(secret: Manifest) -> float:
    text = str(secret["metadata"].get("creationTimestamp") or "")
    if not text:
        return 0.0
    return datetime.fromisoformat(text).timestamp()
