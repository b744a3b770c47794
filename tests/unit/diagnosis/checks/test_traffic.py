import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.diagnosis.model import Verdict
from devenv.facts import limits
from devenv.facts.live import LONG, PATCHED_ROUTE, AccessLine, Proof
from devenv.facts.model import Declared, FailedRequests, TrafficFacts
from devenv.facts.traffic import Maker
from devenv.ports.gateway import HttpAnswer
from devenv.profiles.model import Route
from tests.unit.diagnosis import facts_builder as built
from tests.unit.diagnosis.covers import codes, covers, is_command, only_finding
from tests.unit.diagnosis.facts_builder import TAKEN, healthy_facts

MODEL_ROUTE = f"httproute/{built.SYSTEM}/{built.MODEL_ROUTE}/rule/0"
RESERVED_ROUTE = f"httproute/{built.SYSTEM}/{built.RESERVED_ROUTE}/rule/0"
MODEL_ROUTE_NAME = f"{built.SYSTEM}/{built.MODEL_ROUTE}"
TIMEOUT = {"status": 504, "flags": "UT", "details": "response_timeout", "longest": 15_003}
TOO_LARGE = {"status": 413, "flags": "DPE", "details": "request_payload_too_large", "largest": 40_000}  # fmt: skip
REFUSED_MESSAGE = {"status": 500, "details": "ext_proc_error_gRPC_error_8{too large}", "largest": 5 << 20}  # fmt: skip
UNHEALTHY = {"status": 503, "flags": "UH", "details": "no_healthy_upstream"}


def group(ago=30.0, **changes):
    """Return two failed requests, the last one so many seconds before the look."""
    values = {
        "route": MODEL_ROUTE, "maker": Maker.ENVOY, "count": 2, "requests": 2, "first_time": TAKEN - ago - 5,
        "last_time": TAKEN - ago, "text": "504 POST /v1/chat/completions",
    }  # fmt: skip
    return FailedRequests.model_validate({**values, **changes})


def facts_with(*groups, objects=None, **changes):
    traffic = (TrafficFacts(pod="proxy-1", since=TAKEN - 600, requests=9, failed=groups),)
    return healthy_facts(objects, traffic=traffic, **changes)


def limited(objects=None, **limit):
    """Return the objects of a healthy cluster in which one object has a limit."""
    objects = objects or built.healthy_objects()
    for kind, spec in limit.items():
        objects[kind][-1]["spec"].update(spec)
    return objects


def route_timeout(time):
    objects = built.healthy_objects()
    route = built.named(objects, "HTTPRoute", built.MODEL_ROUTE)
    route["spec"]["rules"][0]["timeouts"] = {"request": time}
    return objects


def declared(kind, name, limit):
    entry = Declared(kind=kind, namespace=built.SYSTEM, name=name, limit=limit)
    return (*built.declared(), entry)


def commands(finding):
    return [str(fix) for fix in finding.fix if is_command(str(fix))]


# Limits


@covers("DE604")
def test_the_timeout_of_a_route_cut_requests(code):
    finding = only_finding(facts_with(group(**TIMEOUT)))
    assert (finding.code, finding.verdict) == (code, Verdict.FAILED)
    assert str(finding.subject) == f"HTTPRoute {MODEL_ROUTE_NAME}"
    assert "15 s" in finding.says
    (command,) = commands(finding)
    assert command.startswith("kubectl ")
    assert '{"request":"120s"}' in command
    assert "/spec/rules/0/timeouts" in command


@covers("DE604")
def test_aibrixs_own_timeout_is_doubled(code):
    cut = group(**{**TIMEOUT, "longest": 120_010})
    finding = only_finding(facts_with(cut, objects=route_timeout("120s")))
    assert finding.code == code
    assert '{"request":"240s"}' in commands(finding)[0]


@covers("DE604")
def test_recover_gives_the_profiles_timeout_back(code):
    manifests = declared(limits.ROUTE, built.MODEL_ROUTE, 120.0)
    finding = only_finding(facts_with(group(**TIMEOUT), declared=manifests))
    assert (finding.code, commands(finding)) == (code, ["devenv recover"])


