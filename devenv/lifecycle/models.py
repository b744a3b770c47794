"""Models in the cluster: added as AIBrix discovers them, listed as each part of it sees them, removed.

Two paths lead to a model, and neither knows of the other: the plugin finds pods by their label, the controller makes a route
from a Deployment's, to a Service that is named like the model (docs/facts/aibrix.md). A mistake in one is silent in the other.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from devenv.errors import DevenvError, Exit
from devenv.facts.labels import (
    LABEL_VALUE,
    MODEL,
    PORT,
    SERVICE,
    asked_models,
    by_storm_service,
    is_ready,
    model_name,
    route_of,
    service_name,
)
from devenv.facts.live import Proof
from devenv.facts.trouble import Trouble
from devenv.gates import ready
from devenv.gates.headers import resolve
from devenv.gates.live import Prober
from devenv.lifecycle.manifests import IMAGES_NOTE
from devenv.lifecycle.steps import step
from devenv.ports import Clock, Kube, Manifest, Reporter
from devenv.profiles.headers import Headers
from devenv.profiles.model import LiveRequest, Profile, Route
from devenv.wait import Deadline, until

MOCK = "devenv.local/vllm-mock:reference"
_OWNER = {"app.kubernetes.io/managed-by": "devenv"}
# annotation: the model's name, which a label can't always hold.
_MODEL = "devenv/model"
# As model hubs have them.
_ANNOTATED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@+-]{0,252}")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# With `-router` behind it, it is a name of at most 63.
_SERVICE = re.compile(r"[a-z]([-a-z0-9]{0,54}[a-z0-9])?")
_ROUTES, _GRANTS = (
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("gateway.networking.k8s.io/v1beta1", "ReferenceGrant"),
)
_DEPLOYMENT = ("apps/v1", "Deployment")
# Seconds for the controller to make a route, and for Envoy Gateway to accept it.
_ROUTE_WAIT = 60.0
# Seconds for what was removed to be gone.
_GONE = 60.0
# Seconds for the live requests.
_PROOF = 60.0
_READY = ["Accepted", "ResolvedRefs"]


@dataclass(frozen=True)
class Wanted:
    """A model to add. `image` is empty for a mock."""

    name: str
    image: str = ""
    replicas: int = 1
    port: int = 8000
    namespace: str = "default"
    # Of the engine: another image of the same name replaces the pods.
    image_id: str = ""

    @property
    def slug(self) -> str:
        """A name for its objects: its own where Kubernetes takes it for a Service's."""
        if _SERVICE.fullmatch(self.name):
            return self.name
        plain = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")[:40].strip("-")
        return f"m-{plain}-{hashlib.sha256(self.name.encode()).hexdigest()[:6]}".replace("--", "-")

    @property
    def own_name(self) -> bool:
        """Whether its objects can have the model's own name."""
        return self.slug == self.name


@dataclass(frozen=True)
class Seen:
    """A model as each part of AIBrix sees it; a part that does not see it says why."""

    name: str
    # Ready, all: what the plugin finds.
    pods: tuple[int, int]
    # What the controller finds.
    workloads: tuple[str, ...]
    route: str
    service: str
    proofs: tuple[Proof, ...]
    ours: bool

    @property
    def answers(self) -> bool:
        """Whether it answers in each way that it should."""
        return bool(self.proofs) and all(p.ok for p in self.proofs)


