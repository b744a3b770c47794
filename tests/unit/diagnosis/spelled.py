"""Subjects, fixes and keys as text, so that a test can write them down."""

from collections.abc import Iterable

from devenv.diagnosis.keys import Key
from devenv.diagnosis.model import Finding


def key(text: str) -> Key:
    """Return the key that is spelled so: KIND/NAME, or KIND."""
    kind, _, name = text.partition("/")
    return Key(kind, name)


def keys(texts: Iterable[str]) -> frozenset[Key]:
    return frozenset(map(key, texts))


def spelled(found: Iterable[Key]) -> frozenset[str]:
    return frozenset(map(str, found))


def fixes(finding: Finding) -> tuple[str, ...]:
    return tuple(map(str, finding.fix))
