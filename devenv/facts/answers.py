"""What an answer of a model says, out of its JSON or its stream."""

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from devenv.facts.objects import Fields, fields_of
from devenv.facts.telling import error_message
from devenv.ports.gateway import HttpAnswer, Obstacle

_STREAM = "text/event-stream"
# How an event of a stream begins.
_EVENT = "data: "
_OBSTACLES = {
    Obstacle.REFUSED: "connection refused",
    Obstacle.RESET: "connection reset",
    Obstacle.CLOSED: "connection closed",
    Obstacle.TIMEOUT: "timed out",
}


def is_stream(answer: HttpAnswer) -> bool:
    """Whether the server sent the answer piece by piece."""
    return answer.headers.get("content-type", "").startswith(_STREAM)


def whole_text(answer: HttpAnswer) -> str:
    """Return the body as it came; of a stream, its pieces joined."""
    if not is_stream(answer):
        return answer.body
    return "".join(map(_piece, _json_events(answer.body)))


def readable_text(answer: HttpAnswer) -> str:
    """Return what the model wrote, the names of listed models, or an error's message.

    The body as it came if it has none of them; "" without an answer.
    """
    if is_stream(answer):
        return whole_text(answer).strip() or answer.body.strip()
    if answer.status == HTTPStatus.OK:
        text = _written_text(answer.body) or _model_names(answer.body)
    else:
        text = error_message(answer.body)
    return text or answer.body.strip()


def outcome(answer: HttpAnswer) -> str:
    """Return the HTTP status or, without an answer, what kept it from coming."""
    if answer.status:
        return str(answer.status)
    if not answer.sent:
        return "not sent"
    if answer.obstacle is None:
        return "no answer"
    return _OBSTACLES.get(answer.obstacle, "no answer")


def _json_events(stream: str) -> Iterator[str]:
    """Yield the events that are JSON objects: a stream ends with one that is not."""
    for line in stream.splitlines():
        if line.startswith(_EVENT + "{"):
            yield line.removeprefix(_EVENT)


def _piece(event: str) -> str:
    try:
        choices = json.loads(event)["choices"]
        return "".join(map(_content_of, choices))
    except (ValueError, KeyError):
        return ""


def _content_of(choice: Fields) -> str:
    return str(fields_of(choice, "delta").get("content") or "")


def _written_text(body: str) -> str:
    """Return the text of each choice of a completion; "" if the body is no completion."""
    choices = _entries(body, "choices")
    texts = [str(fields_of(choice, "message").get("content") or "") for choice in choices]
    return "\n\n".join(filter(None, texts)).strip()


def _model_names(body: str) -> str:
    names = [str(entry.get("id") or "") for entry in _entries(body, "data")]
    return "\n".join(filter(None, names))


def _entries(body: str, key: str) -> list[Fields]:
    """Return the objects in a list of the body's JSON; none if the body has no such list."""
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError):
        return []
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        return []
    return [entry for entry in entries if isinstance(entry, dict)]
