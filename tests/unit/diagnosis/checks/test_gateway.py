"""DE401 to DE409 and DE412: Envoy Gateway's objects, and whether anybody writes their status."""

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.diagnosis.model import Confidence, Place, Verdict
from devenv.facts.model import ContainerLog
from devenv.ports.host import Space
from tests.unit.diagnosis.covers import codes, covers, findings, is_command, only_finding
from tests.unit.diagnosis.facts_builder import (
    CLIENT_POLICY,
    CONTROLLER,
    DISK,
    EXT_PROC,
    EXTENSION_POLICY,
    GATEWAY,
    GATEWAY_LEASE,
    GATEWAYS,
    HOUR,
    MODEL_ROUTE,
    NODE,
    PATCH_POLICY,
    PROXY,
    RESERVED_ROUTE,
    SETTINGS,
    SYSTEM,
    TAKEN,
    WEBHOOKS,
    before,
    component,
    components,
    container_status,
    healthy_facts,
    healthy_node,
    healthy_objects,
    healthy_profile,
    healthy_proxy,
    lease,
    named,
    pod_named,
    remove,
    set_condition,
)
from tests.unit.diagnosis.spelled import fixes, spelled

NO_CACHE = "wasm cache is not initialized"
BY_PLUGIN = {"route/extension", "route/plain"}
EVERY_ROUTE = {*BY_PLUGIN, "route/direct", "route/models"}
FULL = Space(0, DISK.total, 10**6, 10**7)


def bad(kind, name, condition_type, status="False", **more):
    """One object has one bad condition."""
    objects = healthy_objects()
    set_condition(named(objects, kind, name), condition_type, status, **more)
    return objects


def without(kind, name):
    objects = healthy_objects()
    remove(objects, kind, name)
    return objects


def unwritten(kind, name, field):
    """No controller has looked at one object."""
    objects = healthy_objects()
    named(objects, kind, name)["status"][field] = []
    return objects


def controllers_log(text, *, previous=False):
    return ContainerLog(
        component="envoy-gateway",
        namespace=GATEWAYS,
        pod=f"{CONTROLLER}-1-x",
        container="program",
        previous=previous,
        lines=(f"{before(HOUR)} {text}",),
    )


# DE401


def without_cache(message=NO_CACHE, age=HOUR):
    return bad(
        "EnvoyExtensionPolicy",
        EXTENSION_POLICY,
        "Accepted",
        message=message,
        lastTransitionTime=before(age),
    )


@covers("DE401")
def test_a_wasm_cache_that_was_not_made_latches_though_the_disk_is_free(code):
    finding = only_finding(healthy_facts(without_cache(age=600)))
    assert (finding.code, str(finding.subject)) == (code, "envoy-gateway")
    assert (finding.verdict, finding.confidence) == (Verdict.LATCHED, Confidence.LIKELY)
    assert finding.since == TAKEN - 600
    assert fixes(finding) == ("devenv recover",)
    own = {f"EnvoyExtensionPolicy/{SYSTEM}/{EXTENSION_POLICY}", "component/extension-policy"}
    assert spelled(finding.about) == {"wasm", *own}
    assert spelled(finding.affects) == {"wasm", *own, "filter", *BY_PLUGIN}


@covers("DE401")
@pytest.mark.parametrize("node", [{"disk": FULL}, {"disk": None}], ids=["full", "not read"])
def test_a_wasm_cache_on_a_disk_that_is_full_is_not_latched(code, node):
    facts = healthy_facts(without_cache(), nodes=(healthy_node(**node),))
    finding = findings(facts)[-1]
    assert (finding.code, finding.verdict) == (code, Verdict.FAILED)


@covers("DE401")
@pytest.mark.parametrize(
    ("line", "verdict", "confidence"),
    [
        ("no space left on device", Verdict.LATCHED, Confidence.CONFIRMED),
        # Free space does not make it well again.
        ("permission denied", Verdict.FAILED, Confidence.LIKELY),
    ],
)
def test_the_log_tells_why_the_wasm_cache_was_not_made(code, line, verdict, confidence):
    log = controllers_log(f"Failed to create Wasm cache directory: {line}")
    finding = only_finding(healthy_facts(without_cache(age=60), logs=(log,)))
    assert (finding.code, finding.verdict, finding.confidence) == (code, verdict, confidence)
    assert finding.since == TAKEN - HOUR


