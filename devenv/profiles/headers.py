"""Headers that a request carries besides its own: what may stand in a profile, and what of it is shown.

A value is a text, or names where the text is: `${NAME}` a variable, `@FILE` (alone, or the last word)
a file. References are shown as they are written; everything else may be a secret and is not.
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
# Headers by whose names their values are secrets, wherever those stand.
_SENSITIVE = re.compile(r"auth|cookie|key|token|secret|passw|credential", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME = re.compile(r"((bearer|basic|token|apikey) +)?", re.IGNORECASE)
# By these devenv sends a request by its route, finds it in Envoy's log and reads its answer.
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
    """Whether a header's value must not be seen in what others say: a tenant's name may stand anywhere."""
    return bool(_SENSITIVE.search(name) or VARIABLE.search(written) or FILE.search(written))


def shown(value: SecretStr) -> str:
    """Return the value as anybody may see it: references stay, and the scheme before one."""
    text = value.get_secret_value()
    if text == HIDDEN:
        return text
    words = FILE.sub("", VARIABLE.sub("", text))
    return text if words != text and _SCHEME.fullmatch(words) else HIDDEN


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("it is no name of a header")
    if name.lower() in _OWN:
        raise ValueError(f"devenv sets {name.lower()} itself")
    return name


def _value(value: SecretStr) -> SecretStr:
    """Refuse what can't be sent; of what a file or a variable holds, only sending can tell."""
    text = value.get_secret_value()
    if reason := sendable(text):
        raise ValueError(reason)
    if "${" in VARIABLE.sub("", text):
        raise ValueError("after ${ it needs the name of a variable and }, like ${API_KEY}")
    return value


HeaderName = Annotated[str, AfterValidator(_name)]
HeaderValue = Annotated[
    SecretStr, AfterValidator(_value), PlainSerializer(shown, return_type=str, when_used="json")
]
Headers = Mapping[HeaderName, HeaderValue]