@covers("DE604")
def test_a_body_above_the_gateways_limit_is_refused_on_all_routes(code):
    refused = (
        group(**TOO_LARGE),
        group(**TOO_LARGE, route="original_route"),
        group(**TOO_LARGE, route=RESERVED_ROUTE),
    )
    finding = only_finding(facts_with(*refused))
    assert finding.code == code
    assert str(finding.subject) == f"ClientTrafficPolicy {built.SYSTEM}/{built.CLIENT_POLICY}"
    assert "6 requests" in finding.says
    assert "32 KiB" in finding.says


@covers("DE604")
def test_a_gateway_that_no_policy_limits_has_the_default(code):
    objects = built.healthy_objects()
    objects["ClientTrafficPolicy"] = []
    finding = only_finding(facts_with(group(**TOO_LARGE), objects=objects))
    assert finding.code == code
    assert str(finding.subject) == f"Gateway {built.SYSTEM}/{built.GATEWAY}"
    assert "32 KiB" in finding.says


@covers("DE604")
def test_a_body_above_aibrixs_own_limit_needs_two_commands(code):
    objects = limited(ClientTrafficPolicy={"connection": {"bufferLimit": 4 << 20}})
    finding = only_finding(facts_with(group(**{**TOO_LARGE, "largest": 5 << 20}), objects=objects))
    assert finding.code == code
    assert str(finding.subject) == f"ClientTrafficPolicy {built.SYSTEM}/{built.CLIENT_POLICY}"
    policy, plugin = commands(finding)
    assert '{"bufferLimit":8388608}' in policy
    assert "AIBRIX_GRPC_MAX_MESSAGE_SIZE_BYTES=" in plugin


@covers("DE604")
def test_gateway_plugins_was_slower_than_its_limit(code):
    slow = group(
        status=504, details="ext_proc_error_per-message_timeout_exceeded", route="original_route"
    )
    finding = only_finding(facts_with(slow, proofs=without_proof_of(Route.EXTENSION)))
    assert finding.code == code
    assert str(finding.subject) == f"EnvoyExtensionPolicy {built.SYSTEM}/{built.EXTENSION_POLICY}"
    assert "0.2 s" in finding.says


def test_the_fix_names_the_processor_that_waits_for_the_shortest_time():
    slow = group(
        status=504, details="ext_proc_error_per-message_timeout_exceeded", route="original_route"
    )
    processors = [{"messageTimeout": "60s"}, {"messageTimeout": "1s"}]
    objects = limited(EnvoyExtensionPolicy={"extProc": processors})
    proofs = without_proof_of(Route.EXTENSION)
    finding = only_finding(facts_with(slow, objects=objects, proofs=proofs))
    assert '"path":"/spec/extProc/1/messageTimeout"' in commands(finding)[0]


def test_the_rule_that_cut_requests_counts():
    objects = built.healthy_objects()
    route = built.named(objects, "HTTPRoute", built.MODEL_ROUTE)
    (rule,) = route["spec"]["rules"]
    route["spec"]["rules"] = [
        {**rule, "timeouts": {"request": "5s"}}, {**rule, "timeouts": {"request": "120s"}},
    ]  # fmt: skip
    cut = group(**{**TIMEOUT, "longest": 120_010}, route=MODEL_ROUTE.replace("rule/0", "rule/1"))
    finding = only_finding(facts_with(cut, objects=objects))
    assert "120 s" in finding.says
    assert '"path":"/spec/rules/1/timeouts","value":{"request":"240s"}' in commands(finding)[0]


@pytest.mark.parametrize("route", [{}, {"timeout": "1s"}])
def test_the_timeout_of_the_patched_route_is_raised_where_it_stands(route):
    own = {"operation": {"op": "add", "value": {"name": "other"}}}
    patch = {"operation": {"op": "add", "value": {"name": PATCHED_ROUTE, "route": route}}}
    objects = limited(EnvoyPatchPolicy={"jsonPatches": [own, patch]})
    # A policy that patches something else is not what cut the requests.
    other = built.patch_policy()
    other["metadata"]["name"], other["spec"]["jsonPatches"] = "other", [own]
    objects["EnvoyPatchPolicy"].insert(0, other)
    cut = group(**TIMEOUT, route=PATCHED_ROUTE)
    finding = only_finding(facts_with(cut, objects=objects))
    (command,) = commands(finding)
    assert built.PATCH_POLICY in command
    path = "/spec/jsonPatches/1/operation/value/route/timeout"
    assert f'[{{"op":"add","path":"{path}","value":"120s"}}]' in command