@covers("DE401")
def test_a_policy_that_was_judged_before_another_controller_led_tells_by_its_filter(code):
    """Its status is of before; the log and Envoy tell."""
    log = controllers_log("failed to start wasm cache: no space left on device")
    proxies = (healthy_proxy(listeners={"http": ()}),)
    cache, filter_missing = findings(healthy_facts(logs=(log,), proxies=proxies))
    assert (cache.code, filter_missing.code) == (code, "DE410")


def test_a_cache_that_was_not_made_does_no_harm_while_envoy_has_the_filter():
    log = controllers_log("failed to start wasm cache: no space left on device")
    assert codes(healthy_facts(logs=(log,))) == []


def test_a_filter_that_is_missing_needs_no_wasm_cache():
    proxies = (healthy_proxy(listeners={"http": ()}),)
    assert codes(healthy_facts(proxies=proxies)) == ["DE410"]


def test_the_controller_before_the_last_restart_had_a_cache_of_its_own():
    log = controllers_log("failed to start wasm cache: no space left", previous=True)
    proxies = (healthy_proxy(listeners={"http": ()}),)
    assert codes(healthy_facts(logs=(log,), proxies=proxies)) == ["DE410"]


@pytest.mark.parametrize(("age", "is_race"), [(HOUR - 15, True), (HOUR - 16, False)])
def test_a_verdict_at_the_controllers_start_may_be_a_race(age, is_race):
    objects = without_cache(age=age)
    container_status(objects, CONTROLLER)["name"] = "envoy-gateway"
    finding = only_finding(healthy_facts(objects))
    assert (finding.code, finding.verdict) == ("DE401", Verdict.LATCHED)
    # Only the other message tells how much space the node has now.
    assert (NODE not in finding.says) is is_race


# DE402, DE403, DE407, DE408, DE412: conditions


@covers("DE402")
@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_an_extension_policy_that_is_not_accepted(code, status):
    objects = bad(
        "EnvoyExtensionPolicy",
        EXTENSION_POLICY,
        "Accepted",
        status,
        message="no such Service",
        lastTransitionTime=before(90),
    )
    finding = only_finding(healthy_facts(objects))
    own = {f"EnvoyExtensionPolicy/{SYSTEM}/{EXTENSION_POLICY}", "component/extension-policy"}
    assert (finding.code, spelled(finding.about)) == (code, own)
    assert str(finding.subject) == f"EnvoyExtensionPolicy {SYSTEM}/{EXTENSION_POLICY}"
    assert spelled(finding.affects) == {*own, "filter", *BY_PLUGIN}
    assert (finding.since, fixes(finding)) == (TAKEN - 90, ("devenv recover",))


@covers("DE402")
def test_an_extension_policy_that_nobody_has_looked_at(code):
    objects = unwritten("EnvoyExtensionPolicy", EXTENSION_POLICY, "ancestors")
    assert only_finding(healthy_facts(objects)).code == code


@covers("DE402")
def test_an_extension_policy_that_was_accepted_before_it_was_changed(code):
    objects = healthy_objects()
    policy = named(objects, "EnvoyExtensionPolicy", EXTENSION_POLICY)
    policy["metadata"]["generation"] = 2
    set_condition(policy, "Accepted", "True", observedGeneration=1)
    assert only_finding(healthy_facts(objects)).code == code


@covers("DE403")
@pytest.mark.parametrize("condition_type", ["Accepted", "Programmed"])
def test_a_patch_that_is_not_in_envoy(code, condition_type):
    objects = bad("EnvoyPatchPolicy", PATCH_POLICY, condition_type, reason="Invalid")
    finding = only_finding(healthy_facts(objects))
    assert (finding.code, str(finding.subject)) == (
        code,
        f"EnvoyPatchPolicy {SYSTEM}/{PATCH_POLICY}",
    )
    assert {"route/extension", "original route", "component/patch-policy"} <= spelled(
        finding.affects
    )
    assert "route/plain" not in spelled(finding.affects)
    assert fixes(finding) == ("devenv recover",)


