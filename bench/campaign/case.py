"""What a named case is: how a fault comes, what doctor must say of it, and what heals it."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.cluster.lab import Lab

Injection = Callable[[Lab], None]
# In `heals`: the fix that doctor prints is typed as it stands.
PRINTED_FIX = "the printed fix"
# In `heals`: `devenv recover --yes`.
RECOVER = "recover"
# In `heals`: no command of devenv's can, or the fault passes by itself; `clean` takes it back.
TAKEN_BACK = "taken back"


def _nothing(_: Lab) -> None:
    pass


@dataclass(frozen=True)
class Case:
    """One fault.

    `layer`: the room that it breaks, such as "pods". `roots`: code and a word of the subject of
    each root; none if doctor must call the cluster healthy. `heals`: one of the three constants
    above. `clean`: what takes away that no fix can, such as a pod that a test made; it also runs
    after a case that failed halfway. `shows`: words that a root's sentence or evidence must have.
    """

    name: str
    layer: str
    roots: tuple[tuple[str, str], ...]
    inject: Injection
    heals: str = RECOVER
    clean: Injection = _nothing
    shows: tuple[str, ...] = ()