@dataclass(frozen=True)
class Models:
    """The models of one cluster."""

    cluster: str
    profile: Profile
    kube: Kube
    clock: Clock
    reporter: Reporter
    prober: Callable[[], Prober]
    # of the requests, such as an API key; where none are given, those of the profile's requests
    headers: Headers = field(default_factory=dict)

    def check(self, model: Wanted) -> None:
        """Refuse what can't be added, with all that is wrong."""
        problems = list(resolve(self.requests(model.name, "", anonymous=True)[0]).problems)
        if not _NAMESPACE.fullmatch(model.namespace):
            raise DevenvError(
                f"{model.namespace!r} is no name of a namespace.", exit_code=Exit.USAGE
            )
        problems += self._misnamed(model.name)
        for kind in (_DEPLOYMENT, ("v1", "Service")):
            existing = self.kube.get(*kind, model.namespace, model.slug)
            if existing is not None and not _ours(existing):
                problems.append(
                    f"{kind[1]} {model.namespace}/{model.slug} is there already, and devenv did not make it"
                )
            elif (
                existing is not None
                and kind is _DEPLOYMENT
                and (port := _port(existing)) != str(model.port)
            ):
                problems.append(
                    f"it is there with port {port}, and AIBrix's controller does not change a route that it has made:"
                    f" `devenv model rm {model.name}` first"
                )
        if self.kube.get("v1", "Namespace", "", model.namespace) is None:
            problems.append(f"there is no namespace {model.namespace}")
        problems += self._taken(model) if model.name else []
        if problems:
            what = f"The model {model.name} can't be added."
            raise DevenvError(what, "\n".join(problems), "Nothing was changed.", Exit.USAGE)

    def _misnamed(self, name: str) -> list[str]:
        """Return why AIBrix could not find a model of that name, nothing where it could."""
        if LABEL_VALUE.fullmatch(name) or (self._annotated and _ANNOTATED.fullmatch(name)):
            return []
        if self._annotated:
            return [f"{name!r} is no model's name: at most 253 letters, digits and . _ / : @ + -"]
        who = f"{self.profile.base} {self.profile.version}".rstrip()
        rule = "at most 63 letters, digits, '-', '_' and '.'"
        return [f"{name!r} can't be a label's value ({rule}), by which {who} finds a model's pods"]

    def _taken(self, model: Wanted) -> list[str]:
        """Return who else has the model's name: its controller would take away the route of one when the other goes."""
        own_deployment = (model.namespace, model.slug)
        conflicts = []
        for workload in self.kube.select(*_DEPLOYMENT):
            meta = workload["metadata"]
            template = workload["spec"].get("template") or {}
            serves = model.name in {self._name(workload), self._name(template)} | _noted(workload)
            if serves and (meta.get("namespace"), meta["name"]) != own_deployment:
                conflicts.append(
                    f"Deployment {meta.get('namespace')}/{meta['name']} serves a model of that name"
                )
        for route in self.kube.select(*_ROUTES):
            name, is_own_route = route["metadata"]["name"], _adds(route, model.name)
            if (
                name == f"{model.slug}-router"
                and not is_own_route
                and model.name not in asked_models(route)
            ):
                conflicts.append(
                    f"HTTPRoute {name} is there already, and is none of a model of that name"
                )
            if is_own_route and self._by_controller(model):
                conflicts.append(
                    f"an older devenv made HTTPRoute {name} for it, where the controller makes one now:"
                    f" `devenv model rm {model.name}` first"
                )
        return conflicts

    def add(self, model: Wanted) -> list[Proof]:
        """Add it, and return when its route is there and it has answered. Raises DevenvError with what is missing."""
        by_controller = self._by_controller(model)
        if self._controlled and not by_controller:
            self.reporter.say(
                f"{model.name} is no name for a Service, so the controller can make no route for it: devenv makes one, and"
                " requests with neither header stay without an answer (aibrix#1691)."
            )
        with step(self.reporter, f"apply {model.name}") as note:
            deployment = _deployment(model, is_visible=by_controller or model.own_name)
            objects = [deployment, _service(model)]
            if not by_controller:
                objects += self._own_route(model)
            for obj in objects:
                self.kube.apply(obj)
            note.append(f"{len(objects)} objects")
        self._await_pods(model)
        self._await_route(model, by_controller=by_controller)
        with step(self.reporter, "live requests") as note:
            proofs = self._prove(model)
            note.append(f"{len(proofs)} of {len(proofs)} proved their routes")
        return proofs

    @property
    def _controlled(self) -> bool:
        """Whether AIBrix's controller is there, which makes routes."""
        return any(c.made and c.resource.kind == "HTTPRoute" for c in self.profile.components)

    @property
    def _annotated(self) -> bool:
        """Whether this AIBrix reads names from annotations, too."""
        return self.profile.model_annotations

    def _by_controller(self, model: Wanted) -> bool:
        """Whether AIBrix's controller makes a route for the model that leads to its Service."""
        return self._controlled and (model.own_name or self._annotated)

    def _name(self, obj: Mapping[str, Any]) -> str:
        return model_name(obj, annotated=self._annotated)

    def _route(self, name: str) -> Manifest | None:
        """Return the HTTPRoute that leads to a model."""
        namespace = self.profile.gateway.namespace
        return route_of(name, self.kube.select(*_ROUTES, namespace), namespace)

    def _await_pods(self, model: Wanted) -> None:
        def missing() -> str:
            deployment = self.kube.get(*_DEPLOYMENT, model.namespace, model.slug)
            return ready.workload(deployment) if deployment else "it does not exist"

        with step(self.reporter, "pods"):
            try:
                until(
                    "The model's workload",
                    missing,
                    Deadline(self.clock, 240),
                    f"Look at it: {self._look(model)}",
                )
            except DevenvError as error:
                deployment = self.kube.get(*_DEPLOYMENT, model.namespace, model.slug)
                error.why = "\n".join(
                    [error.why, *(Trouble(self.kube).lines(deployment) if deployment else [])]
                )
                error.next_step = (
                    f"{error.next_step}\nIt stays until `devenv model rm {model.name}`.".strip()
                )
                raise

    def _look(self, model: Wanted) -> str:
        return f"kubectl --context kind-{self.cluster} -n {model.namespace} describe deployment {model.slug}"

    def _await_route(self, model: Wanted, *, by_controller: bool) -> None:
        name = f"{model.slug}-router" if model.own_name or not by_controller else ""

        def missing() -> str:
            route = self._route(model.name)
            if route is None:
                missing_route = (
                    f"HTTPRoute {name}" if name else f"an HTTPRoute for model: {model.name}"
                )
                return missing_route + (", which the controller makes" if by_controller else "")
            return ready.parents(route, _READY)

        hint = "See what `devenv doctor` says."
        if by_controller and not model.own_name:
            hint += (
                " A checkout older than main of August 2026 makes none for such a name: a cluster that"
                " is made with --aibrix-version gets a route of devenv's own instead."
            )
        with step(self.reporter, "route"):
            until("The model's route", missing, Deadline(self.clock, _ROUTE_WAIT), hint)

    def _prove(self, model: Wanted) -> list[Proof]:
        requests = self.requests(model.name, self.route_of(model.name), anonymous=bool(model.image))
        hint = "See what `devenv doctor` and `devenv model list` say."
        return self.prober().prove_all("The model", requests, _PROOF, hint)

    def requests(
        self, name: str, route: str, *, anonymous: bool, routed: bool = True
    ) -> list[LiveRequest]:
        """Return a request of each kind that AIBrix can answer for the model.

        `routed`: whether it has a route at all; a StormService's model has none.
        """
        # Without annotations its plugin looks for a route of the model's own name.
        plain = not self._controlled or self._annotated or Wanted(name).own_name
        kinds = (
            [Route.DIRECT, Route.EXTENSION, Route.PLAIN]
            if plain
            else [Route.DIRECT, Route.EXTENSION]
        )
        if not routed:
            kinds = [Route.EXTENSION]
        headers = self.headers or self.profile.headers_of(name)
        return [
            LiveRequest(
                name=kind.value,
                route=kind,
                model=name,
                by=route,
                anonymous=anonymous,
                headers=headers,
            )
            for kind in kinds
        ]

    def route_of(self, name: str) -> str:
        """Return the name of the HTTPRoute that a model's requests go by."""
        route = self._route(name)
        return str(route["metadata"]["name"]) if route else f"{name}-router"

    def look(self) -> list[Seen]:
        """Return every model that any part of AIBrix knows of, with a request of each kind to those that have a pod."""
        selector = "" if self._annotated else MODEL
        pods = [p for p in self.kube.select("v1", "Pod", selector=selector) if self._counts(p)]
        workloads = [w for w in self.kube.select(*_DEPLOYMENT, selector=selector) if self._name(w)]
        routes = self.kube.select(*_ROUTES)
        added_names = self._ours()
        routed_names = {model for route in routes for model in asked_models(route)}
        names = sorted(
            {*map(self._name, pods), *map(self._name, workloads), *routed_names, *added_names}
        )
        return [self._seen(name, pods, workloads, routes, added_names) for name in names]

    def _counts(self, pod: Manifest) -> bool:
        """Whether a pod names a model, and stays."""
        return bool(self._name(pod)) and "deletionTimestamp" not in pod["metadata"]

    def _seen(
        self,
        name: str,
        pods: Sequence[Manifest],
        workloads: Sequence[Manifest],
        routes: Sequence[Manifest],
        added_names: set[str],
    ) -> Seen:
        model_pods = [p for p in pods if self._name(p) == name]
        deployments = [w for w in workloads if self._name(w) == name]
        ready_pods = [p for p in model_pods if is_ready(p)]
        route = route_of(name, routes, self.profile.gateway.namespace)
        routed = route is not None or not by_storm_service(model_pods)
        route_name = route["metadata"]["name"] if route else f"{name}-router"
        requests = self.requests(name, route_name, anonymous=True, routed=routed)
        return Seen(
            name,
            (len(ready_pods), len(model_pods)),
            tuple(f"{w['metadata']['namespace']}/{w['metadata']['name']}" for w in deployments),
            _state(route, routed=routed),
            self._service(route, self._named_service(deployments) or name, model_pods),
            tuple(self.prober().probe(requests) if ready_pods else []),
            name in added_names,
        )

    def _named_service(self, workloads: Sequence[Manifest]) -> str:
        """Return the Service that a model's Deployment names; "" for none."""
        return next(filter(None, map(service_name, workloads)), "") if self._annotated else ""

    def _service(self, route: Manifest | None, name: str, pods: Sequence[Manifest]) -> str:
        targets = [(b.get("namespace"), b["name"]) for b in _backends(route)] if route else []
        targets = targets or [
            (namespace, name) for namespace in {p["metadata"]["namespace"] for p in pods}
        ]
        for namespace, service in targets:
            where = str(namespace or self.profile.gateway.namespace)
            if self.kube.get("v1", "Service", where, service) is not None:
                return f"{where}/{service}"
        return f"none is named {targets[0][1] if targets else name}"

    def objects(self, name: str) -> list[Manifest]:
        """Return what `remove` would remove. Raises DevenvError where devenv has not added the model."""
        kinds = (_DEPLOYMENT, ("v1", "Service"), _ROUTES)
        # A list's items do not say what they are.
        objects = [
            {**o, "apiVersion": version, "kind": kind}
            for version, kind in kinds
            for o in self.kube.select(version, kind)
            if _adds(o, name)
        ]
        if not objects:
            added_names = ", ".join(s for s in sorted(self._ours())) or "none"
            what = f"devenv has not added a model {name}."
            raise DevenvError(
                what,
                f"It has added: {added_names}.",
                "`devenv model list` shows all of them.",
                Exit.USAGE,
            )
        return objects

    def _ours(self) -> set[str]:
        return {
            str(d["metadata"]["annotations"][_MODEL])
            for d in self.kube.select(*_DEPLOYMENT)
            if _ours(d)
        }

    def remove(self, name: str, objects: Sequence[Manifest]) -> None:
        """Remove these, and return when the model's route is gone, too."""
        for obj in objects:
            meta = obj["metadata"]
            with step(self.reporter, f"remove {obj['kind']} {meta['namespace']}/{meta['name']}"):
                self.kube.delete(obj["apiVersion"], obj["kind"], meta["namespace"], meta["name"])

        def left() -> str:
            routes = [
                r["metadata"]["name"] for r in self.kube.select(*_ROUTES) if name in asked_models(r)
            ]
            return f"HTTPRoute {', '.join(routes)} to be gone" if routes else ""

        with step(self.reporter, "route"):
            until(
                "The end of the model's route",
                left,
                Deadline(self.clock, _GONE),
                "See what `devenv doctor` says.",
            )

    def _own_route(self, model: Wanted) -> list[Manifest]:
        """Return the route and the grant that the controller would make."""
        system = self.profile.gateway.namespace
        match = {"headers": [{"name": "model", "value": model.name}]}
        paths = ("/v1/completions", "/v1/chat/completions", "/v1/embeddings")
        rule = {
            "matches": [{"path": {"type": "PathPrefix", "value": path}, **match} for path in paths],
            "backendRefs": [{"name": model.slug, "namespace": model.namespace, "port": model.port}],
        }
        route = _object(_ROUTES, f"{model.slug}-router", system, model, spec={
            "parentRefs": [{"name": self.profile.gateway.name}], "rules": [rule]
        })  # fmt: skip
        grant = {
            "apiVersion": _GRANTS[0], "kind": _GRANTS[1],
            "metadata": {"name": f"{system}-reserved-referencegrant-in-{model.namespace}", "namespace": model.namespace},
            "spec": {
                "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": system}],
                "to": [{"group": "", "kind": "Service"}],
            },
        }  # fmt: skip
        return [route, *([] if model.namespace == system else [grant])]


