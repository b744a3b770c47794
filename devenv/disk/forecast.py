"""When a disk will be full at the present rate. Pure. Nothing is said on little evidence."""

from collections.abc import Sequence
from statistics import StatisticsError, correlation, linear_regression

# samples.
_LEAST = 8
# Seconds between the first and the last.
_SPAN = 6 * 3600.0
# Correlation of time and use: what jumps up and down grows at no rate.
_STEADY = 0.9
# Seconds: how it grew last month says little of now.
_RECENT = 14 * 86400.0
_FARTHEST = 90 * 86400.0


def full_in(samples: Sequence[tuple[float, int]], total: int, current_time: float) -> float | None:
    """Return the seconds until `total` bytes are in use; None where the samples do not say.

    `samples`: (seconds since 1970, bytes in use). Room that was made begins a new count.
    """
    recent = _since_last_drop(
        [
            (time, used)
            for time, used in sorted(samples)
            if current_time - _RECENT <= time <= current_time
        ],
        total,
    )
    if len(recent) < _LEAST or recent[-1][0] - recent[0][0] < _SPAN:
        return None
    times, use = [time for time, _ in recent], [float(used) for _, used in recent]
    try:
        if correlation(times, use) < _STEADY:
            return None
        rate = linear_regression(times, use).slope
    except StatisticsError:
        # Always the same.
        return None
    seconds_left = (total - use[-1]) / rate
    return seconds_left if seconds_left <= _FARTHEST else None


def _since_last_drop(samples: list[tuple[float, int]], total: int) -> list[tuple[float, int]]:
    """A fall by more than 2 % of the disk is room that somebody made."""
    begin = 0
    for number in range(1, len(samples)):
        if samples[number - 1][1] - samples[number][1] > total * 0.02:
            begin = number
    return samples[begin:]
