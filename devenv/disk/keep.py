"""Decides which images must stay, and why. Pure.

An image stays if it can't be told whether it is needed.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

from devenv.base.image_names import normalise
from devenv.images.recipes.recipe import REGISTRY
from devenv.ports.names import Names

_NODE_IMAGES = ("docker.io/kindest/", f"{REGISTRY}/node:")
_KUBERNETES = ("registry.k8s.io/", "docker.io/kindest/")


@dataclass(frozen=True)
class KeepRules:
    """What is known of who needs which image. All names are normalised.

    `workload_images`: named by any workload of the cluster, scaled to zero or not; None if the API
    server can't say. `needed_images`: of the profile, and of the recipes as they are now.
    `patterns`: what the user protects. `minimum_age`: younger images stay, in seconds.
    `last_workload_images`: what workloads named when the API server last answered.
    """

    workload_images: frozenset[str] | None
    needed_images: frozenset[str]
    patterns: tuple[str, ...] = ()
    minimum_age: float = 86400.0
    last_workload_images: frozenset[str] = frozenset()

    def why_keep_in_engine(
        self, names: Iterable[str], containers: Iterable[str], age: float
    ) -> str:
        """Return why an image of the engine must stay, "" if it may go.

        `containers`: those that use it.
        """
        all_names = spellings(names)
        if container := next(iter(containers), ""):
            return f"the container {container} uses it"
        if _any_starts_with(all_names, _NODE_IMAGES):
            return "kind creates nodes from it"
        return self._why_keep_anywhere(all_names, age)

    def why_keep_in_node(
        self, names: Iterable[str], *, used: bool, pinned: bool, age: float
    ) -> str:
        """Return why an image in a node must stay, "" if it may go."""
        all_names = spellings(names)
        if reason := self.why_keep_nameless(used=used, pinned=pinned):
            return reason
        if _any_starts_with(all_names, _KUBERNETES):
            return "it is one of Kubernetes' own images"
        if self.workload_images is None:
            return "the API server can't say whether a workload needs it"
        return self._why_keep_anywhere(all_names, age)

    @staticmethod
    def why_keep_nameless(*, used: bool, pinned: bool) -> str:
        """Return why an image in a node must stay that no workload can name, "" if it may go."""
        if used:
            return "a container uses it"
        if pinned:
            return "it is pinned in the node"
        return ""

    def _why_keep_anywhere(self, all_names: AbstractSet[str], age: float) -> str:
        """Return why an image stays, whatever the place, "" if nothing keeps it."""
        if all_names & self._workload_spellings:
            return "a workload of the cluster names it"
        if all_names & spellings(self.needed_images):
            return "the profile or a recipe needs it"
        if pattern := self._protecting_pattern(all_names):
            return f"you protect {pattern}"
        # An image may have come after the look began, and then its age is negative.
        if max(0.0, age) < self.minimum_age:
            return f"loaded, built or used in the last {self.minimum_age / 3600:g} hours"
        return ""

    def _protecting_pattern(self, names: AbstractSet[str]) -> str:
        for pattern in self.patterns:
            if any(_fits(name, pattern) for name in names):
                return pattern
        return ""

    @cached_property
    def _workload_spellings(self) -> frozenset[str]:
        if self.workload_images is None:
            return spellings(self.last_workload_images)
        return spellings(self.workload_images)


def spellings(names: Iterable[str]) -> frozenset[str]:
    """Return all ways in which an engine or a node lists these names.

    It lists NAME:TAG@DIGEST as NAME:TAG and as NAME@DIGEST.
    """
    variants = set()
    for full_name in map(normalise, names):
        name, _, digest = full_name.partition("@")
        variants.add(full_name)
        if digest:
            variants.add(f"{_untagged(name)}@{digest}")
            if name != _untagged(name):
                variants.add(name)
    return frozenset(variants)


def tags_among(names: Iterable[str]) -> list[str]:
    """Return the names that are not digests."""
    return [name for name in names if "@" not in name]


def _any_starts_with(names: Iterable[str], prefixes: Names) -> bool:
    return any(name.startswith(prefixes) for name in names)


def _untagged(name: str) -> str:
    folder, slash, basename = name.rpartition("/")
    return folder + slash + basename.partition(":")[0]


def _fits(name: str, pattern: str) -> bool:
    """Whether a pattern fits a name, with or without its tag, in full or as people write it."""
    bare_name = _untagged(name.partition("@")[0])
    for spelling in (name, bare_name, short_name(name), short_name(bare_name)):
        if fnmatchcase(spelling, pattern) or fnmatchcase(spelling, short_name(pattern)):
            return True
    return False


def short_name(name: str) -> str:
    """Return the name as people write it."""
    return name.removeprefix("docker.io/").removeprefix("library/")
