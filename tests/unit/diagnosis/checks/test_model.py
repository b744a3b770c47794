"""DE50x: models, their labels, Services, routes and grants."""

import pytest

from devenv.diagnosis.model import Verdict
from tests.unit.diagnosis.covers import codes, covers, findings, is_command, only_finding
from tests.unit.diagnosis.facts_builder import (
    MODEL,
    MODEL_NAME,
    MODEL_PORT,
    MODEL_ROUTE,
    MODELS,
    SERVER,
    SYSTEM,
    TAKEN,
    before,
    deployment,
    healthy_facts,
    healthy_objects,
    named,
    pod_named,
    pod_of,
    remove,
    service,
    set_condition,
)
from tests.unit.diagnosis.spelled import fixes, spelled

SUBJECT = f"model {MODEL}"
OWN_ROUTE = {f"route/direct/{MODEL}", f"route/plain/{MODEL}", f"http route/{MODEL}"}


def is_of_model(finding, code):
    about = {f"model/{MODEL}", "component/model-route"}
    return (finding.code, str(finding.subject)) == (code, SUBJECT) and about <= spelled(
        finding.about
    )


def with_labels(name=MODEL, port="8000", *, of_deployment=MODEL):
    """The model's pods and their template carry these labels, the Deployment its own."""
    objects = healthy_objects()
    workload = named(objects, "Deployment", SERVER)
    own_labels = (
        pod_named(objects, SERVER)["metadata"]["labels"],
        workload["spec"]["template"]["metadata"]["labels"],
    )
    for labels in own_labels:
        labels.update({MODEL_NAME: name, MODEL_PORT: port})
    workload["metadata"]["labels"][MODEL_NAME] = of_deployment
    return objects


@covers("DE501")
def test_a_model_whose_pod_is_not_ready(code):
    objects = healthy_objects()
    set_condition(pod_named(objects, SERVER), "Ready")
    finding = only_finding(healthy_facts(objects))
    assert is_of_model(finding, code)
    assert (finding.verdict, fixes(finding)) == (Verdict.FAILED, ("devenv recover",))
    assert spelled(finding.affects) == spelled(finding.about)


@covers("DE501")
@pytest.mark.parametrize("end", ["is ending", "has ended", "is gone"])
def test_a_model_without_a_pod_that_is_to_run_on(code, end):
    objects = healthy_objects()
    pod = pod_named(objects, SERVER)
    if end == "is ending":
        pod["metadata"]["deletionTimestamp"] = before(1)
    elif end == "has ended":
        pod["status"]["phase"] = "Succeeded"
    else:
        objects["Pod"].remove(pod)
    assert is_of_model(only_finding(healthy_facts(objects)), code)


def test_one_ready_pod_of_two_is_enough():
    objects = healthy_objects()
    other = pod_of(named(objects, "Deployment", SERVER))
    other["metadata"]["name"] = f"{SERVER}-1-y"
    set_condition(other, "Ready")
    objects["Pod"].append(other)
    assert codes(healthy_facts(objects)) == []


@pytest.mark.parametrize("unknown", [{"Pod": "no answer"}, {}])
def test_pods_that_were_not_read_are_not_said_to_be_missing(unknown):
    objects = healthy_objects()
    objects["Pod"].clear()
    assert codes(healthy_facts(objects, unknown=unknown)) == []


@covers("DE502")
def test_a_service_of_another_name(code):
    objects = healthy_objects()
    named(objects, "Service", MODEL)["metadata"]["name"] = "other"
    finding = only_finding(healthy_facts(objects))
    assert is_of_model(finding, code)
    assert spelled(finding.affects) == OWN_ROUTE
    assert fixes(finding)[0] == "devenv recover"
    assert f"expose deployment {SERVER} --name {MODEL}" in fixes(finding)[1]


@covers("DE502")
def test_a_service_in_another_namespace(code):
    objects = healthy_objects()
    named(objects, "Service", MODEL)["metadata"]["namespace"] = "other"
    assert is_of_model(only_finding(healthy_facts(objects)), code)


@pytest.mark.parametrize("unknown", [{"Service": "no answer"}, {}])
def test_services_that_were_not_read_are_not_said_to_be_missing(unknown):
    objects = healthy_objects()
    objects["Service"].clear()
    assert "DE502" not in codes(healthy_facts(objects, unknown=unknown))


@covers("DE503")
def test_a_model_without_a_route(code):
    objects = healthy_objects()
    remove(objects, "HTTPRoute", MODEL_ROUTE)
    finding = only_finding(healthy_facts(objects))
    assert is_of_model(finding, code)
    assert f"http route/{MODEL}" in spelled(finding.about)
    assert spelled(finding.affects) == OWN_ROUTE
    assert fixes(finding) == ("devenv restart controller-manager",)


