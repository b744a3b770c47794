"""Refuses a model that can't be added, before anything changes."""

import re
from dataclasses import dataclass

from devenv.base.errors import DevenvError, Exit
from devenv.facts.labels import LABEL_VALUE, asked_models
from devenv.gates.headers import resolve
from devenv.models.lookup import Lookup
from devenv.models.model import NewModel
from devenv.models.objects import DEPLOYMENT, HTTP_ROUTE, SERVICE_KIND, added_model, labelled_port
from devenv.models.requests import ModelRequests
from devenv.ports.kube import Manifest

# What an annotation may hold: names as model hubs spell them.
_ANNOTATED_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@+-]{0,252}")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class AdditionCheck:
    """Checks a model that is to be added."""

    lookup: Lookup
    requests: ModelRequests

    def run(self, model: NewModel) -> None:
        """Raise DevenvError with everything that keeps the model from being added."""
        problems = self._header_problems(model)
        _require_valid_namespace(model.namespace)
        problems += self._name_problems(model.name)
        problems += self._object_problems(model)
        if self.lookup.kube.get("v1", "Namespace", "", model.namespace) is None:
            problems.append(f"the namespace {model.namespace} does not exist")
        if model.name:
            problems += self._deployment_conflicts(model)
            problems += self._route_conflicts(model)
        if problems:
            raise DevenvError(
                f"The model {model.name} can't be added.",
                "\n".join(problems),
                "Nothing was changed.",
                Exit.USAGE,
            )

    def _header_problems(self, model: NewModel) -> list[str]:
        requests = self.requests.to_model(model.name, "", anonymous=True)
        # All of them have the same headers.
        return list(resolve(requests[0]).problems)

    def _name_problems(self, name: str) -> list[str]:
        """Return why AIBrix could not find a model of that name, nothing if it could."""
        if LABEL_VALUE.fullmatch(name):
            return []
        if self.lookup.reads_annotations:
            if _ANNOTATED_NAME.fullmatch(name):
                return []
            rule = "use at most 253 letters, digits and . _ / : @ + -"
            return [f"{name!r} is not a valid model name: {rule}"]
        profile = self.lookup.profile
        aibrix = f"{profile.base} {profile.version}".rstrip()
        rule = "at most 63 letters, digits, '-', '_' and '.'"
        problem = f"{name!r} can't be the value of a label ({rule})"
        return [f"{problem}, and {aibrix} finds a model's pods by a label"]

    def _object_problems(self, model: NewModel) -> list[str]:
        """Return the objects that are in the way of the model's Deployment and Service."""
        problems = []
        for version, kind in (DEPLOYMENT, SERVICE_KIND):
            existing = self.lookup.kube.get(version, kind, model.namespace, model.slug)
            if existing is None:
                continue
            if added_model(existing) is None:
                name = f"{kind} {model.namespace}/{model.slug}"
                problems.append(f"{name} already exists, and devenv did not create it")
            elif kind == "Deployment":
                problems += _port_problems(model, existing)
        return problems

    def _deployment_conflicts(self, model: NewModel) -> list[str]:
        """Return the Deployments that serve a model of the same name.

        If one of them is removed, the controller takes away the other one's route.
        """
        own_deployment = (model.namespace, model.slug)
        conflicts = []
        for workload in self.lookup.kube.select(*DEPLOYMENT):
            meta = workload["metadata"]
            namespace, name = meta.get("namespace"), meta["name"]
            if (namespace, name) != own_deployment and self._serves(workload, model.name):
                conflicts.append(f"Deployment {namespace}/{name} serves a model of that name")
        return conflicts

    def _serves(self, workload: Manifest, model: str) -> bool:
        """Whether a workload says, in any of three places, that it serves the model."""
        template = workload["spec"].get("template") or {}
        names = (
            self.lookup.model_name(workload),
            self.lookup.model_name(template),
            added_model(workload),
        )
        return model in names

    def _route_conflicts(self, model: NewModel) -> list[str]:
        """Return which HTTPRoutes stand in the way of the one that the model gets."""
        conflicts = []
        for route in self.lookup.kube.select(*HTTP_ROUTE):
            name = route["metadata"]["name"]
            is_own_route = added_model(route) == model.name
            if is_own_route and self.lookup.is_routed_by_controller(model):
                problem = f"an older devenv created HTTPRoute {name}, as the controller does now"
                conflicts.append(f"{problem}: {_removal_hint(model)}")
            has_its_name = name == model.route_name and not is_own_route
            if has_its_name and model.name not in asked_models(route):
                conflicts.append(
                    f"HTTPRoute {name} already exists and does not lead to a model of that name"
                )
        return conflicts


def _require_valid_namespace(namespace: str) -> None:
    if not _NAMESPACE.fullmatch(namespace):
        raise DevenvError(f"{namespace!r} is not a valid namespace.", exit_code=Exit.USAGE)


def _port_problems(model: NewModel, existing: Manifest) -> list[str]:
    port = labelled_port(existing)
    if port == str(model.port):
        return []
    reason = "AIBrix's controller never changes a route that it created"
    return [f"it already exists with port {port}, and {reason}: {_removal_hint(model)}"]


def _removal_hint(model: NewModel) -> str:
    return f"run `devenv model rm {model.name}` first"
