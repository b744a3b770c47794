"""Envoy's access log: who made each answer, and what went wrong with the requests of users.

The field names are those of Envoy Gateway v1.2's default JSON format; what `response_code_details`
and the flags mean is in Envoy's documentation, configuration/observability/access_log.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from devenv.base.errors import NotFoundError
from devenv.facts.live import PATCHED_ROUTE
from devenv.facts.model import FailedRequests, LaterAnswers, TrafficFacts
from devenv.facts.objects import name_of, namespace_of
from devenv.facts.times import seconds
from devenv.ports.kube import Kube, Manifest

# How the user agents of devenv's own requests begin.
_OWN_AGENTS = "devenv/"
# Seconds of the log that are read, and lines from its end: some 5 MB.
_MINUTES, _TAIL = 600, 5000
# So many good answers in a row show that failures have stopped if they were so improbable before.
# Between two failures of many, it takes more to tell two spells apart.
_UNLIKELY, _RARE = 0.05, 0.001
# Groups of failed requests that are kept, those with the most requests.
_GROUPS = 40
# Characters of a line, of a path and of Envoy's reason that are kept.
_LONGEST_LINE, _LONGEST_PATH, _LONGEST_REASON = 300, 80, 200


class Maker(StrEnum):
    """Who made an answer."""

    # Envoy itself.
    ENVOY = "Envoy"
    # gateway-plugins, through ext_proc: such an answer has no details.
    PLUGIN = "gateway-plugins"
    # The server behind the route.
    UPSTREAM = "upstream"
    # Nobody: the client left before.
    CLIENT = "client"


@dataclass(frozen=True)
class LoggedRequest:
    """One entry of the access log. `time`: when it was logged, in seconds since 1970."""

    time: float
    fields: Mapping[str, Any]

    @classmethod
    def of(cls, text: str, time: float = 0.0) -> "LoggedRequest | None":
        """Read a line without its timestamp. None if the line is not of the access log."""
        if not text.startswith("{"):
            return None
        try:
            fields = json.loads(text)
        except ValueError:
            return None
        if "response_code" not in fields:
            return None
        return cls(time, fields)

    def text(self, field: str) -> str:
        """Return a field as text, "" if the entry has none. The log writes "-" for none, too."""
        value = self.fields.get(field)
        return "" if value in (None, "-") else str(value)

    def number(self, field: str) -> int:
        """Return a field as a whole number, 0 if it is not one."""
        text = self.text(field)
        return int(text) if text.isdecimal() else 0

    @property
    def status(self) -> int:
        """The HTTP status of the answer, 0 if there was no answer."""
        return self.number("response_code")

    @property
    def details(self) -> str:
        """Envoy's reason for the answer."""
        return self.text("response_code_details")

    @property
    def maker(self) -> Maker:
        """Who made the answer."""
        if not self.status:
            return Maker.CLIENT
        if self.details == "via_upstream":
            return Maker.UPSTREAM
        return Maker.ENVOY if self.details else Maker.PLUGIN

    @property
    def route(self) -> str:
        """The rule of the route that Envoy took, "" if none fits the request."""
        return self.text("route_name").partition("/match/")[0]

    @property
    def has_passed(self) -> bool:
        """Whether the server behind the route answered without a failure of its own."""
        return self.maker is Maker.UPSTREAM and not self.has_failed

    @property
    def has_failed(self) -> bool:
        """Whether the status is 500 or higher, or Envoy or the plugin made one from 400 on."""
        if self.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return True
        return self.status >= HTTPStatus.BAD_REQUEST and self.maker is not Maker.UPSTREAM

    @property
    def is_own(self) -> bool:
        """Whether devenv sent the request, to prove a route."""
        return self.text("user-agent").startswith(_OWN_AGENTS)

    @property
    def in_words(self) -> str:
        """The main fields, for people. The status comes first: a user looks for it."""
        upstream = self.text("upstream_host") or "nowhere"
        duration = self.fields.get("duration")
        parts = [
            self.fields.get("response_code"),
            self.text("method"),
            self.text("x-envoy-origin-path"),
            f"{duration} ms",
            self.text("route_name"),
            f"→ {upstream}",
        ]
        if flags := self.text("response_flags"):
            parts.append(f"flags {flags} ({self.details})")
        return " ".join(str(part) for part in parts if part not in (None, ""))


# The summary


def read(kube: Kube, proxy: Manifest) -> TrafficFacts:
    """Return what the access log of one Envoy says of the last minutes."""
    place = (namespace_of(proxy), name_of(proxy), "envoy")
    try:
        log = kube.logs(*place, _MINUTES, _TAIL, timestamps=True)
    except NotFoundError:
        # The pod has ended meanwhile.
        log = ""
    return summarized(name_of(proxy), log)


