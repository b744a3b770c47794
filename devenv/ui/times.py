"""Times of day, and ages, for a person at this machine."""

from datetime import datetime

from devenv.profiles.quantities import lasting

# Seconds.
_DAY = 86400


def local_minute(time: float) -> str:
    """Return seconds since 1970 as a local date and time, without seconds."""
    return f"{datetime.fromtimestamp(time).astimezone():%Y-%m-%d %H:%M}"


def local_second(time: float) -> str:
    """Return the same, with seconds."""
    return f"{datetime.fromtimestamp(time).astimezone():%Y-%m-%d %H:%M:%S}"


def age(seconds: float) -> str:
    """Return an age in the largest unit that fits twice, up to days. Clocks may differ a little."""
    if seconds < 2 * _DAY:
        return lasting(max(0.0, seconds))
    return f"{int(seconds) // _DAY} d"


def local_time(time: float) -> str:
    """Return seconds since 1970 as a local time of day, with seconds."""
    return f"{datetime.fromtimestamp(time).astimezone():%H:%M:%S}"


def clock_time(seconds: float) -> str:
    """Return a length of time as a stopwatch shows it: 0:26, 12:05, 1:02:00."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}"
