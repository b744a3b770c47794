"""What every file format of devenv's shares: unknown keys are refused, values never change, sizes are quantities."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from devenv.profiles import quantities


class Model(BaseModel):
    """A frozen piece of a YAML file."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


Size = Annotated[int, BeforeValidator(quantities.parse)]  # bytes
