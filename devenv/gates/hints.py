"""What a user can change in a request that gateway-plugins refuses."""

from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from devenv.base.errors import DevenvError
from devenv.facts.labels import model_name
from devenv.ports.gateway import HttpAnswer
from devenv.ports.kube import Kube
from devenv.profiles.model import LiveRequest, Profile, Route

# The header and the words by which AIBrix refuses a strategy: until v0.5, and in all versions.
_REFUSED_STRATEGY, _UNKNOWN_STRATEGY = "x-error-invalid-routing-strategy", "incorrect routing strat"
# How AIBrix says that a strategy has found no pod.
_NO_TARGET = "error on selecting target pod"
_PD = "pd"
# The label of the pods that pd needs.
_PREFILL = "role-name=prefill"


@dataclass(frozen=True)
class Hints:
    """Finds what to change in a request that failed."""

    kube: Kube
    profile: Profile

    def of(self, live: LiveRequest, answer: HttpAnswer) -> list[str]:
        """Return sentences, none if nothing is wrong with the request itself."""
        if live.route is not Route.EXTENSION:
            return []
        if is_unknown_strategy(answer):
            return [self._strategies()]
        if self._lacks_prefill_pods(live, answer):
            hint = (
                "The strategy pd needs pods for prefill and for decode. No pod of the model "
                f"{live.model} has the label {_PREFILL}: create a StormService with that role, "
                "or use another --strategy."
            )
            return [hint]
        return []

    def _strategies(self) -> str:
        profile = self.profile
        if not profile.strategies:
            return "Use another --strategy, such as random."
        owner = f"AIBrix {profile.version}" if profile.version else f"The profile {profile.name}"
        names = ", ".join(profile.strategies)
        if len(profile.strategies) == 1:
            return f"Use another --strategy. {owner} has only {names}."
        return f"Use another --strategy. {owner} has {names}."

    def _lacks_prefill_pods(self, live: LiveRequest, answer: HttpAnswer) -> bool:
        """Whether no pod of the model is for prefill; false if that can't be read."""
        is_refused = answer.status == HTTPStatus.SERVICE_UNAVAILABLE and _NO_TARGET in answer.body
        if live.strategy != _PD or not is_refused:
            return False
        annotated = self.profile.model_annotations
        with suppress(DevenvError):
            pods = self.kube.select("v1", "Pod", selector=_PREFILL)
            return live.model not in {model_name(pod, annotated=annotated) for pod in pods}
        return False


def is_unknown_strategy(answer: HttpAnswer) -> bool:
    """Whether gateway-plugins refused the request because it does not have the strategy."""
    if answer.status != HTTPStatus.BAD_REQUEST:
        return False
    return _REFUSED_STRATEGY in answer.headers or _UNKNOWN_STRATEGY in answer.body
