"""The plan from facts alone: what `recover` would do, and what of it the facts can't tell."""

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.facts.collect import API
from devenv.facts.model import parse
from devenv.recovery.plan import Kind
from devenv.recovery.proposal import of_facts
from tests.paths import INCIDENTS
from tests.unit.install.offline import declared_offline


def facts_of(name, **changed):
    facts = parse((INCIDENTS / name / "facts.json").read_text())
    return facts.model_copy(update=changed)


def proposal(facts):
    return of_facts(facts, diagnose(facts))


def test_it_has_the_steps_and_the_values():
    proposed = proposal(facts_of("redis-is-down", declared=declared_offline()))
    assert [step.kind for step in proposed.plan.steps] == [Kind.PUT_BACK]
    (drift,) = proposed.drifts
    assert drift.name == "Deployment aibrix-system/aibrix-redis-master"
    assert [(c.path, c.live, c.desired) for c in drift.changes] == [("spec.replicas", "0", "1")]
    assert proposed.is_compared


def test_facts_of_older_versions_show_only_what_is_missing():
    declared = [d.model_copy(update={"content": {}}) for d in declared_offline()]
    proposed = proposal(facts_of("no-model-pod-and-service-misnamed", declared=tuple(declared)))
    assert not proposed.is_compared
    assert [drift.is_missing for drift in proposed.drifts] == [True]


def test_what_could_not_be_read_is_not_missing():
    facts = facts_of("no-model-pod-and-service-misnamed", declared=declared_offline())
    assert any(drift.is_missing for drift in proposal(facts).drifts)
    unread = facts.model_copy(update={"unknown": {"Service": "no answer"}})
    assert not any(drift.is_missing for drift in proposal(unread).drifts)
    objects = {kind: each for kind, each in facts.objects.items() if kind != "Service"}
    unread = facts.model_copy(update={"objects": objects})
    assert not any(drift.is_missing for drift in proposal(unread).drifts)


@pytest.mark.parametrize("name", ["engine-stopped", "healthy", "the-incident"])
def test_a_plan_that_puts_nothing_back_compares_nothing(name):
    assert proposal(facts_of(name, declared=declared_offline())).drifts == ()


def test_without_the_api_server_no_deployment_is_known_to_be_the_profiles():
    facts = facts_of("no-model-pod", declared=declared_offline())
    assert proposal(facts).plan.steps
    unread = facts.model_copy(update={"unknown": {API: "silent"}})
    assert of_facts(unread, diagnose(facts)).plan.steps == ()


def test_a_workload_that_waits_for_what_is_missing_is_put_back_if_it_was_changed():
    facts = facts_of("secret-is-missing", declared=declared_offline())
    (root,) = [cause.root for cause in diagnose(facts).causes]
    assert root.code == "DE313"
    (deployment,) = [d for d in facts.declares("Deployment") if d.namespace == "default"]
    changed = {**deployment.content, "spec": {**deployment.content["spec"], "replicas": 7}}
    others = [d for d in facts.declared if d is not deployment]
    declared = (*others, deployment.model_copy(update={"content": changed}))
    proposed = proposal(facts.model_copy(update={"declared": declared}))
    assert [step.kind for step in proposed.plan.steps] == [Kind.PUT_BACK]
    assert deployment.name in {drift.manifest["metadata"]["name"] for drift in proposed.drifts}