@covers("DE404")
@pytest.mark.parametrize("condition_type", ["Accepted", "Programmed"])
def test_patches_that_are_switched_off(code, condition_type):
    since = before(90)
    objects = bad(
        "EnvoyPatchPolicy",
        PATCH_POLICY,
        condition_type,
        reason="Disabled",
        lastTransitionTime=since,
    )
    finding = only_finding(healthy_facts(objects))
    assert (finding.code, str(finding.subject)) == (code, "envoy-gateway")
    own = {f"EnvoyPatchPolicy/{SYSTEM}/{PATCH_POLICY}", "component/patch-policy"}
    assert spelled(finding.about) == own
    assert spelled(finding.affects) == {*own, "route/extension", "original route"}
    assert (finding.since, fixes(finding)) == (TAKEN - 90, ("devenv recover",))


def switched_off():
    objects = healthy_objects()
    text = "extensionApis:\n  enableEnvoyPatchPolicy: false\n"
    named(objects, "ConfigMap", SETTINGS)["data"] = {"envoy-gateway.yaml": text}
    return objects


@covers("DE404")
def test_patches_that_the_settings_switch_off(code):
    """The status is of before; Envoy lacks the route."""
    routes = healthy_proxy().routes[1:]
    facts = healthy_facts(switched_off(), proxies=(healthy_proxy(routes=routes),))
    off, missing_route = findings(facts)
    assert (off.code, missing_route.code) == (code, "DE414")


def test_settings_that_are_not_read_yet_do_no_harm_yet():
    assert codes(healthy_facts(switched_off())) == []


def test_a_missing_route_has_other_causes_while_patches_are_switched_on():
    routes = healthy_proxy().routes[1:]
    assert codes(healthy_facts(proxies=(healthy_proxy(routes=routes),))) == ["DE414"]


# DE405


def naming(filter_name):
    """AIBrix's patch switches on this filter."""
    objects = healthy_objects()
    (patch,) = named(objects, "EnvoyPatchPolicy", PATCH_POLICY)["spec"]["jsonPatches"]
    patch["operation"]["value"]["typed_per_filter_config"] = {filter_name: {}}
    return objects


@covers("DE405")
@pytest.mark.parametrize(("namespace", "name"), [(SYSTEM, "other"), ("other", EXTENSION_POLICY)])
def test_a_patch_that_names_no_policy(code, namespace, name):
    finding = only_finding(healthy_facts(naming(f"{EXT_PROC}/{namespace}/{name}/extproc/0")))
    assert (finding.code, str(finding.subject)) == (code, f"{SYSTEM}/{PATCH_POLICY}")
    own = {f"EnvoyPatchPolicy/{SYSTEM}/{PATCH_POLICY}", "component/patch-policy"}
    assert spelled(finding.about) == {*own, f"EnvoyExtensionPolicy/{namespace}/{name}"}
    assert spelled(finding.affects) == {*own, "route/extension", "original route", "filter"}
    assert all(map(is_command, fixes(finding)))


def test_a_patch_may_switch_on_a_filter_of_no_policy():
    assert codes(healthy_facts(naming("envoy.filters.http.lua"))) == []


@pytest.mark.parametrize("operation", [{"op": "remove"}, {"op": "add", "value": 7}, None])
def test_a_patch_may_switch_on_no_filter(operation):
    objects = healthy_objects()
    patch = {"operation": operation}
    named(objects, "EnvoyPatchPolicy", PATCH_POLICY)["spec"]["jsonPatches"] = [patch]
    assert codes(healthy_facts(objects)) == []


def test_policies_that_could_not_be_read_are_not_said_to_be_missing():
    objects = healthy_objects()
    objects["EnvoyExtensionPolicy"].clear()
    assert codes(healthy_facts(objects, unknown={"EnvoyExtensionPolicy": "no answer"})) == []


