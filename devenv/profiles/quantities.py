"""Sizes as Kubernetes spells them: 64Mi, 1.5Gi, 2G, 1000."""

import re

_UNITS = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_FORM = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)(k|M|G|T|Ki|Mi|Gi|Ti|)")

# Characters of an invalid size that an error shows.
_SHOWN = 40
_MOST_PERCENT = 100
_STEP = 1024
# From this number on, a size is shown without a decimal.
_ROUNDED_FROM = 10
_MINUTE, _HOUR = 60, 3600


def parse(text: str | int) -> int:
    """Return the bytes that `text` stands for. Raises ValueError if it is not a quantity."""
    match = _FORM.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"{str(text)[:_SHOWN]!r} is not a size; write it like 64Mi or 2Gi")
    return int(float(match[1]) * _UNITS[match[2]])


def share(text: str, total: int) -> int:
    """Return the bytes that `text` stands for: a size, or a percentage of a disk of `total` bytes.

    Raises ValueError if it is neither.
    """
    if not text.endswith("%"):
        return parse(text)
    try:
        percent = float(text[:-1])
    except ValueError:
        percent = -1
    if not 0 <= percent <= _MOST_PERCENT:
        raise ValueError(f"{text[:_SHOWN]!r} is not a share of a disk; write it like 10%")
    return int(total * percent / 100)


def show(size: float) -> str:
    """Return `size` bytes in the largest unit that leaves at least 1: 1.5 GiB, 64 MiB, 0 B."""
    unit = "B"
    for larger_unit in ("KiB", "MiB", "GiB"):
        if size < _STEP:
            break
        size /= _STEP
        unit = larger_unit
    decimals = 0 if unit == "B" or size >= _ROUNDED_FROM else 1
    return f"{size:.{decimals}f} {unit}"


def lasting(seconds: float) -> str:
    """Return a length of time in the largest unit that fits twice: 90 s, 5 min, 3 h."""
    whole = int(seconds)
    if whole < 2 * _MINUTE:
        return f"{whole} s"
    if whole < 2 * _HOUR:
        return f"{whole // _MINUTE} min"
    return f"{whole // _HOUR} h"
