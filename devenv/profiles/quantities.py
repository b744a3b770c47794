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

# Characters of what is no size.
_SHOWN = 40


def parse(text: str | int) -> int:
    """Return the bytes that `text` stands for. Raises ValueError where it is no quantity."""
    match = _FORM.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"{str(text)[:_SHOWN]!r} is not a size; write it like 64Mi or 2Gi")
    return int(float(match[1]) * _UNITS[match[2]])


def share(text: str, total: int) -> int:
    """Return the bytes that `text` stands for on a disk of `total` bytes: a size, or a percentage of the disk.

    Raises ValueError where it is neither.
    """
    if not text.endswith("%"):
        return parse(text)
    try:
        percent = float(text[:-1])
    except ValueError:
        percent = -1
    if not 0 <= percent <= 100:  # noqa: PLR2004
        raise ValueError(f"{text[:_SHOWN]!r} is not a share of a disk; write it like 10%")
    return int(total * percent / 100)


def show(size: float) -> str:
    """Return `size` bytes in the largest binary unit that leaves at least 1: 1.5 GiB, 64 MiB, 0 B."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":  # noqa: PLR2004
            return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"  # noqa: PLR2004
        size /= 1024
    raise AssertionError


def lasting(seconds: float) -> str:
    """Return a length of time in the largest unit that fits twice: 90 s, 5 min, 3 h."""
    whole = int(seconds)
    if whole < 120:  # noqa: PLR2004
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h"  # noqa: PLR2004
