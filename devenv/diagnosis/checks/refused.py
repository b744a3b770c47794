"""What a program may not do: the API server's refusals, in the program's log or its answers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from devenv.diagnosis import keys
from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.commands import devenv_command, kubectl_command
from devenv.diagnosis.keys import Key
from devenv.diagnosis.log_lines import line_text, line_time
from devenv.diagnosis.manifests import template_of
from devenv.diagnosis.model import Advice, Evidence, Finding, Fix, Subject, Verdict
from devenv.diagnosis.roles import effects_of_failure, place_of
from devenv.diagnosis.suffering import suffers
from devenv.diagnosis.workloads import Workload, all_workloads
from devenv.facts.model import Facts
from devenv.facts.objects import fields_of

# How the API server's authorizer words a refusal (k8s.io/apiserver, responsewriters). In a log the
# quotation marks may be escaped.
_REFUSAL = re.compile(
    r'User \\*"system:serviceaccount:(?P<namespace>[^:"\\]+):(?P<account>[^"\\]+)\\*" cannot '
    r'(?P<verb>[a-z]+) resource \\*"(?P<resource>[^"\\]+)\\*" '
    r'in API group \\*"(?P<group>[^"\\]*)\\*"'
    r'(?: in the namespace \\*"(?P<where>[^"\\]+)\\*")?'
)
# Seconds for which a refusal counts: informers ask again after 30 s at most.
_RECENT = 120.0


@dataclass(frozen=True)
class _Refusal:
    """One thing that a ServiceAccount may not do, and where that is told."""

    namespace: str
    account: str
    verb: str
    # Such as httproutes.gateway.networking.k8s.io.
    resource: str
    # The namespace that it is about, "" for all.
    where: str
    evidence: Evidence

    @property
    def action(self) -> str:
        """What is refused, in words."""
        place = f"the namespace {self.where}" if self.where else "the whole cluster"
        return f"{self.verb} {self.resource} in {place}"


@check
def find_refused_programs(facts: Facts) -> Iterator[Finding]:
    """DE317: the API server refuses what a program asks for. It is harmless if none suffers."""
    by_account: dict[tuple[str, str], dict[str, _Refusal]] = {}
    for refusal in (*_in_answers(facts), *_in_logs(facts)):
        key = (refusal.namespace, refusal.account)
        by_account.setdefault(key, {}).setdefault(refusal.action, refusal)
    for (namespace, account), refusals in by_account.items():
        programs = list(_programs(facts, namespace, account))
        if programs:
            yield _finding(facts, programs, list(refusals.values()))


def _in_logs(facts: Facts) -> Iterator[_Refusal]:
    """Yield what the newest logs tell, the latest first: a right may have been given since."""
    for log in facts.logs:
        for line in () if log.previous else reversed(log.lines):
            time = line_time(line)
            if facts.now - time > _RECENT:
                break
            yield from _refusals(f"log {log.pod}/{log.container}", line_text(line), time)


def _in_answers(facts: Facts) -> Iterator[_Refusal]:
    for proof in facts.proofs:
        yield from _refusals(f"request {proof.name}", proof.answer.body)


def _refusals(source: str, text: str, time: float = 0.0) -> Iterator[_Refusal]:
    for match in _REFUSAL.finditer(text):
        namespace, account, verb, resource, group, where = match.groups(default="")
        words = match.group().replace("\\", "")
        yield _Refusal(
            namespace=namespace,
            account=account,
            verb=verb,
            resource=f"{resource}.{group}" if group else resource,
            where=where,
            evidence=Evidence(source, words, time),
        )


def _programs(facts: Facts, namespace: str, account: str) -> Iterator[Workload]:
    """Yield the workloads that run as a ServiceAccount."""
    for workload in all_workloads(facts):
        own_account = _account_of(workload)
        if (workload.namespace, own_account) == (namespace, account):
            yield workload


def _account_of(workload: Workload) -> str:
    references = fields_of(template_of(workload.manifest), "spec").get("references") or ()
    for reference in references:
        if reference.get("kind") == "ServiceAccount":
            return str(reference.get("name"))
    return "default"


def _finding(facts: Facts, programs: list[Workload], refusals: list[_Refusal]) -> Finding:
    first = refusals[0]
    name = f"{first.namespace}/{first.account}"
    effects: set[Key] = set()
    for program in programs:
        effects |= effects_of_failure(program) | {keys.workload(program.kind, program.full_name)}
    is_fault = any(suffers(facts, program, effects) for program in programs)
    actions = ", ".join(refusal.action for refusal in refusals)
    names = ", ".join(program.name for program in programs)
    return Finding(
        code="DE317",
        subject=Subject("ServiceAccount", name),
        says=f"{names} may not {actions}." + ("" if is_fault else " Nothing suffers from it now."),
        evidence=tuple(refusal.evidence for refusal in refusals),
        fix=_fixes(facts, programs, first),
        verdict=Verdict.FAILED if is_fault else Verdict.HARMLESS,
        about=frozenset({keys.object_of("ServiceAccount", name)}),
        affects=frozenset(effects),
        place=place_of(programs[0]),
    )


def _fixes(facts: Facts, programs: list[Workload], refusal: _Refusal) -> tuple[Fix, ...]:
    """Return how to give the right back, and the question whether it is there."""
    verb, resource = refusal.verb, refusal.resource
    place = ("-n", refusal.where) if refusal.where else ("-A",)
    account = f"system:serviceaccount:{refusal.namespace}:{refusal.account}"
    question = kubectl_command(facts, "", "auth", "can-i", verb, resource, *place, "--as", account)
    if any(program.is_of_profile for program in programs):
        return (devenv_command(facts, "up"), question)
    grant = f"Give {account} a role that may {refusal.action}."
    return (Advice(grant), question)
