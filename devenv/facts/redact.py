"""Takes out of facts what is nobody's business: credentials, request bodies, the user's name and home."""

import re
from collections.abc import Callable, Mapping
from typing import Any

_GONE = "[redacted]"
_SECRETS = (
    re.compile(r"(?i)(authorization[\"']?\s*[:=]\s*[\"']?(?:bearer|basic)?\s*)[^\s\"',;}]+"),
    re.compile(r"(?i)(bearer\s+)[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(r"(?i)((?:api[-_]?key|token|password|passwd|secret)[\"']?\s*[:=]\s*[\"']?)[^\s\"',;}]{4,}"),
)
_WHOLE = (
    re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),  # a JSON Web Token
    re.compile(r"\bsk-[A-Za-z0-9_-]{12,}"),  # a key of a model's provider
    re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL),
)
_PROMPT = re.compile(r"""(?i)(\\*"(?:messages|prompt)\\*"\s*:\s*)(?:\[.*\]|\\*"(?:[^"\\]|\\.)*\\*")""")
_BODIES = {"body", "requestBody", "request_body", "prompt", "messages"}


def redacted(facts: Mapping[str, Any], home: str, user: str) -> dict[str, Any]:
    """Return facts, as JSON has them, without them. `user` stays where it is a word of the system's own, such as root."""
    hide = _hider(home, user)
    return {str(hide(key)): _walk(value, hide) for key, value in facts.items()}


def _hider(home: str, user: str) -> Callable[[str], str]:
    own = re.compile(rf"(?<![A-Za-z0-9_-]){re.escape(user)}(?![A-Za-z0-9_-])") if user not in {"", "root"} else None

    def hide(text: str) -> str:
        for pattern in _SECRETS:
            text = pattern.sub(rf"\1{_GONE}", text)
        text = _PROMPT.sub(rf"\1{_GONE}", text)
        for pattern in _WHOLE:
            text = pattern.sub(_GONE, text)
        if len(home) > 1:
            text = re.sub(rf"{re.escape(home)}(?![A-Za-z0-9_-])", "~", text)
        return own.sub("user", text) if own else text

    return hide


def _walk(value: Any, hide: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, Mapping):
        return {hide(str(k)): _hidden(k, v, hide) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_walk(v, hide) for v in value]
    return value


def _hidden(key: object, value: Any, hide: Callable[[str], str]) -> Any:
    if isinstance(key, str) and key.lower() in {"authorization", "cookie", "x-api-key"}:
        return _GONE
    if key in _BODIES and isinstance(value, list):
        return _GONE
    return _walk(value, hide)
