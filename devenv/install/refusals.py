"""Find what the API server would refuse of patched objects, before anything is applied.

If the cluster runs, its API server is asked, by a dry run. If it does not run yet, schemas decide:
those of Kubernetes' own kinds, and those of the kinds that the profile's own definitions define.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devenv.base.errors import DevenvError, Exit, NotFoundError, NotReachableError
from devenv.base.userfiles import near_it, told
from devenv.facts.objects import Fields, fields_of, items_of, name_of, namespace_of
from devenv.install import manifests
from devenv.install.manifests import Patched, Rendered
from devenv.ports.kube import KindKey, Kube, Manifest, ObjectKey
from devenv.ports.schemas import Schemas


@dataclass(frozen=True)
class _SchemaType:
    """A type of OpenAPI: the Python types that stand for it, and what a person calls it."""

    python_types: Any
    words: str


_TYPES = {
    "object": _SchemaType(Mapping, "a map of keys and values"),
    "array": _SchemaType(list, "a list"),
    "string": _SchemaType(str, "a string"),
    "integer": _SchemaType(int, "a whole number"),
    "number": _SchemaType((int, float), "a number"),
    "boolean": _SchemaType(bool, "true or false"),
}
_KEEPS_UNKNOWN_FIELDS = "x-kubernetes-preserve-unknown-fields"
_IS_INTEGER_OR_STRING = "x-kubernetes-int-or-string"
# Fields of an object that a definition's schema does not describe.
_COMMON_FIELDS = {"apiVersion", "kind", "metadata", "status"}

# (apiVersion, kind) → schema.
KindSchemas = Mapping[KindKey, Any]


@dataclass(frozen=True)
class Refusals:
    """Finds refusals of patched objects. `schemas`: of Kubernetes' own kinds."""

    schemas: Schemas

    def check(self, rendered: Rendered, kube: Kube | None) -> None:
        """Raise DevenvError with everything that would be refused.

        `kube`: the running cluster's API server, if one runs.
        """
        definitions = _defined_schemas(rendered.definitions)
        problems: list[str] = []
        for steps in _group_by_object(rendered.patched):
            object_problems = self._find_problems(steps, definitions)
            if kube and not object_problems:
                object_problems = _ask_api_server(kube, steps)
            problems += object_problems
        if problems:
            what = "The API server would refuse the patched objects."
            fix = "Correct the patches; nothing was changed."
            raise DevenvError(what, told(problems), fix, Exit.USAGE)

    def _find_problems(self, steps: Sequence[Patched], definitions: KindSchemas) -> list[str]:
        """Return what the patches of one object break, unless a later patch corrects it."""
        last_step = steps[-1]
        final_problems = set(self._validate(last_step.result, definitions))
        problems = []
        for step in steps:
            # Other projects' manifests may be wrong already. That is not the patch's fault.
            original_problems = set(self._validate(step.original, definitions))
            new_problems = final_problems - original_problems
            patch = _describe([step])
            for problem in self._validate(step.result, definitions):
                if problem in new_problems:
                    problem_line = f"{patch}: {problem}"
                    problems.append(problem_line)
        return problems

    def _validate(self, obj: Manifest, definitions: KindSchemas) -> list[str]:
        """Return what is wrong with an object, by its definition or by Kubernetes' own schemas."""
        schema = definitions.get((obj["apiVersion"], obj["kind"]))
        if schema is None:
            return self.schemas.problems(obj)
        fields = {key: value for key, value in obj.items() if key not in _COMMON_FIELDS}
        # Fields that are required may be among the common ones.
        fields_schema = {**schema, "required": []}
        return list(_misfits(fields, fields_schema, ""))


def _group_by_object(patched: Iterable[Patched]) -> list[list[Patched]]:
    """Return the patches' steps, grouped by the object that they change, in their order."""
    steps_by_object: dict[ObjectKey, list[Patched]] = {}
    for step in patched:
        key = manifests.key(step.result)
        steps_by_object.setdefault(key, []).append(step)
    return list(steps_by_object.values())


def _describe(steps: Sequence[Patched]) -> str:
    """Return the names of the patches, and the object that they change."""
    obj = steps[-1].result
    names = ", ".join(step.patch for step in steps)
    kind, path = obj["kind"], name_of(obj)
    namespace = namespace_of(obj)
    if namespace:
        path = f"{namespace}/{path}"
    return f"patches.{names}: {kind} {path}"