# DE406


@covers("DE406")
@pytest.mark.parametrize(
    ("kind", "name", "subject", "affected"),
    [
        ("EnvoyPatchPolicy", PATCH_POLICY, "patch-policy", {"route/extension", "original route"}),
        ("HTTPRoute", RESERVED_ROUTE, "reserved-route", {"filter", *BY_PLUGIN}),
        ("Gateway", GATEWAY, "gateway", {*EVERY_ROUTE, "component/patch-policy"}),
    ],
)
def test_an_object_that_is_gone(code, kind, name, subject, affected):
    finding = only_finding(healthy_facts(without(kind, name)))
    assert (finding.code, str(finding.subject), finding.place) == (code, subject, Place.ROUTE)
    assert spelled(finding.about) == {f"component/{subject}"}
    assert {*affected, f"{kind}/{SYSTEM}/{name}"} <= spelled(finding.affects)
    assert fixes(finding) == ("devenv recover",)


@covers("DE406")
@pytest.mark.parametrize(("kind", "effect"), [("Deployment", "DE308"), ("Service", "DE416")])
def test_what_envoy_gateway_removes_with_a_gateway_follows_from_it(code, kind, effect):
    objects = without("Gateway", GATEWAY)
    objects[kind].remove(named(objects, kind, PROXY))
    (cause,) = diagnose(healthy_facts(objects)).causes
    assert (cause.root.code, str(cause.root.subject)) == (code, "gateway")
    assert effect in {finding.code for finding in cause.consequences}


@covers("DE406")
def test_an_extension_policy_that_is_gone_leaves_a_patch_without_it(code):
    objects = without("EnvoyExtensionPolicy", EXTENSION_POLICY)
    nameless, gone = findings(healthy_facts(objects))
    assert (nameless.code, gone.code, str(gone.subject)) == ("DE405", code, "extension-policy")
    assert {"filter", *BY_PLUGIN} <= spelled(gone.affects)


@covers("DE406")
def test_a_webhook_configuration_that_is_gone_is_on_no_requests_way(code):
    objects = without("MutatingWebhookConfiguration", WEBHOOKS)
    finding = only_finding(healthy_facts(objects))
    assert (finding.code, str(finding.subject)) == (code, "mutating-webhooks")
    assert finding.place is None
    assert not EVERY_ROUTE & spelled(finding.affects)


@covers("DE406")
def test_endpoints_that_nobody_makes_for_a_service(code):
    objects = healthy_objects()
    objects["EndpointSlice"].clear()
    endpoints, silent = findings(healthy_facts(objects))
    assert (endpoints.code, str(endpoints.subject)) == (code, "webhooks")
    assert silent.code == "DE701"


@pytest.mark.parametrize(
    "changes",
    [{"unknown": {"EnvoyPatchPolicy": "no answer"}}, {}],
    ids=["not read", "not looked for"],
)
def test_what_was_not_read_is_not_said_to_be_gone(changes):
    objects = without("EnvoyPatchPolicy", PATCH_POLICY)
    if not changes:
        del objects["EnvoyPatchPolicy"]
    assert codes(healthy_facts(objects, **changes)) == []


def test_a_models_own_route_is_the_models_business():
    assert codes(healthy_facts(without("HTTPRoute", MODEL_ROUTE))) == ["DE503"]


def test_a_definition_is_told_of_by_a_check_of_its_own():
    entry = component("ray", "conditions", "CustomResourceDefinition", "rayclusters.ray.io")
    entry["resource"]["namespace"] = ""
    profile = healthy_profile(components=[*components(), entry])
    assert codes(healthy_facts(profile=profile)) == []


# Gateways, clients' policies, reserved routes


