"""Users' requests that failed in the last minutes, as Envoy's access log tells them.

What is past and over is harmless. devenv's own requests are not among them, except those of this
look that a limit stopped.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus

from devenv.base.counting import counted
from devenv.diagnosis import keys
from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.commands import devenv_command, kubectl_command, recover
from devenv.diagnosis.failed_requests import Failures, all_failures
from devenv.diagnosis.keys import Key
from devenv.diagnosis.model import Advice, Evidence, Finding, Fix, Place, Subject, Verdict
from devenv.diagnosis.request_limits import PLACES, Hit, Holder, Kind, hit_by
from devenv.diagnosis.roles import Role, workloads_of_role
from devenv.diagnosis.times import spell_span
from devenv.facts import limits
from devenv.facts.live import PATCHED_ROUTE, Proof
from devenv.facts.model import Facts, FailedRequests
from devenv.facts.objects import name_of, namespace_of
from devenv.facts.traffic import Maker
from devenv.ports.kube import Manifest
from devenv.profiles import quantities

_SOURCE = "access log"
# The variable with the largest message that gateway-plugins takes, in bytes.
_MESSAGE_SIZE = "AIBRIX_GRPC_MAX_MESSAGE_SIZE_BYTES"
# What a message to gateway-plugins adds to a body, at most, in bytes.
_ENVELOPE = 64 << 10
_KEEPING = (
    "When `devenv up` applies the manifests again, it sets it back:"
    " the profile's `patches` keep it."
)


# Requests that a limit stopped


@check
def find_limited_requests(facts: Facts) -> Iterator[Finding]:
    """DE604: a limit of the gateway stopped requests of users, or a live request."""
    short_hits, long_hits = _live_hits(facts, facts.proofs), _live_hits(facts, facts.long_proofs)
    live_hits = [*short_hits, *long_hits]
    user_hits = [hit for hit in map(hit_by, all_failures(facts)) if hit]
    lasting = [hit for hit in user_hits if not hit.is_over]
    for hits in _by_limit([*live_hits, *lasting]):
        live_keys = _keys_of(hit for hit in hits if hit in live_hits)
        only_long = all(hit in long_hits for hit in hits)
        yield _limit_finding(hits, live_keys, _raise_limit(facts, hits[-1], only_long=only_long))
    past = [hit for hit in user_hits if hit.is_over]
    for hits in _by_limit(past):
        yield _past_finding(hits)


def _live_hits(facts: Facts, proofs: Iterable[Proof]) -> list[Hit]:
    """Return the live requests of this look that a limit stopped."""
    hits: list[Hit] = []
    for proof in proofs:
        if proof.line and proof.answer.status >= HTTPStatus.BAD_REQUEST:
            hit = hit_by(Failures(facts, _as_group(facts, proof)))
            hits += [hit] if hit else []
    return hits


def _as_group(facts: Facts, proof: Proof) -> FailedRequests:
    line = proof.line
    details = line.details if line else ""
    flags = line.flags if line else ""
    return FailedRequests(
        route=line.route.partition("/match/")[0] if line else "",
        maker=Maker.UPSTREAM if details == "via_upstream" else Maker.ENVOY,
        status=proof.answer.status,
        flags=flags,
        details=details,
        count=1,
        requests=1,
        first_time=facts.now,
        last_time=facts.now,
        longest=int(proof.answer.seconds * 1000),
        largest=proof.size,
        text=f"request {proof.name}: {proof.answer.status} flags {flags} ({details})",
    )


def _by_limit(hits: Iterable[Hit]) -> Iterable[list[Hit]]:
    """Return the hits, those of one limit together."""
    by_limit: dict[tuple[Kind, Subject], list[Hit]] = {}
    for hit in hits:
        by_limit.setdefault((hit.kind, _subject(hit)), []).append(hit)
    return by_limit.values()


def _subject(hit: Hit) -> Subject:
    if hit.holder is None:
        return Subject.component("gateway-plugins")
    if hit.holder.manifest is None:
        return Subject("Gateway", _gateway_name(hit.failures.facts))
    return Subject(hit.holder.kind, hit.holder.name)


def _gateway_name(facts: Facts) -> str:
    gateway = facts.profile.gateway
    return f"{gateway.namespace}/{gateway.name}"


def _keys_of(hits: Iterable[Hit]) -> set[Key]:
    all_keys: set[Key] = set()
    for hit in hits:
        all_keys |= hit.failures.keys
    return all_keys


def _limit_finding(hits: Sequence[Hit], live_keys: set[Key], fix: tuple[Fix, ...]) -> Finding:
    """Return the finding of one limit. `live_keys`: of the live requests that it stopped."""
    hit = _latest(hits)
    about = {keys.object_of(*_named_by(hit))}
    if hit.kind is Kind.PLUGIN:
        # A fault of gateway-plugins explains it.
        about |= keys.PLUGIN_ROUTES
    elif hit.kind is Kind.ANSWER and not live_keys:
        # A model that answers no live request explains it. A broken route does not.
        about |= {key for each in hits for key in each.failures.model_keys}
    return Finding(
        code="DE604",
        subject=_subject(hit),
        says=_describe_limit(hits, hit),
        evidence=tuple(_evidence(each.failures for each in hits)),
        fix=fix,
        about=frozenset(about),
        affects=frozenset(live_keys),
        place=PLACES[hit.kind],
    )


def _past_finding(hits: Sequence[Hit]) -> Finding:
    hit = _latest(hits)
    return Finding(
        code="DE604",
        subject=_subject(hit),
        says=_describe_past(hits, hit),
        evidence=tuple(_evidence(each.failures for each in hits)),
        verdict=Verdict.HARMLESS,
    )


def _latest(hits: Sequence[Hit]) -> Hit:
    return max(hits, key=lambda hit: hit.failures.group.last_time)


def _named_by(hit: Hit) -> tuple[str, str]:
    """Return the kind and the full name of the object that sets the limit, or should."""
    facts, holder = hit.failures.facts, hit.holder
    if holder is None:
        return "Deployment", "gateway-plugins"
    if holder.manifest is None:
        declared = holder.declared(facts)
        name = f"{declared.namespace}/{declared.name}" if declared else ""
        return holder.kind, name
    return holder.kind, holder.name


def _describe_past(hits: Sequence[Hit], hit: Hit) -> str:
    requests = _spell_count(hits)
    if hit.kind is Kind.ANSWER:
        seconds = round(hit.failures.group.longest / 1000)
        route = hit.failures.route_name
        limit = hit.limit
        return f"The timeout of the route {route} cut {requests} at {seconds} s. It is {limit} now."
    if hit.kind is Kind.BODY:
        return f"The Gateway refused {requests} for their size. It takes up to {hit.limit} now."
    return f"{_describe_limit(hits, hit)} That is over."


def _spell_count(hits: Sequence[Hit]) -> str:
    count = sum(each.failures.group.count for each in hits)
    return f"{count} requests" if count > 1 else "a request"


def _describe_limit(hits: Sequence[Hit], hit: Hit) -> str:
    requests = _spell_count(hits)
    if hit.kind is Kind.ANSWER:
        route = hit.failures.route_name
        return f"The timeout of the route {route}, {hit.limit}, cut {requests}."
    if hit.kind is Kind.PLUGIN:
        return (
            f"gateway-plugins took longer than {hit.limit} for an answer, which ended {requests}."
        )
    if hit.kind is Kind.BODY:
        return f"The Gateway takes bodies of up to {hit.limit} and refused {requests}."
    size = quantities.show(hit.failures.group.largest)
    return f"gateway-plugins does not take bodies of {size}, which ended {requests}."


# How a limit is raised


def _raise_limit(facts: Facts, hit: Hit, *, only_long: bool) -> tuple[Fix, ...]:
    """Return how to raise a limit. `only_long`: whether only long live requests met it."""
    holder = hit.holder
    if holder is None:
        return (*_allow_messages(facts, hit.failures.group.largest), Advice(_KEEPING))
    declared = holder.declared(facts)
    is_lowered = declared is not None and declared.limit > holder.limit
    if is_lowered and not only_long:
        return recover(facts)
    if declared and is_lowered:
        # `recover` looks without long requests, and so would see nothing to repair.
        return tuple(_commands(facts, hit, holder, declared.limit))
    raised = max(holder.usual, holder.limit * 2)
    own_way = Advice(f"Or send requests that stay below {hit.limit}.")
    return (*_commands(facts, hit, holder, raised), Advice(_KEEPING), own_way)


def _commands(facts: Facts, hit: Hit, holder: Holder, raised: float) -> Iterator[Fix]:
    if holder.manifest is None:
        yield Advice(f"Give the {holder.kind} of the Gateway a limit: no object sets one.")
        return
    if hit.kind is Kind.BODY:
        patch = {"spec": {"connection": {"bufferLimit": int(raised)}}}
        yield _patch(facts, holder, holder.manifest, "merge", patch)
        if raised > holder.usual:
            yield from _allow_messages(facts, int(raised))
        return
    path, value = _path_and_value(hit, holder.manifest, f"{raised:g}s")
    operation = {"op": "add", "path": path, "value": value}
    yield _patch(facts, holder, holder.manifest, "json", [operation])


def _path_and_value(hit: Hit, manifest: Manifest, time: str) -> tuple[str, object]:
    """Return where a time limit stands in an object, and what has to stand there."""
    if hit.kind is Kind.PLUGIN:
        place = limits.hastiest_processor(manifest)
        return f"/spec/extProc/{place}/messageTimeout", time
    if hit.failures.group.route == PATCHED_ROUTE:
        number = limits.patch_of_route(manifest)
        return f"/spec/jsonPatches/{number}/operation/value/route/timeout", time
    return f"/spec/rules/{hit.failures.rule}/timeouts", {"request": time}


def _patch(facts: Facts, holder: Holder, manifest: Manifest, form: str, patch: object) -> Fix:
    text = json.dumps(patch, separators=(",", ":"))
    target = (holder.kind.lower(), name_of(manifest))
    words = ("patch", *target, "--type", form, "-p", f"'{text}'")
    return kubectl_command(facts, namespace_of(manifest), *words)


def _allow_messages(facts: Facts, size: int) -> Iterator[Fix]:
    """Yield the command by which gateway-plugins takes bodies of a size, from AIBrix v0.7.0 on."""
    for workload in workloads_of_role(facts, Role.PLUGINS):
        yield workload.kubectl("set", "env", workload.target, f"{_MESSAGE_SIZE}={size + _ENVELOPE}")


# Requests that failed otherwise


@check
def find_failed_requests(facts: Facts) -> Iterator[Finding]:
    """DE605: requests of users failed lately, and it is not over; those of one route together."""
    by_route: dict[tuple[str, Verdict], list[Failures]] = {}
    for failures in all_failures(facts):
        if hit_by(failures) is None:
            by_route.setdefault((failures.route_name, _verdict(failures)), []).append(failures)
    for (route_name, verdict), groups in by_route.items():
        yield _failed_finding(facts, route_name, verdict, groups)


def _verdict(failures: Failures) -> Verdict:
    """Return harmless for what is over, and for what is the client's own doing."""
    group = failures.group
    refused = group.status < HTTPStatus.INTERNAL_SERVER_ERROR and failures.maker is Maker.PLUGIN
    lost = not group.route and not failures.is_known_path
    if refused or lost or failures.maker is Maker.CLIENT or failures.is_over:
        return Verdict.HARMLESS
    return Verdict.FAILED