def _ask_api_server(kube: Kube, steps: Sequence[Patched]) -> list[str]:
    """Return why the API server refuses the patched object; [] if it takes it or can't tell."""
    try:
        refusal = kube.dry_run(steps[-1].result)
    except (NotFoundError, NotReachableError):
        # The same profile may bring the object's kind or its namespace.
        return []
    if not refusal:
        return []
    return [f"{_describe(steps)}: {refusal}"]


def _defined_schemas(definitions: Iterable[Manifest]) -> KindSchemas:
    """Return the schemas of the kinds that definitions define, by apiVersion and kind."""
    schemas: dict[KindKey, Any] = {}
    for definition in definitions:
        spec = definition.get("spec")
        is_definition = definition["kind"] == "CustomResourceDefinition"
        if is_definition and isinstance(spec, Mapping):
            schemas |= _version_schemas(spec)
    return schemas


def _version_schemas(spec: Fields) -> KindSchemas:
    """Return the schemas of one definition, by apiVersion and kind. `spec`: the definition's."""
    schemas: dict[KindKey, Any] = {}
    group = spec.get("group")
    names = fields_of(spec, "names")
    kind = str(names.get("kind"))
    for version in items_of(spec, "versions"):
        schema = fields_of(version, "schema").get("openAPIV3Schema")
        if schema:
            api_version = f"{group}/{version.get('name')}"
            schemas[api_version, kind] = schema
    return schemas


def _misfits(value: Any, schema: Any, path: str) -> Iterator[str]:
    """Yield what in a value does not fit a definition's schema, each with the path of its field."""
    if not isinstance(schema, Mapping):
        return
    if value is None and schema.get("nullable"):
        return
    if schema.get(_IS_INTEGER_OR_STRING):
        if isinstance(value, bool) or not isinstance(value, int | str):
            yield f"{path}: it must be a whole number or a string"
        return
    schema_type = _TYPES.get(str(schema.get("type")))
    if schema_type and not _is_instance(value, schema_type.python_types):
        yield f"{path}: it must be {schema_type.words}"
        return
    yield from _values_out_of_bounds(value, schema, path)
    yield from _misfits_within(value, schema, path)


def _is_instance(value: Any, python_types: Any) -> bool:
    """Whether it is of one of these types. In Python a bool is an int too, in JSON it is not."""
    if isinstance(value, bool):
        return python_types is bool
    return isinstance(value, python_types)


def _values_out_of_bounds(value: Any, schema: Fields, path: str) -> Iterator[str]:
    """Yield what is wrong with a value that the schema limits."""
    choices = schema.get("enum")
    if choices and value not in choices:
        names = list(map(str, choices))
        listed_names = ", ".join(names)
        near_name = near_it(str(value), names)
        yield f"{path}: it must be one of {listed_names}{near_name}"
    if not _is_instance(value, (int, float)):
        return
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{path}: it must be at least {schema['minimum']}"
    if "maximum" in schema and value > schema["maximum"]:
        yield f"{path}: it must be at most {schema['maximum']}"


def _misfits_within(value: Any, schema: Fields, path: str) -> Iterator[str]:
    """Yield what is wrong inside a map or a list."""
    if isinstance(value, Mapping):
        yield from _missing_fields(value, schema, path)
        yield from _misfits_of_fields(value, schema, path)
    elif isinstance(value, list):
        item_schema = schema.get("items")
        for number, item in enumerate(value):
            item_path = f"{path}.{number}"
            yield from _misfits(item, item_schema, item_path)


def _missing_fields(value: Fields, schema: Fields, path: str) -> Iterator[str]:
    for key in items_of(schema, "required"):
        if key not in value:
            yield f"{path}.{key}: it is required".lstrip(".")


def _misfits_of_fields(value: Fields, schema: Fields, path: str) -> Iterator[str]:
    """Yield what is wrong with a map's fields, also those that do not exist."""
    field_schemas = fields_of(schema, "properties")
    other_schema = schema.get("additionalProperties")
    is_open = other_schema or schema.get(_KEEPS_UNKNOWN_FIELDS)
    for key, field_value in value.items():
        field_path = f"{path}.{key}".lstrip(".")
        if key in field_schemas:
            yield from _misfits(field_value, field_schemas[key], field_path)
        elif isinstance(other_schema, Mapping):
            yield from _misfits(field_value, other_schema, field_path)
        elif field_schemas and not is_open:
            near_name = near_it(str(key), field_schemas)
            yield f"{field_path}: this field does not exist{near_name}"