@covers("DE407")
@pytest.mark.parametrize("condition_type", ["Accepted", "Programmed"])
def test_a_gateway_that_is_not_programmed(code, condition_type):
    finding = only_finding(healthy_facts(bad("Gateway", GATEWAY, condition_type)))
    assert (finding.code, str(finding.subject)) == (code, f"Gateway {SYSTEM}/{GATEWAY}")
    assert spelled(finding.about) == {f"Gateway/{SYSTEM}/{GATEWAY}", "component/gateway"}
    assert {*EVERY_ROUTE, "component/extension-policy"} <= spelled(finding.affects)
    assert fixes(finding) == ("devenv recover",)


@covers("DE407")
def test_a_gateway_class_that_is_not_accepted(code):
    finding = only_finding(healthy_facts(bad("GatewayClass", GATEWAY, "Accepted")))
    assert (finding.code, str(finding.subject)) == (code, f"GatewayClass {GATEWAY}")
    assert spelled(finding.affects) >= EVERY_ROUTE


def test_a_listener_that_is_refused_is_the_root_of_the_routes_that_it_lacks():
    objects = healthy_objects()
    refused = {"type": "Accepted", "status": "False", "reason": "UnsupportedProtocol"}
    invalid = {"type": "Programmed", "status": "False", "reason": "Invalid"}
    alone = {"type": "Conflicted", "status": "False", "reason": "NoConflicts"}
    changed = {"lastTransitionTime": before(60)}
    reported = [{**condition, **changed} for condition in (alone, invalid, refused)]
    status = named(objects, "Gateway", GATEWAY)["status"]
    status["listeners"] = [{"name": "http", "conditions": reported}]
    for route in objects["HTTPRoute"]:
        set_condition(route, "Accepted", reason="NotAllowedByListeners")
    (cause,) = diagnose(healthy_facts(objects)).causes
    assert (cause.root.code, cause.root.subject.kind) == ("DE407", "Gateway")
    assert "UnsupportedProtocol" in cause.root.says
    assert cause.root.since == TAKEN - 60
    assert {effect.code for effect in cause.consequences} == {"DE412", "DE507"}


def test_a_gateway_needs_only_what_the_profile_wants_of_it():
    entries = [{**c, "conditions": ["Accepted"]} for c in components()]
    profile = healthy_profile(components=entries)
    objects = bad("Gateway", GATEWAY, "Programmed")
    assert codes(healthy_facts(objects, profile=profile)) == []


@pytest.mark.parametrize("kind", ["Gateway", "GatewayClass"])
def test_others_gateways_and_classes_are_their_business(kind):
    objects = healthy_objects()
    other = named(healthy_objects(), kind, GATEWAY)
    other["metadata"]["name"] = "other"
    set_condition(other, "Accepted")
    objects[kind].append(other)
    assert codes(healthy_facts(objects)) == []


@covers("DE408")
def test_a_client_policy_that_is_not_accepted(code):
    finding = only_finding(healthy_facts(bad("ClientTrafficPolicy", CLIENT_POLICY, "Accepted")))
    subject = f"{SYSTEM}/{CLIENT_POLICY}"
    assert (finding.code, str(finding.subject)) == (code, f"ClientTrafficPolicy {subject}")
    assert spelled(finding.about) == {f"ClientTrafficPolicy/{subject}"}
    assert spelled(finding.affects) == {f"ClientTrafficPolicy/{subject}", *EVERY_ROUTE}
    assert fixes(finding) == ("devenv recover",)


def test_another_condition_of_a_client_policy_says_nothing():
    objects = healthy_objects()
    (ancestor,) = named(objects, "ClientTrafficPolicy", CLIENT_POLICY)["status"]["ancestors"]
    ancestor["conditions"].append({"type": "Overridden", "status": "False"})
    assert codes(healthy_facts(objects)) == []


@covers("DE412")
@pytest.mark.parametrize("condition_type", ["Accepted", "ResolvedRefs"])
def test_a_reserved_route_that_is_not_accepted(code, condition_type):
    finding = only_finding(healthy_facts(bad("HTTPRoute", RESERVED_ROUTE, condition_type)))
    assert (finding.code, str(finding.subject)) == (code, f"HTTPRoute {SYSTEM}/{RESERVED_ROUTE}")
    own = {f"HTTPRoute/{SYSTEM}/{RESERVED_ROUTE}", "component/reserved-route"}
    assert (spelled(finding.about), spelled(finding.affects)) == (own, {*own, *BY_PLUGIN})
    assert fixes(finding) == ("devenv recover",)


