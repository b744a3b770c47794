"""What the profile's manifests declare, cached with their fingerprint.

So a command that collects facts need not read 2 MB of YAML each time.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from devenv.base.atomic import write_private
from devenv.base.errors import DevenvError, NotFoundError
from devenv.facts.model import Declared
from devenv.facts.objects import full_name, name_of, namespace_of
from devenv.install import manifests
from devenv.ports.host import Host
from devenv.ports.kube import Kube, Manifest
from devenv.profiles.base import Model
from devenv.profiles.model import Profile

# Kubernetes may remove a finished Job.
_PASSING_KIND = "Job"
# Lists that are read at the same time.
_READERS = 4
_DEFAULT_NAMESPACE = "default"


class ObjectName(Model):
    """What an object of the manifests is called. `namespace`: "" if the manifest has none."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def names(self, obj: Manifest) -> bool:
        """Whether a live object of its kind is the one.

        A manifest may name a namespace for an object of the whole cluster, or none for the usual
        one.
        """
        namespaces = {"", self.namespace or _DEFAULT_NAMESPACE}
        return name_of(obj) == self.name and namespace_of(obj) in namespaces


class _CachedDeclarations(Model):
    # 2 since the objects' content is in it, 3 since the names of all objects are.
    form: Literal[3]
    fingerprint: str
    declared: tuple[Declared, ...]
    names: tuple[ObjectName, ...]


@dataclass(frozen=True)
class Declarations:
    """Reads what one cluster's manifests declare, as they were last applied."""

    profile: Profile
    locate: manifests.Locate
    # The cache.
    file: Path

    def read(self) -> tuple[Declared, ...]:
        """Return what they declare; if `prune` has removed them, what they last declared.

        Raises DevenvError if neither is on the host any more.
        """
        return self._content().declared

    def names(self) -> tuple[ObjectName, ...]:
        """Return the names of all their objects that last. Raises DevenvError as `read` does."""
        return self._content().names

    def _content(self) -> _CachedDeclarations:
        cached = self._read_cache()
        try:
            fingerprint = manifests.fingerprint(self.profile, self.locate)
        except OSError as error:
            if cached:
                return cached
            what = "The profile's manifests are not on this machine any more."
            raise DevenvError(
                what, str(error), "Run `devenv up`, which gets them again."
            ) from error
        if cached and cached.fingerprint == fingerprint:
            return cached
        rendered = manifests.render(self.profile, self.locate)
        content = _CachedDeclarations(
            form=3,
            fingerprint=fingerprint,
            declared=manifests.declared(rendered),
            names=tuple(_lasting_names(rendered.objects)),
        )
        self._write_cache(content)
        return content

    def _read_cache(self) -> _CachedDeclarations | None:
        try:
            return _CachedDeclarations.model_validate_json(self.file.read_text())
        except (OSError, ValidationError):
            # Not written yet, or by another version of devenv.
            return None

    def _write_cache(self, content: _CachedDeclarations) -> None:
        # If the disk is full, the manifests are read again next time.
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_private(self.file, content.model_dump_json())


def declarations_file(host: Host, cluster: str) -> Path:
    """Return the cache of what a cluster's manifests declare."""
    return host.cache_dir() / "declared" / f"{cluster}.json"


def _lasting_names(objects: Iterable[Manifest]) -> Iterator[ObjectName]:
    for obj in objects:
        if obj["kind"] != _PASSING_KIND:
            yield ObjectName(
                api_version=obj["apiVersion"],
                kind=obj["kind"],
                namespace=namespace_of(obj),
                name=name_of(obj),
            )


def missing_objects(kube: Kube, names: Iterable[ObjectName]) -> list[str]:
    """Return those objects that are not in the cluster, as KIND and full name."""
    by_kind: dict[tuple[str, str], list[ObjectName]] = {}
    for name in names:
        by_kind.setdefault((name.api_version, name.kind), []).append(name)

    def missing_of(kind: tuple[str, str]) -> list[str]:
        live_objects = _live_objects(kube, *kind)
        missing = [n for n in by_kind[kind] if not any(map(n.names, live_objects))]
        return [f"{name.kind} {_spelled(name)}" for name in missing]

    with ThreadPoolExecutor(_READERS) as pool:
        return list(chain.from_iterable(pool.map(missing_of, by_kind)))


def _live_objects(kube: Kube, api_version: str, kind: str) -> list[Manifest]:
    """Return the objects' metadata; none of a kind whose definition is gone."""
    try:
        return kube.metadata(api_version, kind)
    except NotFoundError:
        return []


def _spelled(name: ObjectName) -> str:
    return full_name({"metadata": {"namespace": name.namespace, "name": name.name}})
