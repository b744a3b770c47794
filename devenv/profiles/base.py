"""What every file format of devenv's shares: unknown keys are refused, values never change, sizes are quantities."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

from devenv.profiles import quantities
from devenv.profiles.references import is_reference


class Model(BaseModel):
    """A frozen piece of a YAML file."""

    # Errors don't show what a file holds: a header may be a secret, and --debug prints every cause.
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True
    )


def _no_flag(value: object) -> object:
    """Refuse true and false, which would count as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("it must be a number, not true or false")  # noqa: TRY004 - pydantic wants it
    return value


Whole = Annotated[int, BeforeValidator(_no_flag)]
Amount = Annotated[float, BeforeValidator(_no_flag)]


def _reference(text: str) -> str:
    if not is_reference(text):
        raise ValueError("it is not a valid image name; write it like docker.io/library/redis:7")
    return text


ImageName = Annotated[str, AfterValidator(_reference)]

# As a Kubernetes object may be called (RFC 1123), so that no other name gets into a path or a URL. Empty: there is none.
_OBJECT = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def _object_name(text: str) -> str:
    if text and not _OBJECT.fullmatch(text):
        raise ValueError(
            "it is not a name that Kubernetes allows: a-z, 0-9, - and ., a letter or digit at both ends"
        )
    return text


_OBJECT_SCHEMA = {"type": "string", "pattern": f"^({_OBJECT.pattern})?$"}
ObjectName = Annotated[str, AfterValidator(_object_name), WithJsonSchema(_OBJECT_SCHEMA)]


def _title(text: str) -> str:
    if not text.strip() or not text.isprintable() or "/" in text:
        raise ValueError("it must be one line of text without a slash")
    return text


Title = Annotated[str, AfterValidator(_title)]


def _address(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_right = not text or (
            parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1)
        )
    except ValueError:
        is_right = False
    if not is_right or not text.isprintable() or " " in text:
        raise ValueError("it must be an address like https://HOST/PATH")
    return text


Address = Annotated[
    str, AfterValidator(_address), WithJsonSchema({"type": "string", "pattern": "^(https?://.+)?$"})
]


def _argument(text: str) -> str:
    if "\0" in text:
        raise ValueError("it has a NUL character, which no command's argument can have")
    return text


Argument = Annotated[str, AfterValidator(_argument)]

_SPELT = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "description": "A size as Kubernetes spells it: 64Mi, 2Gi.",
}
# Bytes.
Size = Annotated[int, BeforeValidator(quantities.parse), WithJsonSchema(_SPELT)]


def _share(value: object) -> str:
    text = str(value)
    quantities.share(text, 0)
    if text.isdigit() and text != "0":
        raise ValueError(f"{text} has no unit: write it like 10% or 2Gi")
    return text


_SHARE = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "description": "A size (2Gi), or a part of the disk (10%).",
}
# What it comes to: quantities.share.
Share = Annotated[str, BeforeValidator(_share), WithJsonSchema(_SHARE)]


def _policy(value: object) -> object:
    """YAML's own yes and no are truth values."""
    return {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value


_POLICY = {
    "enum": ["ask", "yes", "no", True, False],
    "description": "Whether a command that needs room may make it.",
}
AutoPrune = Annotated[
    Literal["ask", "yes", "no"], BeforeValidator(_policy), WithJsonSchema(_POLICY)
]
