"""One model among the facts, with the objects by which AIBrix serves it."""

from collections.abc import Iterator
from dataclasses import dataclass

from devenv.diagnosis.manifests import Backend, backends_of
from devenv.diagnosis.workloads import Workload, all_workloads, deployments, model_named_by
from devenv.facts.labels import by_storm_service, is_ready, route_of
from devenv.facts.model import Facts
from devenv.facts.revisions import is_lasting
from devenv.ports.kube import Manifest
from devenv.profiles.model import Route

# Requests by these routes need no HTTPRoute of the model's own.
_ROUTELESS = {Route.EXTENSION, Route.MODELS}


@dataclass(frozen=True)
class ServedModel:
    """A model that requests ask for, or that a workload is meant to serve."""

    facts: Facts
    name: str

    def __str__(self) -> str:
        return self.name

    @property
    def is_requested(self) -> bool:
        """Whether a request of the profile asks for it."""
        return self.name in requested_models(self.facts)

    @property
    def pods(self) -> list[Manifest]:
        """The pods by which AIBrix finds it and that are neither terminating nor ended."""
        return [pod for pod in self.facts.of("Pod") if self._is_named_by(pod) and is_lasting(pod)]

    def _is_named_by(self, pod: Manifest) -> bool:
        return model_named_by(self.facts, pod) == self.name

    @property
    def newest_pods(self) -> list[Manifest]:
        """Its pods that no workload is about to replace."""
        replaced_pods: list[Manifest] = []
        for workload in all_workloads(self.facts):
            newest = workload.newest_pods
            replaced_pods += [pod for pod in workload.pods if pod not in newest]
        return [pod for pod in self.pods if pod not in replaced_pods]

    @property
    def has_ready_pod(self) -> bool:
        """Whether any pod can answer requests to it."""
        return any(map(is_ready, self.pods))

    @property
    def deployments(self) -> list[Workload]:
        """The Deployments that name it, themselves or in their pod template."""
        return [d for d in deployments(self.facts) if self.name in d.models]

    @property
    def route(self) -> Manifest | None:
        """Its own HTTPRoute."""
        gateway = self.facts.profile.gateway
        return route_of(self.name, self.facts.of("HTTPRoute"), gateway.namespace)

    @property
    def backends(self) -> list[Backend]:
        """Where its HTTPRoute leads. Without a namespace, the Gateway's is meant."""
        if self.route is None:
            return []
        return list(backends_of(self.route, self.facts.profile.gateway.namespace))

    @property
    def backend_namespaces(self) -> set[str]:
        """The namespaces of the Services to which its HTTPRoute leads."""
        return {backend.service.namespace for backend in self.backends}

    @property
    def is_routeless(self) -> bool:
        """Whether a StormService serves it, so that by design it has no HTTPRoute.

        While a StormService has no pods, the profile's requests tell: none of them needs an
        HTTPRoute, and no Deployment serves the model.
        """
        if pods := self.pods:
            return by_storm_service(pods)
        requests = self.facts.profile.requests
        request_routes = {r.route for r in requests if r.model == self.name}
        needs_no_route = bool(request_routes) and request_routes <= _ROUTELESS
        return needs_no_route and not self.deployments


def requested_models(facts: Facts) -> list[str]:
    """Return the names of the models that the profile's requests ask for."""
    return list(dict.fromkeys(request.model for request in facts.profile.requests))


def served_models(facts: Facts) -> list[str]:
    """Return the names of all models that a Deployment is meant to serve.

    Those that requests ask for come first, whether a Deployment serves them or not.
    """
    deployed_models = set()
    for deployment in deployments(facts):
        if not deployment.is_scaled_to_zero:
            deployed_models.add(deployment.own_model or deployment.pod_model)
    return list(dict.fromkeys([*requested_models(facts), *sorted(deployed_models - {""})]))


def routed_models(facts: Facts) -> Iterator[ServedModel]:
    """Yield the served models for which AIBrix makes an HTTPRoute: all but StormServices'."""
    for name in served_models(facts):
        model = ServedModel(facts, name)
        if not model.is_routeless:
            yield model
