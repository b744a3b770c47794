"""Which tests run side by side: groups that share nothing, each test of a group after the one before it."""

from pathlib import PurePath

from xdist.scheduler import LoadScopeScheduling

# Those who take longest come first, so that none begins late.
_SHARED = "the machine's own engine"
_APART = "clusters of their own"
_OWN = {
    "test_aibrix.py": "a cluster of AIBrix",
    "test_disk.py": "the engine with the small disk",
    "test_doctor_destroys.py": "the engine with the small disk",
    "test_full_disk.py": "the engine with the small disk",
    "test_engine_killed.py": "the engine with the small disk",
    "test_adopt.py": _APART,
    "test_budget.py": _APART,
    "test_cut_off.py": _APART,
    "test_images.py": _APART,
    "test_push.py": _APART,
    "test_refusals.py": _APART,
    "test_docker29.py": "the engine that is Docker 29",
}
_ORDER = (_SHARED, *dict.fromkeys(_OWN.values()))


def group(nodeid: str) -> str:
    """Return what a test has to itself while it runs; a file of the other tiers stands for itself."""
    file = PurePath(nodeid.split("::", maxsplit=1)[0])
    if file.parent.name != "cluster":
        return str(file)
    return _OWN.get(file.name, _SHARED)


def rank(nodeid: str) -> int:
    """Return where a test's group comes in the order in which groups begin."""
    name = group(nodeid)
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


class Groups(LoadScopeScheduling):
    """Gives a worker a whole group, in the order in which the tests were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)
