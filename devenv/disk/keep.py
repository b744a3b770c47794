"""Which images must stay, and why. Pure. Where nobody can say whether one is needed, it is needed."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

from devenv.images.load import normalise
from devenv.images.recipe import REGISTRY

_NODES = ("docker.io/kindest/", f"{REGISTRY}/node:")
_KUBERNETES = ("registry.k8s.io/", "docker.io/kindest/")


@dataclass(frozen=True)
class Keep:
    """What is known of who needs what. Names are normalised.

    `named`: by any workload of the cluster, scaled to zero or not; None where the API server can't say. `wanted`: by the
    profile, and by the recipes as they are now. `newer`: in seconds; what came later than that ago stays. `before`: what
    workloads named when the API server could last say.
    """

    named: frozenset[str] | None
    wanted: frozenset[str]
    patterns: tuple[str, ...] = ()
    newer: float = 86400.0
    before: frozenset[str] = frozenset()

    def engine(self, names: Iterable[str], users: Iterable[str], age: float) -> str:
        """Return why an image of the engine must stay; "" where it may go. `users`: containers that have it."""
        full = spellings(names)
        if container := next(iter(users), ""):
            return f"the container {container} has it"
        if any(n.startswith(_NODES) for n in full):
            return "kind makes nodes of it"
        return self._either(full, age)

    def node(self, names: Iterable[str], *, used: bool, pinned: bool, age: float) -> str:
        """Return why an image in a node must stay; "" where it may go."""
        full = spellings(names)
        if used:
            return "a container has it"
        if pinned:
            return "the node has it pinned"
        if any(n.startswith(_KUBERNETES) for n in full):
            return "Kubernetes' own"
        if self.named is None:
            return "the API server can't say whether a workload needs it"
        return self._either(full, age)

    @staticmethod
    def nameless(*, used: bool, pinned: bool) -> str:
        """Return why an image in a node without a name must stay; "" where it may go.

        No workload can name it.
        """
        if used:
            return "a container has it"
        return "the node has it pinned" if pinned else ""

    def _either(self, full: AbstractSet[str], age: float) -> str:
        if full & self._named:
            return "a workload of the cluster names it"
        if full & spellings(self.wanted):
            return "the profile has it"
        if pattern := next((p for p in self.patterns if any(_fits(n, p) for n in full)), ""):
            return f"you protect {pattern}"
        return (
            f"loaded, built or used in the last {self.newer / 3600:g} hours"
            if max(0.0, age) < self.newer
            else ""
        )

    @cached_property
    def _named(self) -> frozenset[str]:
        return spellings(self.before if self.named is None else self.named)


def spellings(names: Iterable[str]) -> frozenset[str]:
    """Return all ways in which an engine or a node lists what has these names: NAME:TAG@DIGEST is NAME:TAG and NAME@DIGEST."""
    variants = set()
    for full in map(normalise, names):
        name, _, digest = full.partition("@")
        variants.add(full)
        if digest:
            variants.add(f"{_untagged(name)}@{digest}")
            if name != _untagged(name):
                variants.add(name)
    return frozenset(variants)


def _untagged(name: str) -> str:
    folder, slash, basename = name.rpartition("/")
    return folder + slash + basename.partition(":")[0]


def _fits(name: str, pattern: str) -> bool:
    """Whether a pattern is for a name: as it is or as people write it, with its tag or without."""
    bare = _untagged(name.partition("@")[0])
    spelt = (name, bare, short_name(name), short_name(bare))
    return any(fnmatchcase(n, p) for n in spelt for p in (pattern, short_name(pattern)))


def short_name(name: str) -> str:
    """Return the name as people write it."""
    return name.removeprefix("docker.io/").removeprefix("library/")
