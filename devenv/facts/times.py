"""Reads times as Kubernetes writes them."""

from datetime import datetime


def seconds(time: object) -> float:
    """Return a time in seconds since 1970, 0 if it is not a time."""
    try:
        return datetime.fromisoformat(str(time)).timestamp()
    except ValueError:
        return 0.0
