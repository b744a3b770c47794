"""Digests of texts."""

import hashlib


def sha256_of(text: str) -> str:
    """Return a text's SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()
