"""What the API server would refuse of patched objects, told before anything is applied.

Where the cluster runs it is asked itself, by a dry run. Where none runs yet, the shapes decide: of
Kubernetes' own kinds, and of the kinds that the profile's own definitions define.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devenv.errors import DevenvError, Exit, NotFoundError, NotReachableError
from devenv.lifecycle import manifests
from devenv.lifecycle.manifests import Patched, Rendered
from devenv.ports import Kube, Manifest, Schemas
from devenv.userfiles import near_it, told

_TYPES: dict[str, tuple[Any, str]] = {
    "object": (Mapping, "a map of keys and values"),
    "array": (list, "a list"),
    "string": (str, "a string"),
    "integer": (int, "a whole number"),
    "number": ((int, float), "a number"),
    "boolean": (bool, "true or false"),
}
_OPEN = "x-kubernetes-preserve-unknown-fields"
_EITHER = "x-kubernetes-int-or-string"
# apiVersion, kind, namespace, name.
Key = tuple[str, str, str, str]
_AT_TOP = {"apiVersion", "kind", "metadata", "status"}


@dataclass(frozen=True)
class Refusals:
    """Looks at patched objects. `schemas`: the shapes of Kubernetes' own kinds."""

    schemas: Schemas

    def check(self, rendered: Rendered, kube: Kube | None) -> None:
        """Raise DevenvError with all that would be refused.

        `kube`: the running cluster's API server, if one runs.
        """
        definitions = defined(rendered.definitions)
        problems: list[str] = []
        for steps in _by_object(rendered.patched):
            lasting = set(self._problems(steps[-1].after, definitions))
            new_problems = [(step, what) for step in steps for what in self._new(step, definitions)]
            object_problems = [
                f"{_called(step)}: {what}" for step, what in new_problems if what in lasting
            ]
            if kube and not object_problems and (refusal := _refused(kube, steps[-1].after)):
                object_problems = [f"{_called(*steps)}: {refusal}"]
            problems += object_problems
        if problems:
            what = "The API server would refuse the patched objects."
            fix = "Correct the patches; nothing was changed."
            raise DevenvError(what, told(problems), fix, Exit.USAGE)

    def _new(self, step: Patched, definitions: Mapping[tuple[str, str], Any]) -> list[str]:
        """Return what is wrong after the patches and was not before, in others' manifests."""
        existing_problems = set(self._problems(step.before, definitions))
        return [
            what
            for what in self._problems(step.after, definitions)
            if what not in existing_problems
        ]

    def _problems(self, obj: Manifest, definitions: Mapping[tuple[str, str], Any]) -> list[str]:
        schema = definitions.get((obj["apiVersion"], obj["kind"]))
        if schema is None:
            return self.schemas.problems(obj)
        inner = {key: value for key, value in obj.items() if key not in _AT_TOP}
        return list(unfit(inner, {**schema, "required": []}, ""))


def _by_object(patched: Iterable[Patched]) -> list[list[Patched]]:
    """Return what patches made, object by object, in their order."""
    objects: dict[Key, list[Patched]] = {}
    for step in patched:
        objects.setdefault(manifests.key(step.after), []).append(step)
    return list(objects.values())


def _called(*steps: Patched) -> str:
    """Return the patches, and the object that they change."""
    obj = steps[-1].after
    name = "/".join(filter(None, (obj["metadata"].get("namespace"), obj["metadata"]["name"])))
    return f"patches.{', '.join(step.patch for step in steps)}: {obj['kind']} {name}"


def _refused(kube: Kube, obj: Manifest) -> str:
    """Return why the API server refuses an object, "" where it takes it, or can't tell yet."""
    try:
        return kube.dry_run(obj)
    except (NotFoundError, NotReachableError):
        # Its kind or its namespace comes with the same profile.
        return ""


def defined(definitions: Iterable[Manifest]) -> dict[tuple[str, str], Any]:
    """Return the schemas of the kinds that definitions define, by apiVersion and kind."""
    schemas: dict[tuple[str, str], Any] = {}
    for definition in definitions:
        spec = definition.get("spec")
        if definition["kind"] != "CustomResourceDefinition" or not isinstance(spec, Mapping):
            continue
        kind = (spec.get("names") or {}).get("kind")
        for version in spec.get("versions") or ():
            schema = (version.get("schema") or {}).get("openAPIV3Schema")
            if schema:
                schemas[f"{spec.get('group')}/{version.get('name')}", str(kind)] = schema
    return schemas


def unfit(value: Any, schema: Any, path: str) -> Iterator[str]:
    """Yield what in a value does not fit a definition's schema, each with its field."""
    if not isinstance(schema, Mapping) or (value is None and schema.get("nullable")):
        return
    if schema.get(_EITHER):
        if isinstance(value, bool) or not isinstance(value, int | str):
            yield f"{path}: it must be a whole number or a string"
        return
    expected_type = _TYPES.get(str(schema.get("type")))
    if expected_type and not _is(value, expected_type[0]):
        yield f"{path}: it must be {expected_type[1]}"
        return
    yield from _out_of_bounds(value, schema, path)
    if isinstance(value, Mapping):
        yield from _fields(value, schema, path)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from unfit(item, schema.get("items"), f"{path}.{number}")


def _is(value: Any, kinds: Any) -> bool:
    return isinstance(value, kinds) and isinstance(value, bool) == (kinds is bool)


def _out_of_bounds(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    words = schema.get("enum")
    if words and value not in words:
        names = [str(word) for word in words]
        yield f"{path}: it must be one of {', '.join(names)}{near_it(str(value), names)}"
    if not _is(value, (int, float)):
        return
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{path}: it must be at least {schema['minimum']}"
    if "maximum" in schema and value > schema["maximum"]:
        yield f"{path}: it must be at most {schema['maximum']}"


def _fields(value: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[str]:
    fields = schema.get("properties") or {}
    others = schema.get("additionalProperties")
    missing_fields: Sequence[str] = [
        key for key in schema.get("required") or () if key not in value
    ]
    yield from (f"{path}.{key}: it is required".lstrip(".") for key in missing_fields)
    for key, inner in value.items():
        where = f"{path}.{key}".lstrip(".")
        if key in fields:
            yield from unfit(inner, fields[key], where)
        elif isinstance(others, Mapping):
            yield from unfit(inner, others, where)
        elif fields and not others and not schema.get(_OPEN):
            yield f"{where}: there is no such field{near_it(str(key), fields)}"
