"""Image references and image IDs, as registries and engines spell them."""

import re

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::\d{{1,5}})?"
_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_TAG = r"\w[\w.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[+._-][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REPOSITORY = rf"(?:{_DOMAIN}/)?{_PART}(?:/{_PART})*"
_REFERENCE = re.compile(rf"{_REPOSITORY}(?::{_TAG})?(?:@{_DIGEST})?", re.ASCII)
_ID = re.compile(r"(?:sha256:)?[0-9a-f]{6,64}")
# Characters.
_LONGEST = 512


def is_reference(text: str) -> bool:
    """Whether a text can be an image reference, with or without a tag and a digest."""
    return len(text) <= _LONGEST and bool(_REFERENCE.fullmatch(text))


def is_image_id(text: str) -> bool:
    """Whether a text can be an image ID as `docker images` prints it, whole or cut."""
    return bool(_ID.fullmatch(text))
