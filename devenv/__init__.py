"""A local AIBrix cluster that works, and goes on working after lunch."""

__version__ = "0.1.0"

# The one that needs no --name.
DEFAULT_CLUSTER = "devenv"


def name_flag(cluster: str) -> str:
    """Return the flag that a command for the cluster needs, with a space before it, or ""."""
    if cluster == DEFAULT_CLUSTER:
        return ""
    return f" --name {cluster}"