def summarized(pod: str, log: str) -> TrafficFacts:
    """Return what an Envoy's access log says of users' requests that failed.

    Each line of the log begins with Kubernetes' timestamp, and the earliest comes first.
    """
    requests = list(_requests(log))
    groups: list[FailedRequests] = []
    for route in dict.fromkeys(request.route for request in requests):
        groups += _groups(requests, route)
    groups.sort(key=lambda group: -group.count)
    return TrafficFacts(
        pod=pod,
        since=requests[0].time if requests else 0.0,
        requests=sum(not request.is_own for request in requests),
        failed=tuple(groups[:_GROUPS]),
    )


def _requests(log: str) -> Iterator[LoggedRequest]:
    for line in log.splitlines():
        time, _, text = line.partition(" ")
        if request := LoggedRequest.of(text, seconds(time)):
            yield request


def _groups(requests: Sequence[LoggedRequest], route: str) -> Iterator[FailedRequests]:
    """Yield the failed requests of users by one route, grouped by how they failed."""
    by_key: dict[tuple[object, ...], list[LoggedRequest]] = {}
    for request in requests:
        has_failed = request.has_failed or request.maker is Maker.CLIENT
        if request.route == route and has_failed and not request.is_own:
            by_key.setdefault(_group_key(request), []).append(request)
    for key, failed in by_key.items():
        # Envoy keeps the bodies of both routes that lead through gateway-plugins, by one limit. It
        # logs what passes the reserved one by the model's route.
        is_too_large = key[0] == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        routes = {route, PATCHED_ROUTE} if is_too_large else {route}
        comparable = [request for request in requests if request.route in routes]
        yield from _spells(comparable, failed)


def _spells(
    comparable: Sequence[LoggedRequest], failed: Sequence[LoggedRequest]
) -> Iterator[FailedRequests]:
    """Yield a group of failed requests as spells: a new one begins where the one before was over.

    `comparable` are the requests that show it, in the order of the log, with the failed ones.
    """
    numbers = {id(request): number for number, request in enumerate(comparable)}
    positions = [numbers[id(request)] for request in failed]
    whole = _group(comparable, positions, len(comparable))
    spell = positions[:1]
    for position in positions[1:]:
        later = _later(comparable[spell[-1] + 1 : position])
        if _separates(whole, later):
            yield _group(comparable, spell, position)
            spell = []
        spell.append(position)
    yield _group(comparable, spell, len(comparable))


def _separates(group: FailedRequests, later: LaterAnswers) -> bool:
    """Whether good answers between two failures of a group show that these are two spells."""
    if group.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return later.largest >= group.largest > 0
    if "UT" in group.flags.split(","):
        return later.longest >= group.longest > 0
    # Those answers themselves don't count for the share of failures.
    requests = max(group.count, group.requests - later.users)
    return _chance(group.count, requests, later.users + later.own) < _RARE


def _chance(failures: int, requests: int, answers: int) -> float:
    """Return the probability of so many good answers in a row at that share of failures."""
    return float((1 - failures / requests) ** answers)


def has_recovered(group: FailedRequests, answers: int) -> bool:
    """Whether so many good answers since show that a group's failures have stopped."""
    return _chance(group.count, group.requests, answers) < _UNLIKELY


def _group_key(request: LoggedRequest) -> tuple[object, ...]:
    flags = request.text("response_flags")
    return (request.status, flags, request.details, _asked_path(request))


def _asked_path(request: LoggedRequest) -> str:
    """Return the path of a request for which Envoy has no route; "" of the others."""
    if request.route:
        return ""
    path = request.text("x-envoy-origin-path").partition("?")[0]
    return path[:_LONGEST_PATH]


def _group(requests: Sequence[LoggedRequest], positions: Sequence[int], end: int) -> FailedRequests:
    """Return the requests at these positions as one group. `end`: of what is looked at."""
    failed = [requests[position] for position in positions]
    latest = failed[-1]
    between = requests[positions[0] : positions[-1] + 1]
    users = [each for each in between if each.route == latest.route and not each.is_own]
    return FailedRequests(
        route=latest.route,
        path=_asked_path(latest),
        maker=latest.maker.value,
        status=latest.status,
        flags=latest.text("response_flags"),
        details=latest.details[:_LONGEST_REASON],
        count=len(failed),
        requests=len(users),
        first_time=failed[0].time,
        last_time=latest.time,
        longest=_most("duration", failed),
        largest=_most("bytes_received", failed),
        text=latest.in_words[:_LONGEST_LINE],
        later=_later(requests[positions[-1] + 1 : end]),
    )


def _later(requests: Iterable[LoggedRequest]) -> LaterAnswers:
    passed = [request for request in requests if request.has_passed]
    own = sum(request.is_own for request in passed)
    return LaterAnswers(
        users=len(passed) - own,
        own=own,
        longest=_most("duration", passed),
        largest=_most("bytes_received", passed),
    )


def _most(field: str, requests: Iterable[LoggedRequest]) -> int:
    return max((request.number(field) for request in requests), default=0)