def _failed_finding(
    facts: Facts, route_name: str, verdict: Verdict, groups: Sequence[Failures]
) -> Finding:
    main = max(groups, key=lambda failures: failures.group.count)
    about: set[Key] = set(keys.models(main.models))
    for failures in groups:
        about |= failures.keys
    count = sum(failures.group.count for failures in groups)
    last_time = max(failures.group.last_time for failures in groups)
    requests = counted(count, "request")
    age = spell_span(facts.now - last_time)
    way = f"by the route {route_name}" if main.group.route else "without a route"
    fixes = [devenv_command(facts, "logs", "--problems")]
    if main.kinds:
        fixes.insert(0, devenv_command(facts, "request", "--route", main.kinds[0].value))
    return Finding(
        code="DE605",
        subject=Subject("route", route_name),
        says=f"{requests} of users {way} failed lately, the last one {age} ago: {_reason(main)}.",
        evidence=tuple(_evidence(groups)),
        fix=tuple(fixes) if verdict is Verdict.FAILED else (),
        verdict=verdict,
        about=frozenset(about),
        place=_place(main),
    )


def _reason(failures: Failures) -> str:
    group = failures.group
    if failures.maker is Maker.CLIENT:
        return "the client left before an answer"
    if failures.maker is Maker.UPSTREAM:
        return f"the server behind it answered {group.status}"
    if failures.maker is Maker.PLUGIN:
        return f"gateway-plugins answered {group.status}"
    details = group.details.replace("_", " ")
    path = f" for {group.path}" if group.path else ""
    return f"Envoy itself answered {group.status}{path} ({details})"


def _place(failures: Failures) -> Place:
    if failures.maker is Maker.UPSTREAM or "U" in failures.group.flags:
        return Place.MODEL
    if failures.maker is Maker.PLUGIN or failures.group.details.startswith("ext_proc"):
        return Place.PLUGINS
    return Place.ROUTE


def _evidence(groups: Iterable[Failures]) -> Iterator[Evidence]:
    """Yield the first request of each group, with how many there were, and the last line."""
    for failures in groups:
        group = failures.group
        flags = group.flags or "no flags"
        count = (
            f"the first of {group.count}, among {counted(group.requests, 'request')} by this route"
        )
        text = f"{failures.route_name}: {group.status}, {flags}: {count}"
        if group.count > 1:
            yield Evidence(_SOURCE, text, group.first_time)
        yield Evidence(_SOURCE, group.text, group.last_time)
