"""What all of devenv's file formats share.

Unknown keys are refused, values never change, and sizes are quantities.
"""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

from devenv.profiles import quantities
from devenv.profiles.references import is_reference


class Model(BaseModel):
    """A part of a YAML file, frozen."""

    # Errors don't show what a file holds: a header may be a secret, and --debug prints every cause.
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True
    )


def is_list_of(value: object, item_type: type) -> bool:
    """Whether a value of a YAML file is a list, and all its items are of the type."""
    return isinstance(value, list) and all(isinstance(item, item_type) for item in value)


def _check_is_no_bool(value: object) -> object:
    """Refuse true and false, which would count as 1 and 0."""
    if isinstance(value, bool):
        # Not a TypeError: pydantic reports only a ValueError with its place.
        raise ValueError("it must be a number, not true or false")  # noqa: TRY004
    return value


Whole = Annotated[int, BeforeValidator(_check_is_no_bool)]
Amount = Annotated[float, BeforeValidator(_check_is_no_bool)]


def _check_reference(text: str) -> str:
    if not is_reference(text):
        raise ValueError("it is not a valid image name; write it like docker.io/library/redis:7")
    return text


ImageName = Annotated[str, AfterValidator(_check_reference)]

# The name of a Kubernetes object (RFC 1123), so that no other name gets into a path or a URL.
_OBJECT = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def _check_object_name(text: str) -> str:
    """Refuse what can't be an object's name; an empty text stands for none."""
    if text and not _OBJECT.fullmatch(text):
        raise ValueError(
            "it is not a name that Kubernetes allows: a-z, 0-9, - and .,"
            " a letter or digit at both ends"
        )
    return text


_OBJECT_SCHEMA = {"type": "string", "pattern": f"^({_OBJECT.pattern})?$"}
ObjectName = Annotated[str, AfterValidator(_check_object_name), WithJsonSchema(_OBJECT_SCHEMA)]


def _check_title(text: str) -> str:
    if not text.strip() or not text.isprintable() or "/" in text:
        raise ValueError("it must be one line of text without a slash")
    return text


Title = Annotated[str, AfterValidator(_check_title)]


def _check_address(text: str) -> str:
    """Refuse what is not an HTTP address; an empty text stands for none."""
    if text and not _is_http_address(text):
        raise ValueError("it must be an address like https://HOST/PATH")
    return text


def _is_http_address(text: str) -> bool:
    """Whether a text is an address of HTTP with a host, without spaces."""
    if not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        # Reading an invalid port raises ValueError.
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


_ADDRESS_SCHEMA = {"type": "string", "pattern": "^(https?://.+)?$"}
Address = Annotated[str, AfterValidator(_check_address), WithJsonSchema(_ADDRESS_SCHEMA)]


def _check_argument(text: str) -> str:
    if "\0" in text:
        raise ValueError("it has a NUL character, which no command's argument can have")
    return text


Argument = Annotated[str, AfterValidator(_check_argument)]

_SIZE = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "description": "A size as Kubernetes spells it: 64Mi, 2Gi.",
}
# Bytes.
Size = Annotated[int, BeforeValidator(quantities.parse), WithJsonSchema(_SIZE)]


def _check_share(value: object) -> str:
    text = str(value)
    quantities.share(text, 0)
    if text.isdigit() and text != "0":
        raise ValueError(f"{text} has no unit: write it like 10% or 2Gi")
    return text


_SHARE = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "description": "A size (2Gi), or a part of the disk (10%).",
}
# quantities.share gives its bytes.
Share = Annotated[str, BeforeValidator(_check_share), WithJsonSchema(_SHARE)]


def _yes_or_no(value: object) -> object:
    """Return YAML's yes and no, which are read as booleans, as texts."""
    if value is True:
        return "yes"
    if value is False:
        return "no"
    return value


_POLICY = {
    "enum": ["ask", "yes", "no", True, False],
    "description": "Whether a command that needs space may prune.",
}
AutoPrune = Annotated[
    Literal["ask", "yes", "no"], BeforeValidator(_yes_or_no), WithJsonSchema(_POLICY)
]
