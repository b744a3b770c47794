"""Headers that a profile adds to requests: which are valid, and what is shown of them.

A value is a text, or refers to one: `${NAME}` to a variable, `@FILE` (alone, or as the last word)
to a file. References are shown as they are written; everything else may be a secret and is hidden.
"""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, PlainSerializer, SecretStr

HIDDEN = "[redacted]"
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
FILE = re.compile(r"(?:^|(?<=\s))@(\S.*)$")
# A token of RFC 9110.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Headers with such a name have secret values.
_SENSITIVE = re.compile(r"auth|cookie|key|token|secret|passw|credential", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME = re.compile(r"((bearer|basic|token|apikey) +)?", re.IGNORECASE)
# With these devenv chooses a request's route, finds it in Envoy's log and reads its answer.
_OWN = {
    "host", "connection", "content-length", "content-type", "transfer-encoding", "user-agent",
    "model", "routing-strategy",
}  # fmt: skip


def sendable(text: str) -> str:
    """Return why a text can't be a header's value, "" where it can."""
    if not text.strip():
        return "it is empty"
    if _CONTROL.search(text):
        return "it has a line break or another control character"
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return "it has a character that no header can have"
    return ""


def is_secret(name: str, written: str) -> bool:
    """Whether a header's value must be hidden in answers, too.

    Other values may show: a tenant's name may be anywhere. `written`: the value as in the profile.
    """
    return bool(_SENSITIVE.search(name) or VARIABLE.search(written) or FILE.search(written))


def shown(value: SecretStr) -> str:
    """Return the value as anyone may see it: references stay, and the scheme before one."""
    text = value.get_secret_value()
    if text == HIDDEN:
        return text
    words = FILE.sub("", VARIABLE.sub("", text))
    return text if words != text and _SCHEME.fullmatch(words) else HIDDEN


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("it is not a valid header name")
    if name.lower() in _OWN:
        raise ValueError(f"devenv sets {name.lower()} itself")
    return name


def _check_value(value: SecretStr) -> SecretStr:
    """Refuse what can't be sent. What a file or a variable holds is checked before sending."""
    text = value.get_secret_value()
    if reason := sendable(text):
        raise ValueError(reason)
    if "${" in VARIABLE.sub("", text):
        raise ValueError("${ must be followed by the name of a variable and }, like ${API_KEY}")
    return value


HeaderName = Annotated[str, AfterValidator(_check_name)]
HeaderValue = Annotated[
    SecretStr,
    AfterValidator(_check_value),
    PlainSerializer(shown, return_type=str, when_used="json"),
]
Headers = Mapping[HeaderName, HeaderValue]
