"""Lines of containers' logs. Each one begins with Kubernetes' timestamp."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from devenv.diagnosis.times import parse_time
from devenv.facts.model import Facts

# Envoy Gateway's logger, zap, writes in columns: time, level, logger, caller, message, JSON.
_ZAP_COLUMNS = 6
_MESSAGE_COLUMN = 4
# Characters of a message that are kept.
_LONGEST = 200


def line_time(line: str) -> float:
    """Return when a log line was written, in seconds since 1970."""
    return parse_time(line.split(" ", 1)[0])


def line_text(line: str) -> str:
    """Return a log line without its timestamp."""
    return line.partition(" ")[2]


def line_message(line: str) -> str:
    """Return what a log line says: of Envoy Gateway's lines, only the message and the error."""
    text = line_text(line)
    columns = text.split("\t")
    if len(columns) < _ZAP_COLUMNS:
        return text[:_LONGEST]
    if error := _zap_error(columns[-1]):
        return f"{columns[_MESSAGE_COLUMN]}: {error}"[:_LONGEST]
    return " ".join(columns[1:])[:_LONGEST]


def _zap_error(fields: str) -> str:
    try:
        return str(json.loads(fields).get("error") or "")
    except (ValueError, AttributeError):
        return ""


@dataclass(frozen=True)
class AccessEntry:
    """One request in Envoy's access log. `time`: when it was logged, in seconds since 1970."""

    time: float
    fields: dict[str, Any]

    def text(self, field: str) -> str:
        """Return a field as text, "" if the entry has none."""
        return str(self.fields.get(field) or "")

    @property
    def status(self) -> int:
        """The HTTP status of the answer, 0 if the entry has none."""
        status = self.text("response_code")
        return int(status) if status.isdecimal() else 0

    @property
    def has_failed(self) -> bool:
        """Whether the server side failed: the status is 500 or higher."""
        return self.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def access_log(facts: Facts) -> Iterator[AccessEntry]:
    """Yield all entries of Envoy's access log, which are the log lines that hold JSON."""
    for _, line in facts.lines():
        text = line_text(line)
        if not text.startswith("{"):
            continue
        try:
            fields = json.loads(text)
        except ValueError:
            continue
        yield AccessEntry(line_time(line), fields)
