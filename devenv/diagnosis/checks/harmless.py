"""What looks alarming and is harmless (docs/facts/gateway.md)."""

from collections.abc import Iterator

from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.model import Evidence, Finding, Verdict
from devenv.diagnosis.read import role
from devenv.facts.model import Facts

_POD_LABEL = "AIBRIX_POD_DEPLOYMENT_LABEL"


@check
def deprecated_matches(facts: Facts) -> Iterator[Finding]:
    """Envoy warns of the way that Envoy Gateway spells header matches."""
    for log, line in facts.lines():
        if "deprecat" in line.lower() and "match" in line.lower():
            evidence = (Evidence(f"log {log.pod}", line.split(" ", 1)[-1][:200]),)
            yield Finding(
                "DE901",
                f"log {log.pod}",
                "Envoy calls header matches deprecated. They work.",
                evidence,
                verdict=Verdict.HARMLESS,
            )
            return


@check
def no_adapters(facts: Facts) -> Iterator[Finding]:
    """Without LoRA there are no ModelAdapters."""
    if (
        facts.knows("ModelAdapter")
        and "ModelAdapter" in facts.objects
        and not facts.of("ModelAdapter")
    ):
        evidence = (Evidence("API server", "no ModelAdapter"),)
        message = "There are no ModelAdapters. Only LoRA adapters need them."
        yield Finding("DE902", "ModelAdapters", message, evidence, verdict=Verdict.HARMLESS)


@check
def no_pod_label(facts: Facts) -> Iterator[Finding]:
    """A variable of gateway-plugins that has a default."""
    for workload in (w for w in facts.of("Deployment") if role(facts, w) == "plugins"):
        names = {
            e["name"]
            for c in workload["spec"]["template"]["spec"].get("containers") or ()
            for e in c.get("env") or ()
        }
        if _POD_LABEL not in names:
            evidence = (
                Evidence(f"Deployment {workload['metadata']['name']}", f"no variable {_POD_LABEL}"),
            )
            message = f"{_POD_LABEL} is not set. gateway-plugins has a default for it."
            yield Finding("DE903", "gateway-plugins", message, evidence, verdict=Verdict.HARMLESS)
