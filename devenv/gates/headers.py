"""Puts variables and files into the headers of requests, and takes what is secret out of answers."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from os import environ
from pathlib import Path

from devenv.errors import DevenvError, Exit
from devenv.ports import HttpAnswer
from devenv.profiles.headers import FILE, HIDDEN, VARIABLE, is_secret, sendable
from devenv.profiles.model import LiveRequest

# Characters of a text that is hidden: a shorter one stands in every answer.
_SHORTEST = 4


@dataclass(frozen=True)
class Resolved:
    """A request's headers as they are sent. `problems`: what stands in the way, without any value."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    problems: tuple[str, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def hide(self, text: str) -> str:
        """Return a text without what is secret, the longest first, also as JSON spells it."""
        spelt = {form for secret in self.secrets for form in (secret, json.dumps(secret)[1:-1])}
        for secret in sorted(spelt, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text

    def clean(self, answer: HttpAnswer) -> HttpAnswer:
        """Return an answer without what is secret: a server may send back what it was sent."""
        if not self.secrets:
            return answer
        headers = {name: self.hide(value) for name, value in answer.headers.items()}
        body, error = self.hide(answer.body), self.hide(answer.error)
        return replace(answer, headers=headers, body=body, error=error)


def resolve(live: LiveRequest) -> Resolved:
    """Read what a request's headers refer to."""
    headers: dict[str, str] = {}
    problems: list[str] = []
    secrets: list[str] = []
    for name, value in live.headers.items():
        written = value.get_secret_value()
        text, parts, header_problems = _put_in(written)
        header_problems = header_problems or ([problem] if (problem := sendable(text)) else [])
        problems += [f"{problem} (header {name})" for problem in header_problems]
        headers[name] = text
        if is_secret(name, written):
            secrets += [text, text.rpartition(" ")[2], *parts]
    long_enough = dict.fromkeys(s for s in secrets if len(s) >= _SHORTEST)
    return Resolved(headers, tuple(problems), tuple(long_enough))


def _put_in(written: str) -> tuple[str, list[str], list[str]]:
    """Return the text with its references put in, what was put in, and what is lacking."""
    parts: list[str] = []
    problems: list[str] = []
    for name in VARIABLE.findall(written):
        value = environ.get(name, "")
        parts.append(value)
        if not value:
            problems.append(f"the variable {name} is not set")
    text = VARIABLE.sub(lambda match: environ.get(match[1], ""), written)
    if file := FILE.search(written):
        try:
            content = Path(file[1]).expanduser().read_text().strip()
        except (OSError, UnicodeDecodeError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or "it can't be read as text"
            return "", parts, [*problems, f"{file[1]}: {reason}"]
        text = FILE.sub("", text) + content
        parts.append(content)
    return text, parts, problems


def check(requests: Iterable[LiveRequest]) -> None:
    """Refuse requests whose headers can't be sent. Raises DevenvError with all that is lacking."""
    problems: list[str] = []
    for live in requests:
        problems += [f"{live.name or live.route}: {problem}" for problem in resolve(live).problems]
    if problems:
        what = "Headers of the requests can't be sent."
        fix = "Set the variable or bring the file, then try again. Nothing was changed."
        raise DevenvError(what, "\n".join(problems), fix, Exit.USAGE)
