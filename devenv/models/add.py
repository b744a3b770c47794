"""`model add`: applies a model's objects and waits until the model answers."""

from collections.abc import Callable
from dataclasses import dataclass

from devenv.base.counting import counted
from devenv.base.errors import DevenvError
from devenv.base.steps import step
from devenv.base.wait import Deadline, until
from devenv.facts.live import Proof
from devenv.facts.trouble import Trouble
from devenv.gates import ready
from devenv.gates.live import Prober
from devenv.models.lookup import Lookup
from devenv.models.model import NewModel
from devenv.models.objects import DEPLOYMENT, deployment, route_and_grant, service
from devenv.models.requests import ModelRequests
from devenv.ports.clock import Clock
from devenv.ports.kube import Manifest
from devenv.ports.reporter import Reporter

# Conditions of an HTTPRoute that requests can take.
ROUTE_CONDITIONS = ["Accepted", "ResolvedRefs"]
# Seconds.
_POD_WAIT = 240.0
# Seconds for the controller to create a route, and for Envoy Gateway to accept it.
_ROUTE_WAIT = 60.0
# Seconds for the live requests.
_PROOF_WAIT = 60.0


@dataclass(frozen=True)
class Addition:
    """Adds a model to a cluster."""

    cluster: str
    lookup: Lookup
    requests: ModelRequests
    clock: Clock
    reporter: Reporter
    prober: Callable[[], Prober]

    def run(self, model: NewModel) -> list[Proof]:
        """Return the proofs once every route answers. Raises DevenvError with what is missing."""
        self._explain_missing_controller_route(model)
        self._apply(model)
        self._await_pods(model)
        self._await_route(model)
        return self._prove(model)

    def _explain_missing_controller_route(self, model: NewModel) -> None:
        if self.lookup.profile.has_route_controller and not self.lookup.is_routed_by_controller(
            model
        ):
            self.reporter.say(
                f"A Service can't be named {model.name}, so the controller can't create a route"
                " for it. devenv creates the route; requests with neither header get no answer"
                " (aibrix#1691)."
            )

    def _apply(self, model: NewModel) -> None:
        with step(self.reporter, f"apply {model.name}") as note:
            objects = self._objects(model)
            for obj in objects:
                self.lookup.kube.apply(obj)
            note.append(f"{counted(len(objects), 'object')}")

    def _objects(self, model: NewModel) -> list[Manifest]:
        """Return the model's objects; a route only if the controller makes none."""
        by_controller = self.lookup.is_routed_by_controller(model)
        is_visible = by_controller or model.has_own_name
        objects = [deployment(model, is_visible=is_visible), service(model)]
        if not by_controller:
            gateway = self.lookup.profile.gateway
            objects += route_and_grant(model, gateway.name, gateway.namespace)
        return objects

    def _await_pods(self, model: NewModel) -> None:
        """Wait until all pods are ready. Raises DevenvError with what keeps them from it."""
        namespaced = f"kubectl --context kind-{self.cluster} -n {model.namespace}"
        hint = f"Look at it: {namespaced} describe deployment {model.slug}"
        with step(self.reporter, "pods"):
            try:
                until(
                    "The model's workload",
                    lambda: self._pod_problem(model),
                    Deadline(self.clock, _POD_WAIT),
                    hint,
                )
            except DevenvError as error:
                self._explain_missing_pods(model, error)
                raise

    def _deployment(self, model: NewModel) -> Manifest | None:
        return self.lookup.kube.get(*DEPLOYMENT, model.namespace, model.slug)

    def _pod_problem(self, model: NewModel) -> str:
        """Return what the model's Deployment lacks, "" once its pods are ready."""
        workload = self._deployment(model)
        # An empty object counts as none.
        if not workload:
            return "it does not exist"
        return ready.workload(workload)

    def _explain_missing_pods(self, model: NewModel, error: DevenvError) -> None:
        """Add the pods' own errors to an error, and how to remove the model."""
        workload = self._deployment(model)
        reasons = [error.why]
        if workload:
            reasons += Trouble(self.lookup.kube).lines(workload)
        error.why = "\n".join(reasons)
        removal = f"It stays until you run `devenv model rm {model.name}`."
        error.next_step = f"{error.next_step}\n{removal}".strip()

    def _await_route(self, model: NewModel) -> None:
        """Wait until the gateway has accepted the model's route."""
        hint = "See what `devenv doctor` says."
        if self.lookup.is_routed_by_controller(model) and not model.has_own_name:
            hint += (
                " A checkout of main from before August 2026 does not create a route for such a"
                " name. In a cluster that you create with --aibrix-version, devenv creates the"
                " route instead."
            )
        with step(self.reporter, "route"):
            until(
                "The model's route",
                lambda: self._route_problem(model),
                Deadline(self.clock, _ROUTE_WAIT),
                hint,
            )

    def _route_problem(self, model: NewModel) -> str:
        """Return what the model's route lacks, "" once requests can take it."""
        route = self.lookup.route(model.name)
        if route is None:
            return self._missing_route(model)
        return ready.parents(route, ROUTE_CONDITIONS)

    def _missing_route(self, model: NewModel) -> str:
        if not self.lookup.is_routed_by_controller(model):
            return f"HTTPRoute {model.route_name}"
        if model.has_own_name:
            return f"HTTPRoute {model.route_name}, which the controller creates"
        return f"an HTTPRoute for model: {model.name}, which the controller creates"

    def _prove(self, model: NewModel) -> list[Proof]:
        """Send the model's requests until all prove their routes."""
        with step(self.reporter, "live requests") as note:
            route_name = self.lookup.route_name(model.name)
            requests = self.requests.to_model(model.name, route_name, anonymous=bool(model.image))
            hint = "See what `devenv doctor` and `devenv model list` say."
            proofs = self.prober().prove_all("The model", requests, _PROOF_WAIT, hint)
            note.append(f"{len(proofs)} of {len(proofs)} proved their routes")
        return proofs
