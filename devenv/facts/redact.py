"""Removes what is private from facts: credentials, request bodies, the user's name and home.

Keys stay, and so do words that other facts refer to (names of objects, labels, kinds): a user
called `node` must not change what the facts mean. The user's name is looked for in free text only.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_GONE = "[redacted]"
_NAMES = (
    r"authorization|proxy-authorization|x-api-key|api[-_]?key|access[-_]?key|token|passwd|password"
    r"|secret|cookie|credential|client-key-data"
)
# What Kubernetes says after the name of a volume, which may be a word such as token.
_MISSING_OBJECT = (
    r"(?:secret|configmap|serviceaccount)s? \\*\"[^\"]*\" not found"
    r"|references non-existent (?:config|secret) key"
)
# What follows a name: a list, a text in quotes that may be escaped, or a word.
_VALUE = r"(\[[^\]]*\]|\\*\"[^\"]*\"|'[^']*'|[^\s,;}\]]{3,})"
# A key in a text of several lines; the end may have been cut off.
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", re.DOTALL)
_RULES = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), replacement)
    for pattern, replacement in (
        (r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", _GONE),
        # A JSON Web Token.
        (r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*", _GONE),
        # Keys by their makers' prefixes.
        (
            r"\b(?:sk|hf|ghp|gho|glpat)[-_][A-Za-z0-9_-]{12,}|\bAKIA[A-Z0-9]{12,}",
            _GONE,
        ),
        # A password in an address.
        (r"(://[^/\s:@]*:)[^@\s/]+@", rf"\1{_GONE}@"),
        # A token in the place of a user.
        (r"(https?://)[^/\s:@\[]+@", rf"\1{_GONE}@"),
        (r"\b(bearer|basic|token)\s+[A-Za-z0-9._~+/=-]{6,}", rf"\1 {_GONE}"),
        (
            rf"((?:{_NAMES})[\w-]*\\*[\"']?\s*[:=]\s*)(?!{_MISSING_OBJECT}){_VALUE}",
            rf"\1{_GONE}",
        ),
        (rf"(--?(?:{_NAMES})[\w-]*[ =])\S+", rf"\1{_GONE}"),
        # The question to a model, to the end of the line, however it is quoted or cut off.
        (r"(\b(?:messages|prompt|input)\\*[\"']?\s*[:=]\s*\\*[\[\"'{]).*", rf"\1{_GONE}"),
    )
)
# Keys whose values are removed, whatever they are.
_SENSITIVE = re.compile(rf"(?:set-)?cookie|(?:{_NAMES})s?", re.IGNORECASE)
_OPTION = re.compile(rf"--?(?:{_NAMES})", re.IGNORECASE)
# Keys of free text.
_FREE_TEXT = {
    "lines",
    "message",
    "body",
    "error",
    "unknown",
    "failures",
    "changing",
    "api_answer",
    "port_owner",
    "rejected",
    "text",
}
# Characters that a user's name must have to be looked for.
_SHORTEST = 3


def _names_secret(word: Any) -> bool:
    """Whether a program's argument says that the next one is a secret: `--api-key`."""
    return isinstance(word, str) and bool(_OPTION.fullmatch(word))


@dataclass(frozen=True)
class _Redactor:
    """Removes private texts. `free` says whether a value is free text."""

    home: re.Pattern[str] | None
    users: re.Pattern[str] | None
    secrets: tuple[str, ...] = ()

    def value(self, value: Any, *, free: bool = False) -> Any:
        """Return any JSON value without private texts."""
        if isinstance(value, str):
            return self._text(value, free=free)
        if isinstance(value, Mapping):
            return self._map(value, free=free)
        if isinstance(value, list | tuple):
            return self._list(value, free=free)
        return value

    def _text(self, text: str, *, free: bool) -> str:
        for secret in self.secrets:
            text = text.replace(secret, _GONE)
        for pattern, replacement in _RULES:
            text = pattern.sub(replacement, text)
        if self.home:
            text = self.home.sub("~", text)
        if self.users and free:
            text = self.users.sub("user", text)
        return text

    def _map(self, content: Mapping[Any, Any], *, free: bool) -> dict[Any, Any]:
        redacted_content: dict[Any, Any] = {}
        for key, value in content.items():
            if _is_sensitive(content, key):
                redacted_content[key] = _GONE
            else:
                is_free = free or str(key) in _FREE_TEXT
                redacted_content[key] = self.value(value, free=is_free)
        return redacted_content

    def _list(self, items: Sequence[Any], *, free: bool) -> list[Any]:
        """Return a list; of a program's arguments, the one after `--api-key` is removed."""
        redacted_items: list[Any] = []
        for item in items:
            is_secret = bool(redacted_items) and _names_secret(redacted_items[-1])
            if isinstance(item, str) and is_secret:
                redacted_items.append(_GONE)
            else:
                redacted_items.append(self.value(item, free=free))
        return redacted_items


def _is_sensitive(content: Mapping[Any, Any], key: Any) -> bool:
    """Whether the key, or `name` beside `value`, says that the value under the key is a secret."""
    name = content.get("name")
    if key == "value" and isinstance(name, str) and _SENSITIVE.fullmatch(name):
        return True
    return isinstance(content[key], str) and bool(_SENSITIVE.fullmatch(str(key)))


def redacted(
    facts: Mapping[str, Any], home: str, users: Sequence[str], secrets: Iterable[str] = ()
) -> dict[str, Any]:
    """Return facts, as JSON has them, without what is private.

    Of `users`, root stays, because it is a word of the system's own. `secrets` are texts that are
    removed wherever they stand, such as the values of a request's headers.
    """
    names = sorted(set(filter(_is_searched_for, users)))
    homes = [home] if len(home) > 1 else []
    for name in names:
        homes += [f"/home/{name}", f"/Users/{name}"]
    redactor = _Redactor(
        home=_any_of(homes, r"(?<![A-Za-z0-9_.~-])", r"(?![A-Za-z0-9_-])"),
        users=_any_of(names, r"(?<![A-Za-z0-9_])", r"(?![A-Za-z0-9_])"),
        secrets=tuple(sorted(secrets, key=len, reverse=True)),
    )
    content: dict[str, Any] = redactor.value(facts)
    return content


def redacted_text(text: str, home: str, users: Sequence[str], secrets: Iterable[str] = ()) -> str:
    """Return the text of a file without what is private, as `redacted` removes it."""
    # Keys have several lines; the other rules must not reach beyond a line's end.
    lines = _PEM.sub(_GONE, text).split("\n")
    content = redacted({"lines": lines}, home, users, secrets)
    return "\n".join(content["lines"])


def without_credentials(value: Any) -> Any:
    """Return a JSON value without credentials."""
    return _Redactor(home=None, users=None).value(value)


def _is_searched_for(user: str) -> bool:
    return len(user) >= _SHORTEST and user != "root"


def _any_of(words: Sequence[str], prefix: str, suffix: str) -> re.Pattern[str] | None:
    """Return the pattern of any of the words, None if there are none."""
    if not words:
        return None
    alternatives = "|".join(map(re.escape, words))
    return re.compile(f"{prefix}(?:{alternatives}){suffix}", re.IGNORECASE)
