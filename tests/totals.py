"""The line with a command's total, which depends on how busy the machine is."""

import re

_TOTAL = re.compile(r"^(Done|Ended) after [^\n]*\n", re.MULTILINE)


def without_total(text: str) -> str:
    """Return what a command printed without its total, which it tells if it took over 2 s."""
    return _TOTAL.sub("", text)
