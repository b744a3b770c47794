"""The JSON Schema of profile files, which docs/profile.schema.json has for editors."""

import json

from devenv.base.json_types import JsonObject
from devenv.profiles.model import Profile

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_text() -> str:
    """Return the JSON Schema of profile files.

    No key is required: the profile that a file extends may have it.
    """
    schema = Profile.model_json_schema(by_alias=True)
    properties = schema["properties"]
    properties["extends"] = {
        "type": "string",
        "description": "Another profile: its name, or a file beside this one.",
    }
    properties["versions"] = _changes("what it installs, by version")
    properties["options"] = _changes("what can be asked for besides, by name")
    properties["kustomize_first"] = _folders("before all others")
    properties["kustomize"] = _folders("after those")
    properties["released"] = {
        "type": "boolean",
        "description": "Whether this version is published, with images and addresses.",
    }
    schema.pop("required")
    # devenv itself notes it.
    properties.pop("left_out")
    return json.dumps({"$schema": _DIALECT, **schema}, indent=2) + "\n"


def _changes(purpose: str) -> JsonObject:
    return {
        "type": "object",
        "additionalProperties": {"type": ["object", "null"]},
        "description": f"Changes to the profile: {purpose}.",
    }


def _folders(order: str) -> JsonObject:
    return {
        "type": "array",
        "items": {"type": "string"},
        "description": f"Folders of a checkout that are rendered {order}.",
    }
