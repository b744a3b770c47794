"""The time with which a program begins its own lines: Kubernetes gives each line one already."""

import re

# Seconds by which a program's time may differ from the one that Kubernetes notes.
_SKEW = 2
_HOUR = 3600
# [ of Envoy; level and date of klog, I1126; process and role of Redis, 1:C; level of vLLM.
_BEFORE = r"(?P<before>\[|[IWEF](?=\d{4} )|\d+:[A-Z] |(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) +)?"
_DATE = r"(?:\d{4}[-/]\d\d[-/]\d\d[T ]|\d{4} |\d\d-\d\d |\d{1,2} [A-Z][a-z]{2} \d{4} )"
_TIME = r"\d\d:(?P<minutes>\d\d):(?P<seconds>\d\d)(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_OWN_TIME = re.compile(rf"{_BEFORE}{_DATE}{_TIME}(?P<after>\]?)\s*")
# Where Kubernetes' own time has minutes and seconds: 2026-01-31T14:05:07.123Z.
_KUBERNETES_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:(?P<minutes>\d\d):(?P<seconds>\d\d)")


def without_time(text: str, time: str) -> str:
    """Return a line without the time at its beginning, if that is the line's `time`.

    Another time tells something, and stays. Hours may differ: containers have zones of their own.
    """
    own_time, kubernetes_time = _OWN_TIME.match(text), _KUBERNETES_TIME.match(time)
    if not own_time or not kubernetes_time:
        return text
    distance = (_in_hour(own_time) - _in_hour(kubernetes_time)) % _HOUR
    if min(distance, _HOUR - distance) > _SKEW:
        return text
    before, rest = own_time["before"] or "", text[own_time.end() :]
    if before == "[":
        return rest
    return f"{before.strip()} {rest}".strip()


def _in_hour(time: re.Match[str]) -> int:
    """Return the seconds since the full hour."""
    return int(time["minutes"]) * 60 + int(time["seconds"])
