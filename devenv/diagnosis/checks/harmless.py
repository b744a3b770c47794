"""What looks alarming and is harmless (docs/facts/gateway.md)."""

from collections.abc import Iterator

from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.log_lines import line_text
from devenv.diagnosis.manifests import template_of
from devenv.diagnosis.model import Evidence, Finding, Subject, Verdict
from devenv.diagnosis.read import was_listed
from devenv.diagnosis.roles import Role, role_of
from devenv.diagnosis.workloads import Workload, deployments
from devenv.facts.model import Facts

_POD_LABEL = "AIBRIX_POD_DEPLOYMENT_LABEL"
# Characters of a log line that are kept.
_LONGEST = 200


@check
def find_deprecated_matches(facts: Facts) -> Iterator[Finding]:
    """DE901: Envoy warns of the spelling that Envoy Gateway uses for header matches."""
    for log, line in facts.lines():
        if "deprecat" in line.lower() and "match" in line.lower():
            yield Finding(
                code="DE901",
                subject=Subject("log", log.pod),
                says="Envoy calls header matches deprecated. They work.",
                evidence=(Evidence(f"log {log.pod}", line_text(line)[:_LONGEST]),),
                verdict=Verdict.HARMLESS,
            )
            return


@check
def find_no_model_adapters(facts: Facts) -> Iterator[Finding]:
    """DE902: the cluster has no ModelAdapters, as is usual without LoRA."""
    if not was_listed(facts, "ModelAdapter") or facts.of("ModelAdapter"):
        return
    yield Finding(
        code="DE902",
        subject=Subject("ModelAdapters"),
        says="The cluster has no ModelAdapters. Only LoRA adapters need them.",
        evidence=(Evidence("API server", "no ModelAdapter"),),
        verdict=Verdict.HARMLESS,
    )


@check
def find_unset_pod_label(facts: Facts) -> Iterator[Finding]:
    """DE903: a variable of gateway-plugins is not set, and has a default."""
    for deployment in deployments(facts):
        if role_of(deployment) is not Role.PLUGINS or _sets_pod_label(deployment):
            continue
        source = f"Deployment {deployment.name}"
        yield Finding(
            code="DE903",
            subject=Subject.component("gateway-plugins"),
            says=f"{_POD_LABEL} is not set. gateway-plugins has a default for it.",
            evidence=(Evidence(source, f"no variable {_POD_LABEL}"),),
            verdict=Verdict.HARMLESS,
        )


def _sets_pod_label(deployment: Workload) -> bool:
    for container in template_of(deployment.manifest)["spec"].get("containers") or ():
        if any(variable["name"] == _POD_LABEL for variable in container.get("env") or ()):
            return True
    return False
