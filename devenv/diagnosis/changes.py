"""What of an object differs from the profile's manifest: its own value, and the profile's."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devenv.facts.redact import without_credentials
from devenv.facts.trim import MARK, names_credential
from devenv.ports.kube import Manifest
from devenv.profiles import quantities

# What stands for a value that may be a credential, or that facts do not hold.
NOT_SHOWN = "(not shown)"


@dataclass(frozen=True)
class Change:
    """A field that differs. Its values are text, "" for a missing one."""

    # Such as spec.replicas, or spec.template.spec.containers[redis].image.
    path: str
    live: str
    desired: str

    @property
    def is_hidden(self) -> bool:
        """Whether neither value may be shown, only that they differ."""
        return self.live == self.desired == NOT_SHOWN


@dataclass(frozen=True)
class _Field:
    """A place in an object."""

    path: str
    # Whether its value may be a credential.
    is_private: bool = False

    def key(self, name: str) -> "_Field":
        return _Field(f"{self.path}.{name}", self.is_private)

    def item(self, name: object) -> "_Field":
        return _Field(f"{self.path}[{name}]", self.is_private)

    def change(self, live: Any, desired: Any) -> Change:
        return Change(self.path, self._text(live), self._text(desired))

    def _text(self, value: Any) -> str:
        """Return a value on one line, without credentials."""
        if value is None:
            return ""
        if self.is_private:
            return NOT_SHOWN
        shown_value = without_credentials(_without_values(value))
        if isinstance(shown_value, str):
            return " ".join(shown_value.split())
        return json.dumps(shown_value, ensure_ascii=False)


def changes_of(manifest: Manifest, live: Manifest) -> Iterator[Change]:
    """Yield the fields of the spec or the data that the live object lacks or has otherwise.

    Field managers alone don't show them: `kubectl scale` leaves no name.
    """
    is_secret = manifest["kind"] == "Secret"
    for name in manifest:
        if name in {"spec", "data"}:
            yield from _differences(_Field(name, is_secret), live.get(name), manifest[name])


def _differences(field: _Field, live: Any, desired: Any) -> Iterator[Change]:
    """Yield where a live value lacks or changes something of a manifest's value."""
    if isinstance(desired, Mapping):
        yield from _map_differences(field, live, desired)
    elif isinstance(desired, list):
        yield from _list_differences(field, live, desired)
    elif not _is_same(live, desired):
        yield field.change(live, desired)


def _is_same(live: Any, desired: Any) -> bool:
    """Whether two values are the same.

    The API server spells a quantity its own way: 1Gi for 1024Mi.
    """
    if str(desired) == str(live):
        return True
    if not str(desired)[-1:].isalpha():
        return False
    try:
        return quantities.parse(live) == quantities.parse(desired)
    except ValueError:
        return False


def _map_differences(field: _Field, live: Any, desired: Mapping[str, Any]) -> Iterator[Change]:
    live_fields = live if isinstance(live, Mapping) else {}
    for name, value in desired.items():
        child = field.key(name)
        if name == MARK:
            # Facts hold only this of a variable's value.
            child = _Field(field.path, is_private=True)
        elif name == "value" and _is_credential(desired):
            child = _Field(child.path, is_private=True)
        yield from _differences(child, live_fields.get(name), value)


def _list_differences(field: _Field, live: Any, desired: Sequence[Any]) -> Iterator[Change]:
    """Yield the differences of lists, item by item: by name, otherwise by position."""
    live_items = live if isinstance(live, list) else []
    live_names, names = _names(live_items), _names(desired)
    if names and live_names:
        yield from _named_differences(
            field,
            dict(zip(live_names, live_items, strict=True)),
            dict(zip(names, desired, strict=True)),
        )
    elif len(live_items) != len(desired):
        yield field.change(live, desired)
    else:
        for number, (live_item, item) in enumerate(zip(live_items, desired, strict=True)):
            yield from _differences(field.item(number), live_item, item)


def _named_differences(
    field: _Field, live: Mapping[str, Any], desired: Mapping[str, Any]
) -> Iterator[Change]:
    for name, item in desired.items():
        if name in live:
            yield from _differences(field.item(name), live[name], item)
        else:
            yield field.item(name).change(None, item)
    for name in sorted(live.keys() - desired.keys()):
        yield field.item(name).change(live[name], None)
    if live.keys() == desired.keys() and list(live) != list(desired):
        yield field.change(", ".join(live), ", ".join(desired))


def _names(items: Sequence[Any]) -> list[str]:
    """Return the names of items, [] unless each has a name of its own."""
    names = [str(item["name"]) for item in items if isinstance(item, Mapping) and "name" in item]
    is_each_named = len(set(names)) == len(items)
    return names if is_each_named else []


def _without_values(value: Any) -> Any:
    """Return a value in which variables that may be credentials have no value."""
    if isinstance(value, list):
        return list(map(_without_values, value))
    if not isinstance(value, Mapping):
        return value
    fields = {name: _without_values(field) for name, field in value.items()}
    if _is_credential(value):
        fields["value"] = NOT_SHOWN
    return fields


def _is_credential(fields: Mapping[str, Any]) -> bool:
    """Whether these are the name and the value of a variable that may be a credential."""
    return "value" in fields and names_credential(str(fields.get("name", "")))