def _object(
    kind: tuple[str, str], name: str, namespace: str, model: Wanted, **fields: Any
) -> Manifest:
    meta = {
        "name": name,
        "namespace": namespace,
        "labels": dict(_OWNER),
        "annotations": {_MODEL: model.name},
    }
    return {"apiVersion": kind[0], "kind": kind[1], "metadata": meta, **fields}


def _state(route: Manifest | None, *, routed: bool) -> str:
    """Return what is to be said of a model's route."""
    if route is not None:
        return ready.parents(route, _READY) or "accepted"
    return "none" if routed else "none, by design: a StormService serves it"


def _named(model: Wanted, *, is_visible: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Return labels and annotations by which AIBrix finds the model and its Service."""
    labels: dict[str, str] = {PORT: str(model.port)}
    annotations: dict[str, str] = {}
    target = labels if LABEL_VALUE.fullmatch(model.name) else annotations
    target[MODEL] = model.name
    if is_visible and not model.own_name:
        annotations[SERVICE] = model.slug
    return labels, annotations


def _deployment(model: Wanted, *, is_visible: bool) -> Manifest:
    """Return the model's Deployment. `is_visible`: whether the controller is to see a model in it."""
    labels, annotations = _named(model, is_visible=is_visible)
    container: dict[str, Any] = {
        "name": "llm-engine",
        "image": model.image or MOCK,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": model.port}],
        "readinessProbe": {"tcpSocket": {"port": model.port}, "periodSeconds": 2},
    }
    if not model.image:
        container["env"] = [
            {"name": "MODEL_NAME", "value": model.name},
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ]
        # Envoy learns a moment later that it ends.
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": 3}}}
    notes = annotations | ({IMAGES_NOTE: model.image_id} if model.image_id else {})
    meta = {"labels": {"app": model.slug, **labels}, **({"annotations": notes} if notes else {})}
    spec = {
        "replicas": model.replicas,
        "selector": {"matchLabels": {"app": model.slug}},
        "template": {"metadata": meta, "spec": {"containers": [container]}},
    }
    deployment = _object(_DEPLOYMENT, model.slug, model.namespace, model, spec=spec)
    deployment["metadata"]["labels"] |= labels
    deployment["metadata"]["annotations"] |= annotations
    # The controller would make a route to a Service that can't be, beside devenv's own.
    if not is_visible:
        deployment["metadata"]["labels"].pop(MODEL, None)
        deployment["metadata"]["annotations"].pop(MODEL, None)
    return deployment


def _service(model: Wanted) -> Manifest:
    ports = [{"name": "http", "port": model.port, "targetPort": model.port}]
    return _object(
        ("v1", "Service"),
        model.slug,
        model.namespace,
        model,
        spec={"selector": {"app": model.slug}, "ports": ports},
    )


def _ours(obj: Manifest) -> bool:
    return _MODEL in (obj["metadata"].get("annotations") or {})


def _adds(obj: Manifest, name: str) -> bool:
    return (obj["metadata"].get("annotations") or {}).get(_MODEL) == name


def _port(obj: Manifest) -> str:
    return str((obj["metadata"].get("labels") or {}).get(PORT, "8000"))


def _noted(obj: Manifest) -> set[str]:
    return {str(name) for name in [(obj["metadata"].get("annotations") or {}).get(_MODEL)] if name}


def _backends(route: Manifest) -> list[dict[str, Any]]:
    return [b for rule in route["spec"].get("rules") or () for b in rule.get("backendRefs") or ()]
