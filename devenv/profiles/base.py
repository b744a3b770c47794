"""What every file format of devenv's shares: unknown keys are refused, values never change, sizes are quantities."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

from devenv.profiles import quantities
from devenv.profiles.references import is_reference


class Model(BaseModel):
    """A frozen piece of a YAML file."""

    # Errors don't show what a file holds: a header may be a secret, and --debug prints every cause.
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True)


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

_SPELT = {"anyOf": [{"type": "integer"}, {"type": "string"}], "description": "A size as Kubernetes spells it: 64Mi, 2Gi."}
Size = Annotated[int, BeforeValidator(quantities.parse), WithJsonSchema(_SPELT)]  # bytes


def _share(value: object) -> str:
    text = str(value)
    quantities.share(text, 0)
    if text.isdigit() and text != "0":
        raise ValueError(f"{text} has no unit: write it like 10% or 2Gi")
    return text


_SHARE = {"anyOf": [{"type": "integer"}, {"type": "string"}], "description": "A size (2Gi), or a part of the disk (10%)."}
Share = Annotated[str, BeforeValidator(_share), WithJsonSchema(_SHARE)]  # what it comes to: quantities.share


def _policy(value: object) -> object:
    """YAML's own yes and no are truth values."""
    return {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value


_POLICY = {"enum": ["ask", "yes", "no", True, False], "description": "Whether a command that needs room may make it."}
AutoPrune = Annotated[Literal["ask", "yes", "no"], BeforeValidator(_policy), WithJsonSchema(_POLICY)]