@covers("DE604")
def test_gateway_plugins_takes_no_message_of_that_size(code):
    finding = only_finding(facts_with(group(**REFUSED_MESSAGE)))
    assert (finding.code, str(finding.subject)) == (code, "gateway-plugins")


@covers("DE604")
def test_a_live_request_that_a_limit_stops_follows_from_it(code):
    line = AccessLine("original_route", "c", "DPE", "request_payload_too_large", "-")
    answer = HttpAnswer(413, {}, "Payload Too Large")
    failed = Proof("extension", Route.EXTENSION, answer, line, "", ("413: Payload Too Large",))
    proofs = [failed if p.route is Route.EXTENSION else p for p in built.proofs()]
    (cause,) = diagnose(healthy_facts(proofs=tuple(proofs))).causes
    assert (cause.root.code, [f.code for f in cause.consequences]) == (code, ["DE601"])


@covers("DE604")
def test_a_long_request_that_is_cut_follows_from_the_timeout(code):
    line = AccessLine(f"{MODEL_ROUTE}/match/1/*", "c", "UT", "response_timeout", "10.0.0.1:8000")
    answer = HttpAnswer(504, {}, "upstream request timeout", 15.01)
    failed = Proof(f"direct{LONG}", Route.DIRECT, answer, line, "", ("504: timeout",))
    manifests = declared(limits.ROUTE, built.MODEL_ROUTE, 120.0)
    diagnosis = diagnose(healthy_facts(long_proofs=(failed,), declared=manifests))
    (cause,) = diagnosis.causes
    (command,) = commands(cause.root)
    assert command.startswith("kubectl "), "recover sends no long request"
    assert '{"request":"120s"}' in command
    assert (cause.root.code, [f.code for f in cause.consequences]) == (code, ["DE601"])
    assert [result.is_proven for result in diagnosis.requests] == [True, True, True, False]


@covers("DE604")
def test_a_slow_model_that_answers_no_live_request_explains_cut_ones(code):
    failed = Proof(
        "direct", Route.DIRECT, HttpAnswer(0, error="timed out"), None, "", ("no answer",)
    )
    proofs = [failed if p.route is Route.DIRECT else p for p in built.proofs()]
    (cause,) = diagnose(facts_with(group(**TIMEOUT), proofs=tuple(proofs))).causes
    assert (cause.root.code, [f.code for f in cause.consequences]) == ("DE601", [code])


@covers("DE604")
def test_two_limits_are_two_causes(code):
    """A refused body explains neither a slow plugin nor what failed otherwise."""
    lines = {
        Route.EXTENSION: (413, "request_payload_too_large", "original_route"),
        Route.PLAIN: (504, "ext_proc_error_per-message_timeout_exceeded", RESERVED_ROUTE),
    }
    proofs = []
    for proof in built.proofs():
        if proof.route not in lines:
            proofs.append(proof)
            continue
        status, details, route = lines[proof.route]
        line = AccessLine(route, "c", "-", details, "-")
        failed = Proof(proof.name, proof.route, HttpAnswer(status), line, "", ("failed",))
        proofs.append(failed)
    causes = diagnose(healthy_facts(proofs=tuple(proofs))).causes
    assert [(c.root.code, [f.code for f in c.consequences]) for c in causes] == [
        (code, ["DE601"]),
        (code, ["DE601"]),
    ]


