"""Takes out of facts what is nobody's business: credentials, request bodies, the user's name and home.

Keys stay, and so do words that others refer to (names of objects, labels, kinds): a user called `node` must not change
what the facts mean. The user's name is looked for in free text only.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_GONE = "[redacted]"
_NAMES = r"authorization|proxy-authorization|x-api-key|api[-_]?key|access[-_]?key|token|passwd|password|secret|cookie|credential"
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
        (r"\b(bearer|basic|token)\s+[A-Za-z0-9._~+/=-]{6,}", rf"\1 {_GONE}"),
        (
            rf"((?:{_NAMES})[\w-]*\\*[\"']?\s*[:=]\s*)(\[[^\]]*\]|\\*\"[^\"]*\"|'[^']*'|[^\s,;}}\]]{{3,}})",
            rf"\1{_GONE}",
        ),
        (rf"(--?(?:{_NAMES})[\w-]*[ =])\S+", rf"\1{_GONE}"),
        # What a model is asked: whatever follows on the line, however it is quoted or cut off.
        (r"(\b(?:messages|prompt|input)\\*[\"']?\s*[:=]\s*\\*[\[\"'{]).*", rf"\1{_GONE}"),
    )
)
# A key whose value goes, whatever it is.
_SENSITIVE = re.compile(rf"(?:set-)?cookie|(?:{_NAMES})s?", re.IGNORECASE)
_OPTION = re.compile(rf"--?(?:{_NAMES})", re.IGNORECASE)
_FREE = {
    "lines",
    "message",
    "body",
    "error",
    "unknown",
    "failures",
    "changing",
    "port_owner",
    "rejected",
    "text",
}
# Characters of a name that is looked for.
_SHORTEST = 3


def _names_secret(word: Any) -> bool:
    """Whether a program's argument says that the next one is a secret: `--api-key`."""
    return isinstance(word, str) and bool(_OPTION.fullmatch(word))


@dataclass(frozen=True)
class _Hider:
    home: re.Pattern[str] | None
    users: re.Pattern[str] | None
    secrets: tuple[str, ...] = ()

    def hide(self, text: str, *, free: bool) -> str:
        for secret in self.secrets:
            text = text.replace(secret, _GONE)
        for pattern, replacement in _RULES:
            text = pattern.sub(replacement, text)
        if self.home:
            text = self.home.sub("~", text)
        return self.users.sub("user", text) if free and self.users else text

    def walk(self, value: Any, *, free: bool = False) -> Any:
        if isinstance(value, str):
            return self.hide(value, free=free)
        if isinstance(value, Mapping):
            # {name: …, value: …}.
            has_secret_name = isinstance(value.get("name"), str) and _SENSITIVE.fullmatch(
                value["name"]
            )
            return {
                k: self._of_key(str(k), v, free=free, hidden=bool(has_secret_name) and k == "value")
                for k, v in value.items()
            }
        if isinstance(value, list | tuple):
            return self._of_list(value, free=free)
        return value

    def _of_list(self, value: Sequence[Any], *, free: bool) -> list[Any]:
        words: list[Any] = []
        for word in value:
            hidden = isinstance(word, str) and bool(words) and _names_secret(words[-1])
            words.append(_GONE if hidden else self.walk(word, free=free))
        return words

    def _of_key(self, key: str, value: Any, *, free: bool, hidden: bool) -> Any:
        if hidden or (isinstance(value, str) and _SENSITIVE.fullmatch(key)):
            return _GONE
        return self.walk(value, free=free or key in _FREE)


def redacted(
    facts: Mapping[str, Any], home: str, users: Sequence[str], secrets: Iterable[str] = ()
) -> dict[str, Any]:
    """Return facts, as JSON has them, without them. Of `users`, root stays: it is a word of the system's own.

    `secrets`: texts that go wherever they stand, such as the values of a request's headers.
    """
    names = sorted({u for u in users if len(u) >= _SHORTEST and u != "root"})
    homes = [home] if len(home) > 1 else []
    homes += [f"{base}/{u}" for u in names for base in ("/home", "/Users")]
    content: dict[str, Any] = _Hider(
        _any(homes, r"(?![A-Za-z0-9_-])", r"(?<![A-Za-z0-9_.~-])"),
        _any(names, r"(?![A-Za-z0-9_])", r"(?<![A-Za-z0-9_])"),
        tuple(sorted(secrets, key=len, reverse=True)),
    ).walk(facts)
    return content


def _any(words: Sequence[str], suffix: str, prefix: str = "") -> re.Pattern[str] | None:
    if not words:
        return None
    return re.compile(f"{prefix}(?:{'|'.join(map(re.escape, words))}){suffix}", re.IGNORECASE)
