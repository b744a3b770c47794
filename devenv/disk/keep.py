"""Which images must stay, and why. Pure. Where nobody can say whether one is needed, it is needed."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

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
        full = [normalise(n) for n in names]
        if held := next(iter(users), ""):
            return f"the container {held} has it"
        if any(n.startswith(_NODES) for n in full):
            return "kind makes nodes of it"
        return self._either(full, age)

    def node(self, names: Iterable[str], *, used: bool, pinned: bool, age: float) -> str:
        """Return why an image in a node must stay; "" where it may go."""
        full = [normalise(n) for n in names]
        if used:
            return "a container has it"
        if pinned:
            return "the node has it pinned"
        if any(n.startswith(_KUBERNETES) for n in full):
            return "Kubernetes' own"
        if self.named is None:
            return "the API server can't say whether a workload needs it"
        return self._either(full, age)

    def _either(self, full: list[str], age: float) -> str:
        if any(n in (self.before if self.named is None else self.named) for n in full):
            return "a workload of the cluster names it"
        if any(n in self.wanted for n in full):
            return "the profile has it"
        if pattern := next((p for p in self.patterns for n in full if fnmatchcase(n, p) or fnmatchcase(_short(n), p)), ""):
            return f"you protect {pattern}"
        return f"loaded, built or used in the last {self.newer / 3600:g} hours" if age < self.newer else ""


def _short(name: str) -> str:
    """Return the name as people write it."""
    return name.removeprefix("docker.io/library/").removeprefix("docker.io/")
