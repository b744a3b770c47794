"""Which limit of the gateway stopped a request, and which object sets it."""

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from devenv.diagnosis.failed_requests import Failures
from devenv.diagnosis.model import Place
from devenv.facts import limits
from devenv.facts.live import PATCHED_ROUTE
from devenv.facts.model import Declared, Facts, FailedRequests
from devenv.facts.objects import full_name, items_of, name_of, namespace_of
from devenv.facts.traffic import Maker
from devenv.ports.kube import Manifest
from devenv.profiles import quantities

# A share of a limit: what lasted so long would have met the limit before.
_NEARLY = 0.9


class Kind(StrEnum):
    """What is limited."""

    # How long the answer takes.
    ANSWER = "answer"
    # How long one answer of gateway-plugins takes.
    PLUGIN = "plugin"
    # How large a body is that Envoy keeps for gateway-plugins.
    BODY = "body"
    # How large a message is that gateway-plugins takes.
    MESSAGE = "message"


PLACES = {
    Kind.ANSWER: Place.ROUTE,
    Kind.PLUGIN: Place.PLUGINS,
    Kind.BODY: Place.ENVOY,
    Kind.MESSAGE: Place.PLUGINS,
}


@dataclass(frozen=True)
class Holder:
    """The object that sets a limit; without a manifest, a default holds."""

    kind: str
    manifest: Manifest | None
    # Of an HTTPRoute: the number of the rule that took the requests.
    rule: int = 0

    @property
    def name(self) -> str:
        """NAMESPACE/NAME, "" without a manifest."""
        return full_name(self.manifest) if self.manifest else ""

    @property
    def limit(self) -> float:
        """The limit, in seconds or bytes."""
        return self._own_limit or limits.DEFAULTS[self.kind]

    @property
    def _own_limit(self) -> float:
        if self.manifest is None:
            return 0.0
        if self.kind == limits.ROUTE:
            return limits.limit_of_rule(self.manifest, self.rule)
        return limits.limit_of(self.kind, self.manifest)

    @property
    def usual(self) -> float:
        """AIBrix's own limit."""
        return limits.AIBRIX[self.kind]

    def declared(self, facts: Facts) -> Declared | None:
        """Return the object as the profile's manifests have it, None if they don't."""
        for declared in facts.declares(self.kind):
            if self.manifest is None:
                return declared
            if (declared.namespace, declared.name) == self._place:
                return declared
        return None

    @property
    def _place(self) -> tuple[str, str]:
        if self.manifest is None:
            return "", ""
        return namespace_of(self.manifest), name_of(self.manifest)


@dataclass(frozen=True)
class Hit:
    """Requests that a limit stopped."""

    kind: Kind
    failures: Failures
    # None if gateway-plugins itself sets the limit.
    holder: Holder | None

    @property
    def is_over(self) -> bool:
        """Whether the limit was raised since, or requests as long or large have passed."""
        group = self.failures.group
        if self.kind is Kind.PLUGIN:
            return self.failures.is_over
        if self.kind is Kind.ANSWER:
            took = group.longest / 1000
            is_passed = group.later.longest > group.longest * _NEARLY
            return self._is_raised(took) or is_passed or self.failures.is_superseded
        if self.kind is Kind.MESSAGE and self.failures.is_superseded:
            # A larger limit of gateway-plugins needs a new pod.
            return True
        return self._is_raised(group.largest) or group.later.largest >= group.largest > 0

    def _is_raised(self, amount: float) -> bool:
        """Whether the limit is now above what it stopped."""
        return self.holder is not None and self.holder.limit * _NEARLY > amount > 0

    @property
    def limit(self) -> str:
        """The limit in words."""
        if self.holder is None:
            return ""
        if self.kind is Kind.BODY:
            return quantities.show(self.holder.limit)
        return f"{self.holder.limit:g} s"


def hit_by(failures: Failures) -> Hit | None:
    """Return the limit that stopped requests, None if it was something else."""
    kind = _kind(failures.group)
    if kind is None:
        return None
    return Hit(kind, failures, _holder(kind, failures))


def _kind(group: FailedRequests) -> Kind | None:
    if group.maker != Maker.ENVOY:
        return None
    if group.details.startswith("ext_proc"):
        if "timeout" in group.details:
            return Kind.PLUGIN
        # gRPC's RESOURCE_EXHAUSTED.
        return Kind.MESSAGE if "gRPC_error_8" in group.details else None
    if group.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or "payload_too_large" in group.details:
        return Kind.BODY
    return Kind.ANSWER if "UT" in group.flags.split(",") else None


def _holder(kind: Kind, failures: Failures) -> Holder | None:
    facts = failures.facts
    if kind is Kind.MESSAGE:
        return None
    if kind is Kind.PLUGIN:
        return Holder(limits.EXTENSION, _limiting(facts, limits.EXTENSION))
    if kind is Kind.BODY:
        return Holder(limits.CLIENTS, _limiting(facts, limits.CLIENTS))
    if failures.group.route == PATCHED_ROUTE:
        return Holder(limits.PATCHES, _limiting(facts, limits.PATCHES))
    return Holder(limits.ROUTE, failures.http_route, failures.rule)


def _limiting(facts: Facts, kind: str) -> Manifest | None:
    """Return the object of the Gateway's namespace with the smallest limit, or None.

    One without a limit of its own has the default.
    """
    namespace = facts.profile.gateway.namespace
    objects = [obj for obj in facts.of(kind) if namespace_of(obj) == namespace]
    if kind == limits.EXTENSION:
        objects = [obj for obj in objects if items_of(obj["spec"], "extProc")]
    if kind == limits.PATCHES:
        objects = [obj for obj in objects if limits.patch_of_route(obj) is not None]
    return min(objects, key=lambda obj: Holder(kind, obj).limit, default=None)