@covers("DE503")
def test_a_route_was_never_made_for_a_deployment_without_the_label(code):
    """The controller does not look at the pods' labels."""
    objects = healthy_objects()
    remove(objects, "HTTPRoute", MODEL_ROUTE)
    del named(objects, "Deployment", SERVER)["metadata"]["labels"][MODEL_NAME]
    finding = only_finding(healthy_facts(objects))
    assert is_of_model(finding, code)
    label, restart = fixes(finding)
    assert f"label deployment {SERVER} {MODEL_NAME}={MODEL}" in label
    assert restart == "devenv restart controller-manager"


def test_a_route_of_another_name_that_asks_for_the_model_is_its_own():
    objects = healthy_objects()
    named(objects, "HTTPRoute", MODEL_ROUTE)["metadata"]["name"] = "other"
    assert codes(healthy_facts(objects)) == []


def test_a_storm_services_model_needs_no_route():
    objects = healthy_objects()
    remove(objects, "HTTPRoute", MODEL_ROUTE)
    pod_named(objects, SERVER)["metadata"]["labels"]["storm-service-name"] = MODEL
    assert codes(healthy_facts(objects)) == []


@pytest.mark.parametrize("unknown", [{"HTTPRoute": "no answer"}, {}])
def test_routes_that_were_not_read_are_not_said_to_be_missing(unknown):
    objects = healthy_objects()
    del objects["HTTPRoute"]
    assert "DE503" not in codes(healthy_facts(objects, unknown=unknown))


@covers("DE504")
def test_a_namespace_without_a_grant(code):
    objects = healthy_objects()
    objects["ReferenceGrant"].clear()
    finding = only_finding(healthy_facts(objects))
    assert is_of_model(finding, code)
    assert (spelled(finding.affects), fixes(finding)) == (OWN_ROUTE, ("devenv recover",))


@covers("DE504")
@pytest.mark.parametrize(
    ("part", "entry"),
    [
        ("from", {"kind": "HTTPRoute", "namespace": "other"}),
        ("from", {"kind": "GRPCRoute", "namespace": SYSTEM}),
        ("to", {"kind": "Secret"}),
    ],
)
def test_a_grant_of_something_else(code, part, entry):
    objects = healthy_objects()
    objects["ReferenceGrant"][0]["spec"][part] = [entry]
    assert is_of_model(only_finding(healthy_facts(objects)), code)


@covers("DE504")
def test_a_grant_in_another_namespace(code):
    objects = healthy_objects()
    objects["ReferenceGrant"][0]["metadata"]["namespace"] = "other"
    assert is_of_model(only_finding(healthy_facts(objects)), code)


def test_a_route_into_its_own_namespace_needs_no_grant():
    objects = healthy_objects()
    objects["ReferenceGrant"].clear()
    (rule,) = named(objects, "HTTPRoute", MODEL_ROUTE)["spec"]["rules"]
    del rule["backendRefs"][0]["namespace"]
    assert "DE504" not in codes(healthy_facts(objects))


def test_grants_that_were_not_read_are_not_said_to_be_missing():
    objects = healthy_objects()
    del objects["ReferenceGrant"]
    assert codes(healthy_facts(objects)) == []


@covers("DE505")
def test_pods_that_name_another_model_than_their_deployment(code):
    finding = only_finding(healthy_facts(with_labels("typo")))
    assert is_of_model(finding, code)
    assert "model/typo" in spelled(finding.affects)
    assert fixes(finding)[0] == "devenv recover"
    assert f"patch deployment {SERVER}" in fixes(finding)[1]


@covers("DE505")
def test_a_deployment_that_says_nowhere_which_model_is_asked_for(code):
    facts = healthy_facts(with_labels("typo", of_deployment="typo"))
    finding = next(f for f in findings(facts) if f.code == code)
    assert is_of_model(finding, code)


@covers("DE505")
def test_a_model_that_no_request_asks_for_may_be_mislabelled_too(code):
    objects = healthy_objects()
    workload = deployment("second", {MODEL_NAME: "second"})
    workload["spec"]["template"]["metadata"]["labels"] = {"app": "second"}
    objects["Deployment"].append(workload)
    objects["Pod"].append(pod_of(workload))
    finding = next(f for f in findings(healthy_facts(objects)) if f.code == code)
    assert str(finding.subject) == "model second"
    (command,) = fixes(finding)
    assert "patch deployment second" in command


