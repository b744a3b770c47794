"""Envoy Gateway's certificates: all Secrets that certgen makes, and of one run."""

from collections.abc import Iterable, Iterator

from devenv.diagnosis import keys
from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.commands import recover
from devenv.diagnosis.keys import Key
from devenv.diagnosis.manifests import created_at
from devenv.diagnosis.model import Evidence, Finding, Subject
from devenv.diagnosis.read import was_listed
from devenv.diagnosis.roles import Role, effects_of_failure, workloads_of_role
from devenv.diagnosis.workloads import Workload
from devenv.facts.certificates import PAIR, are_of_different_runs, missing_names, own_certificates
from devenv.facts.model import Facts
from devenv.facts.objects import full_name, name_of
from devenv.facts.references import SECRET
from devenv.ports.kube import Manifest

# Seconds that certgen may take after Envoy Gateway was installed.
_MAKING = 120.0


@check
def find_broken_certificates(facts: Facts) -> Iterator[Finding]:
    """DE417: Secrets of certgen are missing, or of different runs: no side trusts the other.

    In a cluster that devenv did not make, they may come from elsewhere.
    """
    if facts.context or not was_listed(facts, SECRET):
        return
    for controller in workloads_of_role(facts, Role.CONTROLLER):
        if facts.now - created_at(controller.manifest) <= _MAKING:
            continue
        certificates = own_certificates(facts.of(SECRET), controller.namespace)
        missing = missing_names(certificates)
        if missing:
            yield _missing_certificates(controller, missing)
        elif are_of_different_runs(certificates):
            yield _unfit_certificates(controller, certificates)


def _missing_certificates(controller: Workload, missing: list[str]) -> Finding:
    names = [f"{controller.namespace}/{name}" for name in missing]
    secrets, verb = _secrets(names), "does" if len(names) == 1 else "do"
    evidence = [Evidence("API server", f"no Secret {name}") for name in names]
    return _finding(controller, names, f"The {secrets} {verb} not exist.", evidence)


def _unfit_certificates(controller: Workload, certificates: list[Manifest]) -> Finding:
    pair = [secret for secret in certificates if name_of(secret) in PAIR]
    names = list(map(full_name, pair))
    evidence = [
        Evidence(f"Secret {full_name(secret)}", "created", created_at(secret)) for secret in pair
    ]
    sentence = f"The {_secrets(names)} were made by different runs of certgen: their CAs differ."
    # It began with the newest.
    latest = max(evidence, key=lambda entry: entry.time)
    return _finding(controller, names, sentence, [latest])


def _secrets(names: list[str]) -> str:
    plural = "" if len(names) == 1 else "s"
    return f"Secret{plural} {', '.join(names)}"


def _finding(
    controller: Workload, names: list[str], sentence: str, evidence: Iterable[Evidence]
) -> Finding:
    facts = controller.facts
    about = {keys.object_of(SECRET, name) for name in names} | {keys.GATEWAY_CERTIFICATES}
    return Finding(
        code="DE417",
        subject=Subject("Secret", ", ".join(names)),
        says=sentence,
        evidence=tuple(evidence),
        fix=recover(facts),
        about=frozenset(about),
        affects=frozenset(about | _effects_of(controller)),
    )


def _effects_of(controller: Workload) -> set[Key]:
    """Return the keys of what fails: both sides of the connection, and the routes through it."""
    facts = controller.facts
    effects = {keys.FILTER, keys.ORIGINAL_ROUTE, keys.XDS, *keys.ALL_ROUTES}
    for workload in (controller, *workloads_of_role(facts, Role.PROXY)):
        effects.add(keys.deployment(workload.full_name))
        effects |= effects_of_failure(workload)
    return effects
