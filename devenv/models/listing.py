"""`model list`: every model that any part of AIBrix knows, as each part sees it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from devenv.base.json_types import JsonObject
from devenv.facts.labels import (
    MODEL,
    asked_models,
    by_storm_service,
    is_ready,
    route_of,
    service_name,
)
from devenv.gates import ready
from devenv.gates.live import Prober
from devenv.models.add import ROUTE_CONDITIONS
from devenv.models.lookup import Lookup, name_of_route
from devenv.models.model import ListedModel, PodCount
from devenv.models.objects import DEPLOYMENT, HTTP_ROUTE, SERVICE_KIND
from devenv.models.requests import ModelRequests
from devenv.ports.kube import Manifest


@dataclass(frozen=True)
class ModelObjects:
    """The objects of all models, as the API server lists them."""

    # Only pods that name a model and are not terminating.
    pods: Sequence[Manifest]
    # Only Deployments that name a model.
    workloads: Sequence[Manifest]
    routes: Sequence[Manifest]
    added_names: set[str]


@dataclass(frozen=True)
class ModelList:
    """Lists models, and sends requests to those that have a ready pod."""

    lookup: Lookup
    requests: ModelRequests
    prober: Callable[[], Prober]

    def run(self) -> list[ListedModel]:
        """Return the models, sorted by name."""
        objects = self._collect()
        return [self._listed(name, objects) for name in self._names(objects)]

    def _collect(self) -> ModelObjects:
        """Read the objects of all models at once."""
        kube = self.lookup.kube
        # A selector can't match annotations.
        selector = "" if self.lookup.reads_annotations else MODEL
        pods = kube.select("v1", "Pod", selector=selector)
        workloads = kube.select(*DEPLOYMENT, selector=selector)
        return ModelObjects(
            [pod for pod in pods if self._is_serving(pod)],
            [workload for workload in workloads if self.lookup.model_name(workload)],
            kube.select(*HTTP_ROUTE),
            self.lookup.added_names(),
        )

    def _is_serving(self, pod: Manifest) -> bool:
        """Whether a pod names a model and is not terminating."""
        names_model = bool(self.lookup.model_name(pod))
        return names_model and "deletionTimestamp" not in pod["metadata"]

    def _names(self, objects: ModelObjects) -> list[str]:
        names = set(objects.added_names)
        names.update(map(self.lookup.model_name, objects.pods))
        names.update(map(self.lookup.model_name, objects.workloads))
        names.update(*map(asked_models, objects.routes))
        return sorted(names)

    def _of_model(self, name: str, objects: Sequence[Manifest]) -> list[Manifest]:
        return [obj for obj in objects if self.lookup.model_name(obj) == name]

    def _listed(self, name: str, objects: ModelObjects) -> ListedModel:
        """Return one model with its state. Only a model with a ready pod gets requests."""
        pods = self._of_model(name, objects.pods)
        workloads = self._of_model(name, objects.workloads)
        route = route_of(name, objects.routes, self.lookup.system_namespace)
        pod_count = PodCount(sum(map(is_ready, pods)), len(pods))
        has_route = route is not None or not by_storm_service(pods)
        service = self._service_name(workloads) or name
        requests = self.requests.to_model(
            name, name_of_route(route, name), anonymous=True, has_route=has_route
        )
        return ListedModel(
            name,
            pod_count,
            tuple(map(_namespaced_name, workloads)),
            _route_state(route, has_route=has_route),
            self._service_state(route, service, pods),
            tuple(self.prober().probe(requests) if pod_count.ready else []),
            name in objects.added_names,
        )

    def _service_name(self, workloads: Sequence[Manifest]) -> str:
        """Return the Service that a model's Deployment names, "" for none."""
        if not self.lookup.reads_annotations:
            return ""
        return next(filter(None, map(service_name, workloads)), "")

    def _service_state(self, route: Manifest | None, name: str, pods: Sequence[Manifest]) -> str:
        """Return the first existing Service that the model's requests go to, as NAMESPACE/NAME."""
        backends = _backends(route)
        if not backends:
            namespaces = {pod["metadata"]["namespace"] for pod in pods}
            backends = [{"namespace": namespace, "name": name} for namespace in namespaces]
        for backend in backends:
            namespace = str(backend.get("namespace") or self.lookup.system_namespace)
            service = backend["name"]
            if self.lookup.kube.get(*SERVICE_KIND, namespace, service) is not None:
                return f"{namespace}/{service}"
        missing_service = backends[0]["name"] if backends else name
        return f"none is named {missing_service}"


def _namespaced_name(obj: Manifest) -> str:
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"


def _route_state(route: Manifest | None, *, has_route: bool) -> str:
    if route is not None:
        return ready.parents(route, ROUTE_CONDITIONS) or "accepted"
    if has_route:
        return "none"
    return "none, by design: a StormService serves it"


def _backends(route: Manifest | None) -> list[JsonObject]:
    """Return all references to backends of a route, rule after rule."""
    if route is None:
        return []
    backends: list[JsonObject] = []
    for rule in route["spec"].get("rules") or ():
        backends += rule.get("backendRefs") or ()
    return backends
