"""What can follow from what, and so: which findings are roots, and which only follow.

An edge needs two things: its codes stand in FOLLOWS, and the one affects what the other is about. What no edge leads to
is a root. So a failure that the graph does not explain is never hidden.
"""

from collections.abc import Iterable, Mapping

from devenv.diagnosis.model import ANYTHING, Cause, Finding, Verdict

_PODS = (
    "DE301",
    "DE302",
    "DE303",
    "DE304",
    "DE305",
    "DE306",
    "DE307",
    "DE308",
    "DE309",
    "DE310",
    "DE311",
    "DE312",
)
# What a controller writes.
_STATUS = (
    "DE402",
    "DE403",
    "DE407",
    "DE408",
    "DE409",
    "DE412",
    "DE507",
)
_ENVOY = ("DE410", "DE411", "DE413", "DE414")
_REQUEST = ("DE601",)
_BELOW = (*_STATUS, *_ENVOY, "DE501", "DE701", "DE702", *_REQUEST)
_NODE_DOWN = ("DE204", "DE205", "DE206", *_PODS, *_BELOW)
_NOT_YET = (
    "DE106",
    "DE105",
    "DE203",
    "DE204",
    "DE205",
    "DE303",
    "DE304",
    "DE308",
    "DE312",
    "DE401",
    "DE406",
    "DE502",
    "DE503",
    "DE504",
    *_BELOW,
)

# what happened → what may follow from it
FOLLOWS: Mapping[str, tuple[str, ...]] = {
    "DE101": ("DE102", "DE103", "DE105", "DE106", "DE203", *_NODE_DOWN),
    "DE102": ("DE201", "DE202", "DE203", *_NODE_DOWN, "DE401"),
    "DE103": ("DE105", "DE203", *_NODE_DOWN),
    "DE104": _NODE_DOWN,
    "DE105": ("DE204",),
    "DE106": ("DE105", *_NODE_DOWN),
    "DE107": _NOT_YET,
    "DE108": ("DE205", "DE302", "DE303", "DE304", "DE311"),
    "DE201": ("DE204", "DE205", *_PODS, "DE401", *_BELOW),
    "DE202": ("DE204", "DE205", *_PODS, "DE401", *_BELOW),
    "DE203": ("DE105", *_NODE_DOWN),
    "DE204": ("DE205", *_PODS, *_BELOW),
    "DE205": (*_PODS, *_BELOW),
    "DE206": (*_PODS, *_BELOW, "DE204", "DE205"),
    **dict.fromkeys(_PODS, (*_BELOW, "DE302", "DE303", "DE304", "DE308", "DE312", "DE503")),
    "DE401": ("DE402", "DE410", "DE414", *_REQUEST),
    "DE402": ("DE410", *_REQUEST),
    "DE403": ("DE414", *_REQUEST),
    "DE404": ("DE403", "DE414", *_REQUEST),
    "DE405": ("DE403", "DE410", *_REQUEST),
    "DE406": (
        "DE308",
        "DE402",
        "DE403",
        "DE405",
        "DE407",
        "DE408",
        "DE410",
        "DE412",
        "DE414",
        "DE507",
        *_REQUEST,
    ),
    "DE407": ("DE308", "DE402", "DE403", "DE412", "DE507", *_ENVOY, *_REQUEST),
    "DE408": _REQUEST,
    "DE409": (*_STATUS, *_ENVOY, *_REQUEST),
    "DE410": _REQUEST,
    "DE411": ("DE410", "DE414", *_REQUEST),
    "DE412": ("DE410", *_REQUEST),
    "DE413": _REQUEST,
    "DE414": _REQUEST,
    # A definition that is gone took all objects of its kind with it; their controllers may end.
    "DE415": ("DE302", "DE304", "DE312", "DE405", "DE406", "DE502", "DE503", "DE504", *_BELOW),
    "DE416": ("DE302", "DE303", "DE304", "DE312", "DE406", *_BELOW),
    "DE501": _REQUEST,
    "DE502": ("DE507", *_REQUEST),
    "DE503": ("DE507", *_REQUEST),
    "DE504": ("DE507", *_REQUEST),
    "DE505": ("DE501", "DE502", "DE503", "DE508", *_REQUEST),
    "DE506": _REQUEST,
    "DE507": _REQUEST,
    "DE508": _REQUEST,
    "DE702": ("DE503", "DE507", *_REQUEST),
}
# Those without which others could not be read: what is unknown beside them is no news.
BLINDING = frozenset({"DE101", "DE103", "DE105", "DE106", "DE203", "DE204"})


def explains(cause: Finding, effect: Finding) -> bool:
    """Whether `effect` may follow from `cause`. Of two that could, from each other, the lower code came first."""
    if cause is effect or effect.code not in FOLLOWS.get(cause.code, ()):
        return False
    if cause.about == effect.about and cause.code >= effect.code:
        return False
    if cause.code in _PODS and effect.code in _PODS and cause.subject == effect.subject:
        # Two faults of one workload are two faults.
        return False
    return ANYTHING in cause.affects or bool(cause.affects & effect.about)


def causes(findings: Iterable[Finding]) -> list[Cause]:
    """Return the roots, each with everything that follows from it, directly or not.

    What follows from several stands beneath each of them. What is merely under way explains nothing that a fault explains.
    """
    candidates = [f for f in findings if f.verdict is not Verdict.HARMLESS]
    reasons = {i: _reasons(f, candidates) for i, f in enumerate(candidates)}
    roots = [i for i in reasons if not reasons[i]]
    rooted = {i: _reach(i, reasons) for i in roots}
    # Of findings that explain each other in a circle, the first is the root.
    for i in reasons:
        if i not in rooted and not any(i in descendants for descendants in rooted.values()):
            roots.append(i)
            rooted[i] = _reach(i, reasons)
    faults = {j for i in roots if candidates[i].verdict is not Verdict.PROGRESS for j in rooted[i]}
    root_causes = []
    for i in roots:
        descendants = (
            rooted[i] if candidates[i].verdict is not Verdict.PROGRESS else rooted[i] - faults
        )
        root_causes.append(Cause(candidates[i], tuple(candidates[j] for j in sorted(descendants))))
    return root_causes


def _reasons(finding: Finding, candidates: list[Finding]) -> set[int]:
    return {i for i, f in enumerate(candidates) if explains(f, finding)}


def _reach(root: int, reasons: Mapping[int, set[int]]) -> set[int]:
    """Return all that has the root among its reasons, or among those of its reasons."""
    descendants: set[int] = set()
    frontier = {root}
    while frontier:
        frontier = (
            {i for i, parents in reasons.items() if parents & frontier} - descendants - {root}
        )
        descendants |= frontier
    return descendants