@pytest.mark.parametrize(
    "parents",
    [[], [{"name": "other"}], [{"name": GATEWAY, "namespace": "other"}]],
    ids=["none", "another", "elsewhere"],
)
def test_a_route_of_another_gateway_is_its_business(parents):
    objects = bad("HTTPRoute", RESERVED_ROUTE, "Accepted")
    named(objects, "HTTPRoute", RESERVED_ROUTE)["spec"]["parentRefs"] = parents
    assert codes(healthy_facts(objects)) == []


def test_the_route_of_a_model_that_no_request_asks_for_is_not_reserved():
    objects = healthy_objects()
    route = named(healthy_objects(), "HTTPRoute", MODEL_ROUTE)
    route["metadata"]["name"] = "second-router"
    route["spec"]["rules"][0]["matches"][0]["headers"][0]["value"] = "second"
    set_condition(route, "Accepted")
    objects["HTTPRoute"].append(route)
    assert codes(healthy_facts(objects)) == []


def test_a_route_from_another_namespace_may_be_the_gateways():
    objects = healthy_objects()
    route = named(healthy_objects(), "HTTPRoute", RESERVED_ROUTE)
    route["metadata"] |= {"name": "mine", "namespace": "default"}
    route["spec"]["parentRefs"] = [{"name": GATEWAY, "namespace": SYSTEM}]
    set_condition(route, "Accepted")
    objects["HTTPRoute"].append(route)
    assert codes(healthy_facts(objects)) == ["DE412"]


# DE409


def led_by_a_pod_that_is_gone(age):
    """Another pod of the controller is there for `age` seconds."""
    objects = without("Lease", GATEWAY_LEASE)
    objects["Lease"].append(lease(GATEWAY_LEASE, GATEWAYS, "gone"))
    pod_named(objects, CONTROLLER)["metadata"]["creationTimestamp"] = before(age)
    return objects


@covers("DE409")
@pytest.mark.parametrize(("age", "verdict"), [(59, Verdict.PROGRESS), (60, Verdict.FAILED)])
def test_a_lease_whose_holder_is_gone(code, age, verdict):
    finding = only_finding(healthy_facts(led_by_a_pod_that_is_gone(age)))
    assert (finding.code, str(finding.subject)) == (code, "envoy-gateway")
    assert (finding.verdict, finding.since) == (verdict, TAKEN - age)
    assert spelled(finding.about) == {"component/envoy-gateway", "lease"}
    assert {"component/gateway", "filter", "original route"} <= spelled(finding.affects)
    assert fixes(finding) == ("devenv recover",)


def test_a_lease_that_nobody_holds():
    objects = healthy_objects()
    named(objects, "Lease", GATEWAY_LEASE)["spec"] = {}
    assert codes(healthy_facts(objects)) == ["DE409"]


def test_without_a_controller_nobody_can_lead():
    objects = led_by_a_pod_that_is_gone(HOUR)
    remove(objects, "Pod", f"{CONTROLLER}-1-x")
    assert "DE409" not in codes(healthy_facts(objects))


def test_others_leases_are_their_business():
    objects = healthy_objects()
    objects["Lease"].append(lease("other", GATEWAYS, "gone"))
    assert codes(healthy_facts(objects)) == []


def test_only_envoy_gateways_own_settings_switch_patches_off():
    """Of other ConfigMaps, facts have only the names of keys."""
    objects = healthy_objects()
    other = {"metadata": {"name": "kube-root-ca.crt", "namespace": SYSTEM}, "keys": ["ca.crt"]}
    objects["ConfigMap"].insert(0, other)
    proxy = healthy_proxy(routes=healthy_proxy().routes[1:])
    assert "DE404" not in codes(healthy_facts(objects, proxies=(proxy,)))
