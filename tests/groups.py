"""Which tests run side by side: groups that share nothing, each test of a group after the one before it."""

from pathlib import PurePath

from xdist.scheduler import LoadScopeScheduling

# The longest groups come first, so that none begins late, and before them those that use a worker's cluster: it is
# removed with the first test of another group. The fixtures `cluster` and `small_disk` make one of each
# for a worker, and a worker that takes two groups of the same kind uses it for both.
_FAULTS = "a cluster with faults"
_LOOP = "a cluster for the loop"
_DESTROYED = "an engine with a small disk, which is filled"
_APART = "clusters of their own"
_OWN = {
    "test_bugreport.py": _FAULTS,
    "test_context.py": _FAULTS,
    "test_doctor.py": _FAULTS,
    "test_gone.py": _FAULTS,
    "test_network.py": _FAULTS,
    "test_node_stopped.py": _FAULTS,
    "test_aibrix.py": "a cluster of AIBrix",
    "test_disk.py": "an engine with a small disk, which is pruned",
    "test_doctor_destroys.py": _DESTROYED,
    "test_full_disk.py": _DESTROYED,
    "test_own_engine.py": _DESTROYED,
    "test_adopt.py": _APART,
    "test_budget.py": _APART,
    "test_cut_off.py": _APART,
    "test_images.py": _APART,
    "test_push.py": _APART,
    "test_refusals.py": _APART,
    "test_docker29.py": "the engine that is Docker 29",
}
_ORDER = (_FAULTS, _LOOP, *dict.fromkeys(_OWN.values()))


def group(nodeid: str) -> str:
    """Return what a test has to itself while it runs; a file of the other tiers stands for itself."""
    file = PurePath(nodeid.split("::", maxsplit=1)[0])
    if file.parent.name != "cluster":
        return str(file)
    return _OWN.get(file.name, _LOOP)


def shares_cluster(nodeid: str) -> bool:
    """Whether a test is of a group that uses the cluster of its worker."""
    return group(nodeid) in {_FAULTS, _LOOP}


def rank(nodeid: str) -> int:
    """Return where a test's group comes in the order in which groups begin."""
    name = group(nodeid)
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


class Groups(LoadScopeScheduling):
    """Gives a worker a whole group, in the order in which the tests were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)
