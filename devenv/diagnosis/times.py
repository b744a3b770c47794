"""Kubernetes' timestamps, and spans of time for people."""

from datetime import UTC, datetime


def parse_time(text: str | None) -> float:
    """Return Kubernetes' timestamp in seconds since 1970, 0 if it is missing or malformed."""
    if not text:
        return 0.0
    whole_part, _, fraction = text.rstrip("Z").partition(".")
    try:
        moment = datetime.fromisoformat(whole_part.split("+")[0]).replace(tzinfo=UTC)
    except ValueError:
        return 0.0
    microseconds = fraction[:6]
    if not microseconds.isdecimal():
        return moment.timestamp()
    return moment.timestamp() + float(f"0.{microseconds}")


def spell_span(span: float) -> str:
    """Return a span of time, given in seconds, for a sentence: 20 s, 5 min, 2 h."""
    minutes, hours = round(span / 60), round(span / 3600)
    if hours > 1:
        return f"{hours} h"
    if minutes:
        return f"{minutes} min"
    return f"{max(0, round(span))} s"