def test_a_model_that_has_no_pod_yet_is_not_mislabelled():
    objects = healthy_objects()
    objects["Deployment"].append(deployment("second", {MODEL_NAME: "second"}))
    assert "DE505" not in codes(healthy_facts(objects))


def test_a_mislabelled_deployment_at_zero_is_not_meant():
    objects = with_labels("typo")
    named(objects, "Deployment", SERVER)["spec"]["replicas"] = 0
    assert "DE505" not in codes(healthy_facts(objects))


@covers("DE506")
def test_a_port_label_that_the_pod_does_not_have(code):
    finding = only_finding(healthy_facts(with_labels(port="9000")))
    assert is_of_model(finding, code)
    assert spelled(finding.affects) == {f"route/extension/{MODEL}"}
    assert fixes(finding)[0] == "devenv recover"
    assert f'"{MODEL_PORT}":"8000"' in fixes(finding)[1]
    assert all(map(is_command, fixes(finding)))


@covers("DE506")
def test_without_the_label_a_model_listens_on_8000(code):
    objects = healthy_objects()
    pod = pod_named(objects, SERVER)
    del pod["metadata"]["labels"][MODEL_PORT]
    assert codes(healthy_facts(objects)) == []
    pod["spec"]["containers"][0]["ports"] = [
        {"containerPort": 9001},
        {"containerPort": 9000, "name": "http"},
    ]
    finding = only_finding(healthy_facts(objects))
    assert is_of_model(finding, code)
    assert '"9000"' in fixes(finding)[1]


def test_a_pod_that_names_no_port_may_listen_on_any():
    objects = with_labels(port="9000")
    (container,) = pod_named(objects, SERVER)["spec"]["containers"]
    container["ports"] = []
    assert codes(healthy_facts(objects)) == []


@covers("DE507")
@pytest.mark.parametrize("condition_type", ["Accepted", "ResolvedRefs"])
def test_a_models_route_that_leads_nowhere(code, condition_type):
    objects = healthy_objects()
    route = named(objects, "HTTPRoute", MODEL_ROUTE)
    set_condition(route, condition_type, reason="Bad", lastTransitionTime=before(90))
    finding = only_finding(healthy_facts(objects))
    assert is_of_model(finding, code)
    assert f"http route/{MODEL}" in spelled(finding.about)
    assert spelled(finding.affects) == OWN_ROUTE
    assert (finding.since, fixes(finding)) == (TAKEN - 90, ("devenv recover",))


@covers("DE507")
def test_a_models_route_to_a_port_that_its_service_does_not_have(code):
    objects = healthy_objects()
    route = named(objects, "HTTPRoute", MODEL_ROUTE)
    set_condition(route, "ResolvedRefs", reason="PortNotFound")
    named(objects, "Service", MODEL)["spec"]["ports"] = [{"port": 9000}]
    finding = only_finding(healthy_facts(objects))
    assert is_of_model(finding, code)
    recover, label, delete, restart = fixes(finding)
    assert (recover, restart) == ("devenv recover", "devenv restart controller-manager")
    assert f"{MODEL_PORT}=9000" in label
    assert f"delete httproute {MODEL_ROUTE}" in delete


def test_another_condition_of_a_models_route_says_nothing():
    objects = healthy_objects()
    (parent,) = named(objects, "HTTPRoute", MODEL_ROUTE)["status"]["parents"]
    parent["conditions"].append({"type": "PartiallyInvalid", "status": "False"})
    assert codes(healthy_facts(objects)) == []


@covers("DE508")
def test_a_service_that_selects_no_pod_of_the_model(code):
    objects = healthy_objects()
    named(objects, "Service", MODEL)["spec"]["selector"] = {"app": "other"}
    finding = only_finding(healthy_facts(objects))
    assert is_of_model(finding, code)
    assert (spelled(finding.affects), fixes(finding)) == (OWN_ROUTE, ("devenv recover",))


@covers("DE508")
def test_a_service_without_a_selector(code):
    objects = healthy_objects()
    named(objects, "Service", MODEL)["spec"]["selector"] = {}
    assert is_of_model(only_finding(healthy_facts(objects)), code)


def test_a_service_that_selects_by_another_label_of_the_pods():
    objects = healthy_objects()
    pod_named(objects, SERVER)["metadata"]["labels"]["app"] = "mine"
    named(objects, "Service", MODEL)["spec"]["selector"] = {"app": "mine"}
    assert codes(healthy_facts(objects)) == []


def test_a_second_service_may_select_nothing():
    objects = healthy_objects()
    objects["Service"].append(service("second", MODELS, {"app": "other"}))
    assert codes(healthy_facts(objects)) == []
