"""Finds what tells why: the line of a log, or the message in an answer.

Of a log, the last line often ends a stack.

The forms are those of Go (`panic: …`, `fatal error: …`), Python (the last line of a traceback),
klog (`F1128 …`), zap and Envoy (`FATAL`, `[critical]`), logfmt (`level=fatal`), JSON lines, and of
shells that can't start a program.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_FATAL = re.compile(
    r"^\s*panic: |^fatal error: |^F\d{4} |\blevel=(?:fatal|panic|critical)\b"
    r"|\[critical\]|\b(?:FATAL|CRITICAL)\b"
    r"|\bexec:? .*(?:no such file|not found|permission denied)|exec format error"
)
_ERROR = re.compile(
    r"\b(?:error|errors|exception|fail|failed|failure|invalid|unable to|unknown|refused|denied)\b"
    r"|\b(?:missing|not found|no such)\b"
    r"|Error\b|Exception\b|^E\d{4} |\bcan(?:'t|not)\b|\bcould(?:n't| not)\b|\blevel=error\b",
    re.IGNORECASE,
)
_FRAME = re.compile(
    # An indented line belongs to the line before it.
    r"^\s*$|^\s+\S"
    r"|^goroutine \d+|^created by |^exit status \d+$|^\[signal |^\.\.\.additional frames"
    # A Go function with its arguments.
    r"|^(?:panic|[^\s(]*[./]\S*)\(.*\)$"
    # A register.
    r"|^[a-z]\w{1,5}\s+0x[0-9a-f]+$"
    r"|^(?:\[.*\] )?#\d+:? "
)
_TRACEBACK = "Traceback (most recent call last)"
_FATAL_LEVELS = {"fatal", "panic", "dpanic", "critical"}
# Lines before the end, stacks left out, among which an error is looked for.
_LAST = 10
# Lines, stacks left out, after which a program has survived what it called fatal.
_STALE = 15


@dataclass(frozen=True)
class _Line:
    """One line that is not part of a stack."""

    text: str
    ends_traceback: bool = False

    @property
    def is_fatal(self) -> bool:
        level = str(_entry(self.text).get("level", "")).lower()
        return self.ends_traceback or bool(_FATAL.search(self.text)) or level in _FATAL_LEVELS


def telling_line(lines: Iterable[str]) -> str:
    """Return the line that tells why the program ended, "" if the log is empty.

    `lines` are in their order, without Kubernetes' timestamps. Of a JSON line, its message and its
    error are returned.
    """
    messages = _without_stacks(lines)
    fatal = [line for line in messages[-_STALE:] if line.is_fatal]
    errors = [line for line in messages[-_LAST:] if _ERROR.search(line.text)]
    for candidates in (fatal, errors, messages):
        if candidates:
            return _in_words(candidates[-1].text)
    return ""


def _without_stacks(lines: Iterable[str]) -> list[_Line]:
    """Leave out the frames of stacks. Of a Python traceback, the line that it ends with stays."""
    messages: list[_Line] = []
    in_traceback = False
    for line in lines:
        if _TRACEBACK in line:
            in_traceback = True
        elif not _FRAME.search(line) or _FATAL.search(line):
            messages.append(_Line(line, ends_traceback=in_traceback))
            in_traceback = False
    return messages


def _entry(line: str) -> dict[str, Any]:
    """Return the object of a JSON line, an empty one for any other line."""
    if not line.startswith("{"):
        return {}
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(entry, dict):
        return {}
    return entry


def _in_words(line: str) -> str:
    entry = _entry(line)
    message = entry.get("msg") or entry.get("message")
    if not message:
        return line.strip()
    error = entry.get("error") or entry.get("err")
    if not error:
        return str(message)
    return f"{message}: {error}"


# An answer


def error_message(body: str) -> str:
    """Return the message in the JSON of a failed request, "" if it has none.

    The forms are those of OpenAI, which AIBrix and vLLM have too, and of FastAPI.
    """
    content: Any = _entry(body.strip())
    for key in ("error", "detail"):
        content = content.get(key) or content
        if not isinstance(content, dict):
            break
    message = content.get("message") if isinstance(content, dict) else content
    return " ".join(message.split()) if isinstance(message, str) else ""
