"""Times of day for a person at this machine."""

from datetime import datetime


def local_minute(time: float) -> str:
    """Return seconds since 1970 as a local date and time, without seconds."""
    return f"{datetime.fromtimestamp(time).astimezone():%Y-%m-%d %H:%M}"


def local_second(time: float) -> str:
    """Return the same, with seconds."""
    return f"{datetime.fromtimestamp(time).astimezone():%Y-%m-%d %H:%M:%S}"
