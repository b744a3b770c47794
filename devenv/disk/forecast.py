"""Forecasts when a disk will be full at the present rate. Pure.

On little evidence it forecasts nothing.
"""

from collections.abc import Iterable, Sequence
from statistics import StatisticsError, correlation, linear_regression

# A forecast needs so many samples,
_MIN_SAMPLES = 8
# with so many seconds between the first and the last,
_MIN_SPAN = 6 * 3600.0
# and this correlation of time and use: use that jumps up and down has no rate.
_MIN_CORRELATION = 0.9
# Seconds. Older samples count no more: growth of last month says little about today.
_MAX_AGE = 14 * 86400.0
# Seconds. A later date is not worth a warning.
_HORIZON = 90 * 86400.0
# The part of the disk that must become free at once to count as a cleanup.
_CLEANUP = 0.02

# Seconds since 1970, and bytes in use.
Sample = tuple[float, int]


def full_in(samples: Iterable[Sample], total: int, current_time: float) -> float | None:
    """Return the seconds until `total` bytes are in use, None if the samples can't tell.

    A cleanup starts a new series of samples.
    """
    recent_samples = _recent(samples, current_time)
    series = _since_last_cleanup(recent_samples, total)
    if len(series) < _MIN_SAMPLES:
        return None
    times = [time for time, _ in series]
    use = [float(used) for _, used in series]
    if times[-1] - times[0] < _MIN_SPAN:
        return None
    return _time_to_grow(total - use[-1], times, use)


def _recent(samples: Iterable[Sample], current_time: float) -> list[Sample]:
    earliest = current_time - _MAX_AGE
    return [(time, used) for time, used in sorted(samples) if earliest <= time <= current_time]


def _time_to_grow(remaining: float, times: Sequence[float], use: Sequence[float]) -> float | None:
    """Return the seconds until `remaining` bytes more are in use, at the rate of these samples."""
    try:
        if correlation(times, use) < _MIN_CORRELATION:
            return None
        rate = linear_regression(times, use).slope
    except StatisticsError:
        # The use never changed.
        return None
    seconds_left = remaining / rate
    if seconds_left > _HORIZON:
        return None
    return seconds_left


def _since_last_cleanup(samples: Sequence[Sample], total: int) -> Sequence[Sample]:
    """Return the samples since the use last fell by more than 2 % of the disk."""
    begin = 0
    for number in range(1, len(samples)):
        _, previous_use = samples[number - 1]
        _, use = samples[number]
        if previous_use - use > total * _CLEANUP:
            begin = number
    return samples[begin:]
