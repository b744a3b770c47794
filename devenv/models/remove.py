"""`model rm`: removes exactly the objects that `model add` created."""

from collections.abc import Sequence
from dataclasses import dataclass

from devenv.base.errors import DevenvError, Exit
from devenv.base.steps import step
from devenv.base.wait import Deadline, until
from devenv.facts.labels import asked_models
from devenv.models.lookup import Lookup
from devenv.models.objects import DEPLOYMENT, HTTP_ROUTE, SERVICE_KIND, added_model
from devenv.ports.clock import Clock
from devenv.ports.kube import Manifest
from devenv.ports.reporter import Reporter

# Seconds until the model's route is gone.
_ROUTE_WAIT = 60.0


@dataclass(frozen=True)
class Removal:
    """Removes a model from a cluster."""

    lookup: Lookup
    clock: Clock
    reporter: Reporter

    def objects(self, name: str) -> list[Manifest]:
        """Return the objects that `run` is to remove.

        Raises DevenvError if devenv did not add the model.
        """
        objects = []
        for version, kind in (DEPLOYMENT, SERVICE_KIND, HTTP_ROUTE):
            candidates = self.lookup.kube.select(version, kind)
            model_objects = [obj for obj in candidates if added_model(obj) == name]
            # The items of a list do not say their own kind.
            objects += [{**obj, "apiVersion": version, "kind": kind} for obj in model_objects]
        if not objects:
            raise self._not_added(name)
        return objects

    def _not_added(self, name: str) -> DevenvError:
        added_names = ", ".join(sorted(self.lookup.added_names())) or "none"
        return DevenvError(
            f"devenv has not added a model {name}.",
            f"It has added: {added_names}.",
            "`devenv model list` shows all models.",
            Exit.USAGE,
        )

    def run(self, name: str, objects: Sequence[Manifest]) -> None:
        """Remove the objects, and return once the model's route is gone, too."""
        kube = self.lookup.kube
        for obj in objects:
            meta = obj["metadata"]
            with step(self.reporter, f"remove {obj['kind']} {meta['namespace']}/{meta['name']}"):
                kube.delete(obj["apiVersion"], obj["kind"], meta["namespace"], meta["name"])
        with step(self.reporter, "route"):
            until(
                "The removal of the model's route",
                lambda: self._remaining_routes(name),
                Deadline(self.clock, _ROUTE_WAIT),
                "See what `devenv doctor` says.",
            )

    def _remaining_routes(self, model: str) -> str:
        """Return what the removal waits for, "" once no HTTPRoute leads to the model."""
        routes = self.lookup.kube.select(*HTTP_ROUTE)
        names = [route["metadata"]["name"] for route in routes if model in asked_models(route)]
        if not names:
            return ""
        return f"HTTPRoute {', '.join(names)} to be gone"