@covers("DE604")
def test_the_missing_policy_explains_refused_bodies_and_no_timeout(code):
    objects = built.healthy_objects()
    objects["ClientTrafficPolicy"] = []
    policy = built.component(
        "client-policy", "ancestors", "ClientTrafficPolicy", built.CLIENT_POLICY
    )
    components = [*built.components(), {**policy, "conditions": ["Accepted"]}]
    facts = facts_with(
        group(**TIMEOUT), group(**TOO_LARGE), objects=objects,
        profile=built.healthy_profile(components=components),
        declared=declared(limits.CLIENTS, built.CLIENT_POLICY, float(4 << 20)),
    )  # fmt: skip
    missing, timeout = diagnose(facts).causes
    assert (missing.root.code, [f.code for f in missing.consequences]) == ("DE406", [code])
    assert (timeout.root.code, timeout.root.subject.kind) == (code, "HTTPRoute")


PASSED_LONGER = {"users": 1, "longest": 15_500}
PASSED_LARGER = {"own": 1, "largest": 82_000}


@pytest.mark.parametrize(
    "facts",
    [
        facts_with(group(**TIMEOUT), objects=route_timeout("120s")),
        facts_with(group(**TIMEOUT, later=PASSED_LONGER)),
        facts_with(group(ago=2 * built.HOUR, **TIMEOUT)),
        facts_with(group(**TOO_LARGE, later=PASSED_LARGER)),
        facts_with(group(ago=2 * built.HOUR, **REFUSED_MESSAGE)),
        facts_with(group(**TOO_LARGE), objects=limited(ClientTrafficPolicy={"connection": {"bufferLimit": 4 << 20}})),
    ],
    ids=["timeout raised", "longer passed", "restarted since", "larger passed", "plugin restarted", "buffer raised"],
)  # fmt: skip
@covers("DE604")
def test_a_limit_that_stops_nothing_any_more_is_harmless(code, facts):
    finding = only_finding(facts)
    assert (finding.code, finding.verdict) == (code, Verdict.HARMLESS)


# Other failures


def without_proof_of(*routes):
    """Return the proofs of other routes: those of these were not sent."""
    return tuple(proof for proof in built.proofs() if proof.route not in routes)


ALONE = {"proofs": without_proof_of(Route.DIRECT, Route.PLAIN)}


@covers("DE605")
def test_envoy_answered_users_itself(code):
    finding = only_finding(facts_with(group(**UNHEALTHY), **ALONE))
    assert (finding.code, finding.verdict) == (code, Verdict.FAILED)
    assert str(finding.subject) == f"route {MODEL_ROUTE_NAME}"
    assert finding.since == TAKEN - 35
    assert commands(finding)


@covers("DE605")
def test_failures_of_one_route_are_one_finding(code):
    lost = {"status": 503, "flags": "UF", "details": "connection_failure"}
    finding = only_finding(facts_with(group(**UNHEALTHY), group(**lost, count=1), **ALONE))
    assert finding.code == code
    assert "3 requests" in finding.says


@covers("DE605")
def test_a_failure_now_and_then_is_not_over_after_one_good_answer(code):
    sometimes = group(**UNHEALTHY, count=3, requests=10, later={"users": 2})
    finding = only_finding(facts_with(sometimes))
    assert (finding.code, finding.verdict) == (code, Verdict.FAILED)


@covers("DE605")
def test_what_the_model_itself_answers_only_users_can_show_to_be_over(code):
    failing = {"status": 500, "maker": Maker.UPSTREAM, "details": "via_upstream"}
    finding = only_finding(facts_with(group(**failing)))
    assert (finding.code, finding.verdict) == (code, Verdict.FAILED)
    finding = only_finding(facts_with(group(**failing, later={"users": 1})))
    assert finding.verdict is Verdict.HARMLESS


@covers("DE605")
def test_no_live_request_speaks_for_a_users_own_route(code):
    objects = built.healthy_objects()
    match = {"path": {"type": "PathPrefix", "value": "/own"}}
    objects["HTTPRoute"].append(built.route("own", {"matches": [match], "backendRefs": []}))
    failed = group(**UNHEALTHY, route=f"httproute/{built.SYSTEM}/own/rule/0")
    finding = only_finding(facts_with(failed, objects=objects))
    assert (finding.code, finding.verdict) == (code, Verdict.FAILED)
    assert str(finding.subject) == f"route {built.SYSTEM}/own"
    assert commands(finding) == ["devenv logs --problems"]


