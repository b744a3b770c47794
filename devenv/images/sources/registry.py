"""Explains why a registry refuses an image, and what the user can do about it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from devenv.base.image_names import normalise
from devenv.base.network import Trouble, trouble_of

# Characters of the engine's message that an error shows.
_SHOWN = 200
_NO_ADDRESS = re.compile(r"lookup (\S+)(?: on \S+)?: no such host")
_REQUEST = re.compile(r'^Get "[^"]*": ')


def registry_of(ref: str) -> str:
    """Return the registry that an image's name leads to."""
    return normalise(ref).partition("/")[0]


@dataclass(frozen=True)
class Failure:
    """Why a registry refused an image.

    `words` is the message of the engine, which asked the registry.
    """

    ref: str
    words: str

    @property
    def registry(self) -> str:
        """The registry that was asked."""
        return registry_of(self.ref)

    @property
    def trouble(self) -> Trouble:
        """What kind of failure it is."""
        return trouble_of(self.words)

    @property
    def sentence(self) -> str:
        """What happened, as part of a sentence: registry, trouble, and the engine's message."""
        message = _short_message(self.words) or "no answer"
        return f"{self.registry} {self.trouble.value} ({message})"

    @property
    def way_out(self) -> str:
        """What the user can do.

        The engine asks the registry, so the engine's proxy and certificate authorities count.
        """
        registry = self.registry
        ways = {
            Trouble.UNAUTHORIZED: f"Run `docker login {registry}`.",
            Trouble.FORBIDDEN: f"Run `docker login {registry}` as a user who may pull {self.ref}.",
            Trouble.PROXY: "Check the Docker engine's proxy: `docker info` shows it.",
            Trouble.LIMITED: (
                f"Run `docker login {registry}`, which raises the limit, or try again later."
            ),
            Trouble.BROKEN: "Try again later.",
            Trouble.UNTRUSTED: (
                "Put your company's certificate authority into"
                f" /etc/docker/certs.d/{registry}/ca.crt where the engine runs."
            ),
            Trouble.ABSENT: f"Check the name {self.ref}.",
            Trouble.SILENT: "Check the network and the Docker engine's proxy (`docker info`).",
        }
        return ways[self.trouble]


def _short_message(words: str) -> str:
    """Return the engine's message without its request, or just the name that has no address."""
    text = " ".join(words.split())
    if unknown_host := _NO_ADDRESS.search(text):
        return f"no address is known for {unknown_host[1]}"
    return _REQUEST.sub("", text)[:_SHOWN]


def by_registry(failures: Iterable[Failure]) -> list[Failure]:
    """Return the first failure of each registry and trouble, since several images fail alike."""
    unique_failures: dict[tuple[str, Trouble], Failure] = {}
    for failure in failures:
        unique_failures.setdefault((failure.registry, failure.trouble), failure)
    return list(unique_failures.values())
