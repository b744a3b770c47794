"""Numbers of things, for sentences."""

from collections.abc import Iterable


def counted(count: int, thing: str) -> str:
    """Return a number with its noun: 1 layer, 2 layers."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def ports_in_words(ports: Iterable[int]) -> str:
    """Return port numbers for a sentence, "none" if there are none."""
    return ", ".join(map(str, sorted(ports))) or "none"