NO_ROUTE = {"route": "", "status": 404, "flags": "NR", "details": "route_not_found"}


@pytest.mark.parametrize(
    "failed",
    [group(**UNHEALTHY), group(**UNHEALTHY, count=3, requests=10, later={"users": 20})],
    ids=["a live request passed", "many passed"],
)
@covers("DE605")
def test_what_good_answers_followed_is_harmless(code, failed):
    finding = only_finding(facts_with(failed))
    assert (finding.code, finding.verdict) == (code, Verdict.HARMLESS)


@pytest.mark.parametrize(
    "failed",
    [
        group(ago=built.HOUR - 50, **UNHEALTHY),
        group(status=400, maker=Maker.PLUGIN),
        group(status=0, maker=Maker.CLIENT, flags="DC"),
        group(**NO_ROUTE, path="/favicon.ico"),
    ],
    ids=["while it started", "refused", "client left", "no such path"],
)
@covers("DE605")
def test_what_a_start_ended_or_a_client_did_is_harmless(code, failed):
    """No live request speaks for these."""
    finding = only_finding(facts_with(failed, proofs=without_proof_of(*Route)))
    assert (finding.code, finding.verdict) == (code, Verdict.HARMLESS)


@covers("DE605")
def test_a_route_that_was_accepted_since_is_another_one(code):
    objects = built.healthy_objects()
    route = built.named(objects, "HTTPRoute", built.MODEL_ROUTE)
    for condition in route["status"]["parents"][0]["conditions"]:
        condition["lastTransitionTime"] = built.before(20)
    finding = only_finding(facts_with(group(**UNHEALTHY), objects=objects, **ALONE))
    assert (finding.code, finding.verdict) == (code, Verdict.HARMLESS)


@covers("DE605")
def test_a_start_of_a_model_that_is_no_component_counts(code):
    objects = built.healthy_objects()
    started = built.container_status(objects, built.SERVER)["state"]["running"]
    started["startedAt"] = built.before(20)
    components = [c for c in built.components() if c["name"] != "model"]
    profile = built.healthy_profile(components=components)
    failed = group(**UNHEALTHY)
    finding = only_finding(facts_with(failed, objects=objects, profile=profile, **ALONE))
    assert (finding.code, finding.verdict) == (code, Verdict.HARMLESS)


@covers("DE605")
def test_a_known_path_without_a_route_is_a_fault(code):
    proofs = without_proof_of(*Route)
    lost = group(**NO_ROUTE, path="/v1/chat/completions")
    finding = only_finding(facts_with(lost, proofs=proofs))
    assert (finding.code, finding.verdict) == (code, Verdict.FAILED)


@covers("DE605")
def test_users_failures_follow_from_a_live_request_that_fails(code):
    line = AccessLine(f"{MODEL_ROUTE}/match/1/*", "c", "UH", "no_healthy_upstream", "-")
    failed = Proof("direct", Route.DIRECT, HttpAnswer(503), line, "", ("503",))
    proofs = [failed if p.route is Route.DIRECT else p for p in built.proofs()]
    (cause,) = diagnose(facts_with(group(**UNHEALTHY), proofs=tuple(proofs))).causes
    assert (cause.root.code, [f.code for f in cause.consequences]) == ("DE601", [code])


@covers("DE605")
def test_users_failures_follow_from_a_model_without_a_pod(code):
    objects = built.healthy_objects()
    built.remove(objects, "Pod", f"{built.SERVER}-1-x")
    deployment = built.named(objects, "Deployment", built.SERVER)
    deployment["status"]["availableReplicas"] = 0
    failed = Proof("direct", Route.DIRECT, HttpAnswer(503), None, "", ("503",))
    proofs = [failed if p.route is Route.DIRECT else p for p in built.proofs()]
    facts = facts_with(group(**UNHEALTHY), objects=objects, proofs=tuple(proofs))
    for cause in (*(d := diagnose(facts)).causes, *d.progress):
        assert cause.root.code not in {code, "DE601"}
        assert code in [f.code for f in cause.consequences]


def test_a_cluster_without_traffic_is_healthy():
    assert codes(facts_with()) == []
