"""What a registry says when it refuses an image, and what a user can do about it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from devenv.images.load import normalise
from devenv.network import Trouble, trouble_of

# Characters of what the engine said.
_SHOWN = 200
_NO_ADDRESS = re.compile(r"lookup (\S+)(?: on \S+)?: no such host")
_REQUEST = re.compile(r'^Get "[^"]*": ')


def registry_of(ref: str) -> str:
    """Return the registry that an image's name leads to."""
    return normalise(ref).partition("/")[0]


@dataclass(frozen=True)
class Failure:
    """Why a registry refused an image. `words` are the engine's, which asked it."""

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
        """What happened, as part of a sentence: the registry, what it did, and the engine's words."""
        return f"{self.registry} {self.trouble.value} ({_reason(self.words) or 'no answer'})"

    @property
    def way_out(self) -> str:
        """What a user can do. The engine asks the registry, so its proxy and its authorities count."""
        registry = self.registry
        ways = {
            Trouble.UNAUTHORIZED: f"Run `docker login {registry}`.",
            Trouble.FORBIDDEN: f"Run `docker login {registry}` as a user who may pull {self.ref}.",
            Trouble.PROXY: "Check the Docker engine's proxy: `docker info` shows it.",
            Trouble.LIMITED: f"Run `docker login {registry}`, which raises the limit, or try again later.",
            Trouble.BROKEN: "Try again later.",
            Trouble.UNTRUSTED: (
                f"Put your company's certificate authority into /etc/docker/certs.d/{registry}/ca.crt where the engine runs."
            ),
            Trouble.ABSENT: f"Check the name {self.ref}.",
            Trouble.SILENT: "Check the network and the Docker engine's proxy (`docker info`).",
        }
        return ways[self.trouble]


def _reason(words: str) -> str:
    """Return what the engine's words come to: a name without an address as just that, without the request else."""
    text = " ".join(words.split())
    if unknown := _NO_ADDRESS.search(text):
        return f"no address is known for {unknown[1]}"
    return _REQUEST.sub("", text)[:_SHOWN]


def by_registry(failures: Iterable[Failure]) -> list[Failure]:
    """Return one failure for each registry and kind: several images fail alike."""
    unique_failures: dict[tuple[str, Trouble], Failure] = {}
    for failure in failures:
        unique_failures.setdefault((failure.registry, failure.trouble), failure)
    return list(unique_failures.values())
