"""The cause graph: which codes may follow from which, and so which findings are root causes.

An edge leads from one finding to another if `FOLLOWS` allows it for their codes, and if the first
affects what the second is about. If a finding's own words name an object, an edge leads to it from
findings about that object, whatever their codes, and from no other. A finding that no edge leads to
is a root cause. So a failure that the graph does not explain is never hidden.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from devenv.diagnosis.model import ANYTHING, Cause, Finding, Verdict

# Of a workload or its pods.
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
# What Kubernetes itself tells of a workload, or of an object that it waits for.
_TOLD = ("DE313", "DE315", "DE317")
# Of what controllers write into an object's status.
_STATUS = ("DE402", "DE403", "DE407", "DE408", "DE409", "DE412", "DE507")
# Of what Envoy itself reports.
_ENVOY = ("DE410", "DE411", "DE413", "DE414")
# Of requests: the live ones, and those of users.
_REQUEST = ("DE601", "DE604", "DE605", "DE606")
# What may follow from any failure of a pod.
_BELOW = (*_STATUS, *_ENVOY, "DE501", "DE701", "DE702", *_REQUEST)
# The programs beneath Kubernetes.
_PROGRAMS = ("DE207", "DE208", "DE209")
# What may follow if a node does not run.
_NODE_DOWN = ("DE204", "DE205", "DE206", "DE314", *_PROGRAMS, *_PODS, *_TOLD, *_BELOW)
# What may follow if nobody starts or replaces pods, and nobody writes their status.
_UNTENDED = ("DE204", "DE205", "DE314", "DE401", "DE406", "DE503", "DE504", *_PODS, *_TOLD, *_BELOW)
# What may pass by itself while another command changes the cluster.
_NOT_YET = (
    "DE106",
    "DE105",
    "DE203",
    "DE204",
    "DE205",
    *_PROGRAMS,
    "DE303",
    "DE304",
    "DE308",
    "DE312",
    "DE314",
    "DE401",
    "DE406",
    "DE417",
    "DE502",
    "DE503",
    "DE504",
    *_BELOW,
)

# code → the codes that may follow from it
FOLLOWS: Mapping[str, tuple[str, ...]] = {
    "DE101": ("DE102", "DE103", "DE105", "DE106", "DE203", *_NODE_DOWN),
    "DE102": ("DE201", "DE202", "DE203", *_NODE_DOWN, "DE401"),
    "DE103": ("DE105", "DE203", *_NODE_DOWN),
    "DE104": _NODE_DOWN,
    "DE105": ("DE204",),
    "DE106": ("DE105", *_NODE_DOWN),
    "DE107": _NOT_YET,
    "DE108": ("DE205", *_PROGRAMS, "DE302", "DE303", "DE304", "DE311", *_TOLD),
    "DE109": ("DE105", "DE203", *_NODE_DOWN),
    "DE201": ("DE204", "DE205", *_PROGRAMS, *_PODS, *_TOLD, "DE401", *_BELOW),
    "DE202": ("DE204", "DE205", *_PROGRAMS, *_PODS, *_TOLD, "DE401", *_BELOW),
    "DE203": ("DE105", *_NODE_DOWN),
    "DE204": ("DE205", *_PODS, *_TOLD, *_BELOW),
    "DE205": (*_PODS, *_TOLD, *_BELOW),
    "DE206": (*_PODS, *_TOLD, *_BELOW, "DE204", "DE205", "DE207"),
    "DE207": _UNTENDED,
    "DE208": ("DE207", *_UNTENDED),
    "DE209": ("DE207", "DE208", *_UNTENDED),
    "DE210": ("DE204", "DE205", "DE401", "DE701", "DE702", *_REQUEST),
    "DE211": ("DE307", *_BELOW),
    **dict.fromkeys(
        (*_PODS, *_TOLD), (*_BELOW, "DE302", "DE303", "DE304", "DE308", "DE312", "DE503")
    ),
    # Controllers treat what is being deleted as gone.
    "DE314": (
        *_PODS,
        *_TOLD,
        *_BELOW,
        "DE401",
        "DE405",
        "DE406",
        "DE416",
        "DE502",
        "DE503",
        "DE504",
    ),
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
        "DE416",
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
    # A missing definition took all objects of its kind with it, and their controllers may crash.
    "DE415": ("DE302", "DE304", "DE312", "DE405", "DE406", "DE502", "DE503", "DE504", *_BELOW),
    "DE416": ("DE302", "DE303", "DE304", "DE312", "DE406", *_BELOW),
    # A pod that mounts a missing Secret waits; without the CA's trust the proxy gets no routes.
    "DE417": (*_PODS, *_TOLD, *_BELOW),
    # A program that does not reach what it needs crashes or does not get ready.
    "DE418": (*_PODS, *_TOLD, *_BELOW),
    "DE419": (*_ENVOY, "DE501", *_REQUEST),
    "DE501": _REQUEST,
    "DE502": ("DE507", *_REQUEST),
    "DE503": ("DE507", *_REQUEST),
    "DE504": ("DE507", *_REQUEST),
    "DE505": ("DE501", "DE502", "DE503", "DE508", *_REQUEST),
    "DE506": _REQUEST,
    "DE507": _REQUEST,
    "DE508": _REQUEST,
    "DE601": ("DE604", "DE605"),
    "DE604": ("DE601", "DE606"),
    "DE606": ("DE601", "DE604", "DE605"),
    "DE702": ("DE503", "DE507", *_REQUEST),
}
# With one of these, nothing else can be read: then what is unknown need not be reported.
BLINDING = frozenset({"DE101", "DE103", "DE105", "DE106", "DE109", "DE203", "DE204"})


def explains(cause: Finding, effect: Finding) -> bool:
    """Whether `effect` may follow from `cause`.

    If each of two findings could explain the other, the one with the lower code does; with equal
    codes, the one whose subject comes first.
    """
    if names(cause, effect) != names(effect, cause):
        # What words blame counts more than what codes allow.
        return names(cause, effect)
    if not _may_explain(cause, effect):
        return False
    return not _may_explain(effect, cause) or _rank(cause) < _rank(effect)


def _rank(finding: Finding) -> tuple[str, str]:
    return finding.code, str(finding.subject)


def _may_explain(cause: Finding, effect: Finding) -> bool:
    """Whether an edge leads from `cause` to `effect`, whatever leads back."""
    if names(cause, effect):
        return True
    if cause is effect or effect.code not in FOLLOWS.get(cause.code, ()):
        return False
    both_of_pods = cause.code in _PODS and effect.code in _PODS
    if both_of_pods and cause.subject == effect.subject:
        # Two faults of one workload are two faults.
        return False
    return ANYTHING in cause.affects or bool(cause.affects & effect.about)


def names(cause: Finding, effect: Finding) -> bool:
    """Whether the words of `effect` blame what `cause` is about, or affects by that name."""
    return cause is not effect and bool((cause.about | cause.affects) & effect.names)


def causes(findings: Iterable[Finding]) -> list[Cause]:
    """Return the root causes, each with everything that follows from it, directly or not.

    What follows from several stands with each of them. But what follows from a fault does not stand
    with a root cause that is only in progress.
    """
    graph = _Graph.of([f for f in findings if f.verdict is not Verdict.HARMLESS])
    effects_of_roots = {root: graph.effects_of(root) for root in graph.find_roots()}
    explained_by_faults: set[int] = set()
    for root, effects in effects_of_roots.items():
        if not graph.is_in_progress(root):
            explained_by_faults |= effects
    root_causes = []
    for root, effects in effects_of_roots.items():
        excluded = explained_by_faults if graph.is_in_progress(root) else set()
        root_causes.append(graph.cause(root, effects - excluded))
    return root_causes


def _reasons_for(effect: Finding, findings: Sequence[Finding]) -> set[int]:
    """Return the findings that explain one: if its own words blame some of them, only those."""
    reasons = {number for number, finding in enumerate(findings) if explains(finding, effect)}
    blamed = {number for number in reasons if names(findings[number], effect)}
    return blamed or reasons


@dataclass(frozen=True)
class _Graph:
    """Findings and the edges between them. A finding goes by its number in the list."""

    findings: Sequence[Finding]
    # For each finding, those that explain it.
    reasons: Sequence[set[int]]

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> "_Graph":
        return cls(findings, [_reasons_for(effect, findings) for effect in findings])

    def find_roots(self) -> list[int]:
        """Return the findings that none explains.

        If findings explain each other in a circle, and no root leads to it, its first is a root.
        """
        roots = [i for i, reasons in enumerate(self.reasons) if not reasons]
        reached = set(roots)
        for root in roots:
            reached |= self.effects_of(root)
        for i in range(len(self.findings)):
            if i not in reached:
                roots.append(i)
                reached |= {i, *self.effects_of(i)}
        return roots

    def effects_of(self, root: int) -> set[int]:
        """Return all findings that follow from one, directly or not, without itself."""
        effects: set[int] = set()
        newest = {root}
        while newest:
            followers = {i for i, reasons in enumerate(self.reasons) if reasons & newest}
            newest = followers - effects - {root}
            effects |= newest
        return effects

    def is_in_progress(self, root: int) -> bool:
        return self.findings[root].verdict is Verdict.PROGRESS

    def cause(self, root: int, effects: Iterable[int]) -> Cause:
        return Cause(self.findings[root], tuple(self.findings[i] for i in sorted(effects)))
