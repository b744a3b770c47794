"""The live requests that prove a model's routes."""

from dataclasses import dataclass

from devenv.models.lookup import Lookup
from devenv.models.model import NewModel
from devenv.profiles.headers import Headers
from devenv.profiles.model import LiveRequest, Route


@dataclass(frozen=True)
class ModelRequests:
    """Makes requests to a model.

    `headers` come from the command line; if there are none, the profile's are sent.
    """

    lookup: Lookup
    headers: Headers

    def to_model(
        self, name: str, route_name: str, *, anonymous: bool, has_route: bool = True
    ) -> list[LiveRequest]:
        """Return one request of each kind that AIBrix can answer for the model.

        `route_name`: the HTTPRoute that the request must take. `anonymous`: whether the model does
        not name its pod, so that only Envoy's log tells which pod answered.
        """
        headers = self.lookup.profile.headers_to(name, self.headers)
        return [
            LiveRequest(
                name=kind.value,
                route=kind,
                model=name,
                by=route_name,
                anonymous=anonymous,
                headers=headers,
            )
            for kind in self._kinds(name, has_route=has_route)
        ]

    def _kinds(self, name: str, *, has_route: bool) -> list[Route]:
        """Return the routes that a request can take; without an HTTPRoute that is one."""
        if not has_route:
            return [Route.EXTENSION]
        kinds = [Route.DIRECT, Route.EXTENSION]
        if self._answers_plain_requests(name):
            kinds.append(Route.PLAIN)
        return kinds

    def _answers_plain_requests(self, name: str) -> bool:
        """Whether the plugin finds the route of a request that names its model in the body only.

        An AIBrix that does not read annotations looks for a route with the model's own name.
        """
        if not self.lookup.profile.has_route_controller or self.lookup.reads_annotations:
            return True
        return NewModel(name).has_own_name
