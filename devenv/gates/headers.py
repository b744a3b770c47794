"""Resolves the headers of requests, and hides their secrets in answers.

A header may refer to a variable, ${NAME}, or to a file, @FILE.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from os import environ
from pathlib import Path

from devenv.base.errors import DevenvError, Exit
from devenv.ports.gateway import HttpAnswer
from devenv.profiles.headers import FILE, HIDDEN, VARIABLE, is_secret, sendable
from devenv.profiles.model import LiveRequest

# Characters that a secret must have to be hidden: a shorter one is part of every answer.
_SHORTEST = 4


@dataclass(frozen=True)
class Resolved:
    """A request's headers as they are sent.

    `problems` says why they can't be sent, without any value. `secrets` are the texts to hide.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    problems: tuple[str, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def hide(self, text: str) -> str:
        """Return a text without the secrets, in plain or as JSON spells them."""
        spellings = {*self.secrets, *map(_as_json, self.secrets)}
        # The longest first: a secret may be a part of another one.
        for secret in sorted(spellings, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text

    def clean(self, answer: HttpAnswer) -> HttpAnswer:
        """Return an answer without the secrets: a server may send back what it was sent."""
        if not self.secrets:
            return answer
        return replace(
            answer,
            headers={name: self.hide(value) for name, value in answer.headers.items()},
            body=self.hide(answer.body),
            error=self.hide(answer.error),
        )


@dataclass(frozen=True)
class _Header:
    """One header. `inserted` are the values that replaced its references."""

    text: str = field(repr=False)
    inserted: tuple[str, ...] = field(default=(), repr=False)
    problems: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The whole value, its part after a scheme such as Bearer, and what was inserted."""
        return (self.text, self.text.rpartition(" ")[2], *self.inserted)


def resolve(live: LiveRequest) -> Resolved:
    """Read the variables and files that a request's headers refer to."""
    headers: dict[str, str] = {}
    problems: list[str] = []
    secrets: list[str] = []
    for name, value in live.headers.items():
        written = value.get_secret_value()
        header = _checked(_insert_references(written))
        problems += [f"{problem} (header {name})" for problem in header.problems]
        headers[name] = header.text
        if is_secret(name, written):
            secrets += header.secrets
    return Resolved(headers, tuple(problems), _without_short(secrets))


def _insert_references(written: str) -> _Header:
    """Insert variables, then the content of a file. What can't be read becomes a problem."""
    header = _insert_variables(written)
    reference = FILE.search(written)
    if not reference:
        return header
    path = reference[1]
    try:
        content = Path(path).expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "it can't be read as text"
        problems = (*header.problems, f"{path}: {reason}")
        return replace(header, text="", problems=problems)
    text = FILE.sub("", header.text) + content
    inserted = (*header.inserted, content)
    return replace(header, text=text, inserted=inserted)


def _insert_variables(written: str) -> _Header:
    """Insert the values of variables; those without a value become problems."""
    values: list[str] = []
    problems: list[str] = []
    for name in VARIABLE.findall(written):
        value = environ.get(name, "")
        values.append(value)
        if not value:
            problems.append(f"the variable {name} is not set")
    text = VARIABLE.sub(lambda match: environ.get(match[1], ""), written)
    return _Header(text, tuple(values), tuple(problems))


def _checked(header: _Header) -> _Header:
    """Add why HTTP can't send the text, unless the header has problems already."""
    problem = sendable(header.text)
    if header.problems or not problem:
        return header
    return replace(header, problems=(problem,))


def _without_short(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return the secrets that are long enough to be hidden, each once."""
    return tuple(dict.fromkeys(s for s in secrets if len(s) >= _SHORTEST))


def _as_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def check(requests: Iterable[LiveRequest]) -> None:
    """Refuse requests whose headers can't be sent. Raises DevenvError with all problems."""
    problems: list[str] = []
    for live in requests:
        name = live.name or live.route
        problems += [f"{name}: {problem}" for problem in resolve(live).problems]
    if problems:
        raise DevenvError(
            what="The headers of the requests can't be sent.",
            why="\n".join(problems),
            next_step="Set the variable or provide the file, then try again. Nothing was changed.",
            exit_code=Exit.USAGE,
        )
