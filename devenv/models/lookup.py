"""What the cluster has of models, and how the profile's AIBrix finds them."""

from dataclasses import dataclass

from devenv.base.json_types import JsonMap
from devenv.facts.labels import model_name, route_of
from devenv.models.model import NewModel
from devenv.models.objects import DEPLOYMENT, HTTP_ROUTE, added_model
from devenv.ports.kube import Kube, Manifest
from devenv.profiles.model import Profile


@dataclass(frozen=True)
class Lookup:
    """Reads models of one cluster in the way of the profile's AIBrix."""

    profile: Profile
    kube: Kube

    @property
    def system_namespace(self) -> str:
        """Where the Gateway and all models' routes are."""
        return self.profile.gateway.namespace

    @property
    def reads_annotations(self) -> bool:
        """Whether this AIBrix reads a model's name from annotations, too."""
        return self.profile.model_annotations

    def is_routed_by_controller(self, model: NewModel) -> bool:
        """Whether AIBrix's controller creates a route to the model's Service."""
        if not self.profile.has_route_controller:
            return False
        return model.has_own_name or self.reads_annotations

    def model_name(self, obj: JsonMap) -> str:
        """Return the model that an object or a pod template names, "" for none."""
        return model_name(obj, annotated=self.reads_annotations)

    def route(self, name: str) -> Manifest | None:
        """Return the HTTPRoute that leads to a model, None if it has none."""
        routes = self.kube.select(*HTTP_ROUTE, self.system_namespace)
        return route_of(name, routes, self.system_namespace)

    def route_name(self, name: str) -> str:
        """Return the name of the HTTPRoute that a model's requests take, or would take."""
        return name_of_route(self.route(name), name)

    def added_names(self) -> set[str]:
        """Return the names of the models that devenv added."""
        names = {added_model(deployment) for deployment in self.kube.select(*DEPLOYMENT)}
        return {name for name in names if name is not None}


def name_of_route(route: Manifest | None, model: str) -> str:
    """Return a route's name; for a model without a route, the name that it would usually have."""
    if route is None:
        return f"{model}-router"
    return str(route["metadata"]["name"])
