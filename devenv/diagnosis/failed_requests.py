"""A group of failed requests: by which route they went, and whether they are past and over."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from devenv.diagnosis import keys
from devenv.diagnosis.keys import Key
from devenv.diagnosis.manifests import rules_of
from devenv.diagnosis.served_models import served_models
from devenv.diagnosis.settling import last_acceptance, last_start
from devenv.facts.labels import asked_models
from devenv.facts.live import PATCHED_ROUTE
from devenv.facts.model import Facts, FailedRequests
from devenv.facts.traffic import Maker, has_recovered
from devenv.ports.kube import Manifest
from devenv.profiles.model import Route

# The paths of live requests.
_LIST, _CHAT = "/v1/models", "/v1/chat/completions"
# What a match without a path has.
_ALL = "/"
# Seconds in which failures still belong to a start: an old pod ends after the new one is ready.
_STARTING = 60.0
# Seconds until Envoy works with an object that was accepted.
_ACCEPTING = 10.0


@dataclass(frozen=True)
class Failures:
    """A group of failed requests among the facts."""

    facts: Facts
    group: FailedRequests

    # The route

    @property
    def maker(self) -> Maker:
        """Who made the answers."""
        return Maker(self.group.maker)

    @cached_property
    def http_route(self) -> Manifest | None:
        """The HTTPRoute that they took, None if it was another route or is gone."""
        parts = self.group.route.split("/")
        if parts[0] != "httproute" or len(parts) < len(("httproute", "namespace", "name")):
            return None
        return self.facts.one("HTTPRoute", parts[1], parts[2])

    @property
    def rule(self) -> int:
        """The number of the rule in the HTTPRoute."""
        number = self.group.route.rpartition("/rule/")[2]
        return int(number) if number.isdecimal() else 0

    @property
    def route_name(self) -> str:
        """The route's name for people: NAMESPACE/NAME of an HTTPRoute, or Envoy's own name."""
        name = self.group.route.removeprefix("httproute/").partition("/rule/")[0]
        return name or "none"

    @property
    def kinds(self) -> tuple[Route, ...]:
        """The routes of live requests that lead the same way; none for a user's own route."""
        if self.group.route == PATCHED_ROUTE:
            return (Route.EXTENSION,)
        if self.http_route is None:
            return tuple(Route)
        if asked_models(self.http_route):
            return (Route.DIRECT, Route.PLAIN)
        paths = _paths_of(self.http_route)
        if _LIST in paths:
            return (Route.MODELS,)
        return (Route.PLAIN,) if _CHAT in paths else ()

    @property
    def models(self) -> set[str]:
        """The models that they may have asked for."""
        own_models = asked_models(self.http_route) if self.http_route else set()
        if own_models or not self.kinds:
            return own_models
        return set(served_models(self.facts))

    @property
    def keys(self) -> set[Key]:
        """The keys of their routes, and of these routes to their models."""
        return self.model_keys | keys.routes(self.kinds)

    @property
    def model_keys(self) -> set[Key]:
        """The keys of their routes to their models."""
        model_keys: set[Key] = set()
        for model in self.models:
            model_keys |= {keys.route(kind, model) for kind in self.kinds}
        return model_keys

    @property
    def is_known_path(self) -> bool:
        """Whether an HTTPRoute has the path of a request for which Envoy has no route."""
        paths: set[str] = set()
        for route in self.facts.of("HTTPRoute"):
            paths |= _paths_of(route)
        # A route for all paths would have been taken.
        return self.group.path.startswith(tuple(paths - {_ALL}))

    # Whether they are over

    @property
    def is_superseded(self) -> bool:
        """Whether something on their way was started or accepted after the last one."""
        return self.group.last_time <= max(self._last_start, self._last_acceptance)

    @property
    def is_over(self) -> bool:
        """Whether a change ended them, or good answers since then show that they have stopped."""
        settled = max(self._last_start + _STARTING, self._last_acceptance + _ACCEPTING)
        return self.group.last_time <= settled or self._has_recovered

    @property
    def _last_start(self) -> float:
        return last_start(self.facts, self.models)

    @property
    def _last_acceptance(self) -> float:
        return last_acceptance(self.facts, self.http_route)

    @property
    def _has_recovered(self) -> bool:
        return has_recovered(self.group, self._later_answers)

    @property
    def _later_answers(self) -> int:
        """Good answers since the last failure.

        Those to devenv's own requests count, unless the model itself failed: it may fail at
        something that devenv does not ask. Those of this look count if all were good.
        """
        later = self.group.later
        if self.maker is Maker.UPSTREAM:
            return later.users
        proofs = [proof for proof in self.facts.proofs if proof.route in self.kinds]
        proven = len(proofs) if all(proof.ok for proof in proofs) else 0
        return later.users + later.own + proven


def all_failures(facts: Facts) -> Iterator[Failures]:
    """Yield all groups of users' failed requests."""
    for traffic in facts.traffic:
        for group in traffic.failed:
            yield Failures(facts, group)


def _paths_of(route: Manifest) -> set[str]:
    paths: set[str] = set()
    for rule in rules_of(route):
        for match in rule.get("matches") or ():
            paths.add(str((match.get("path") or {}).get("value") or _ALL))
    return paths
