"""Models in the cluster: added as AIBrix discovers them, listed as each part of it sees them, removed.

Two paths lead to a model, and neither knows of the other: the plugin finds pods by their label, the controller makes a route
from a Deployment's, to a Service that is named like the model (facts/aibrix.md). A mistake in one is silent in the other.
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
_MODEL = "devenv/model"  # annotation: the model's name, which a label can't always hold
_ANNOTATED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@+-]{0,252}")  # as model hubs have them
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SERVICE = re.compile(
    r"[a-z]([-a-z0-9]{0,54}[a-z0-9])?"
)  # with `-router` behind it, it is a name of at most 63
_ROUTES, _GRANTS = (
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("gateway.networking.k8s.io/v1beta1", "ReferenceGrant"),
)
_DEPLOYMENT = ("apps/v1", "Deployment")
_ROUTE_WAIT = 60.0  # seconds for the controller to make a route, and for Envoy Gateway to accept it
_GONE = 60.0  # seconds for what was removed to be gone
_PROOF = 60.0  # seconds for the live requests
_READY = ["Accepted", "ResolvedRefs"]


@dataclass(frozen=True)
class Wanted:
    """A model to add. `image` is empty for a mock."""

    name: str
    image: str = ""
    replicas: int = 1
    port: int = 8000
    namespace: str = "default"
    image_id: str = ""  # of the engine: another image of the same name replaces the pods

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
    pods: tuple[int, int]  # ready, all: what the plugin finds
    workloads: tuple[str, ...]  # what the controller finds
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

    def check(self, wanted: Wanted) -> None:
        """Refuse what can't be added, with all that is wrong."""
        problems = list(resolve(self.requests(wanted.name, "", anonymous=True)[0]).problems)
        if not _NAMESPACE.fullmatch(wanted.namespace):
            raise DevenvError(
                f"{wanted.namespace!r} is no name of a namespace.", exit_code=Exit.USAGE
            )
        problems += self._misnamed(wanted.name)
        for kind in (_DEPLOYMENT, ("v1", "Service")):
            there = self.kube.get(*kind, wanted.namespace, wanted.slug)
            if there is not None and not _ours(there):
                problems.append(
                    f"{kind[1]} {wanted.namespace}/{wanted.slug} is there already, and devenv did not make it"
                )
            elif (
                there is not None
                and kind is _DEPLOYMENT
                and (port := _port(there)) != str(wanted.port)
            ):
                problems.append(
                    f"it is there with port {port}, and AIBrix's controller does not change a route that it has made:"
                    f" `devenv model rm {wanted.name}` first"
                )
        if self.kube.get("v1", "Namespace", "", wanted.namespace) is None:
            problems.append(f"there is no namespace {wanted.namespace}")
        problems += self._taken(wanted) if wanted.name else []
        if problems:
            what = f"The model {wanted.name} can't be added."
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

    def _taken(self, wanted: Wanted) -> list[str]:
        """Return who else has the model's name: its controller would take away the route of one when the other goes."""
        own = (wanted.namespace, wanted.slug)
        found = []
        for workload in self.kube.select(*_DEPLOYMENT):
            meta = workload["metadata"]
            template = workload["spec"].get("template") or {}
            serves = wanted.name in {self._name(workload), self._name(template)} | _noted(workload)
            if serves and (meta.get("namespace"), meta["name"]) != own:
                found.append(
                    f"Deployment {meta.get('namespace')}/{meta['name']} serves a model of that name"
                )
        for route in self.kube.select(*_ROUTES):
            name, ours = route["metadata"]["name"], _adds(route, wanted.name)
            if (
                name == f"{wanted.slug}-router"
                and not ours
                and wanted.name not in asked_models(route)
            ):
                found.append(
                    f"HTTPRoute {name} is there already, and is none of a model of that name"
                )
            if ours and self._by_controller(wanted):
                found.append(
                    f"an older devenv made HTTPRoute {name} for it, where the controller makes one now:"
                    f" `devenv model rm {wanted.name}` first"
                )
        return found

    def add(self, wanted: Wanted) -> list[Proof]:
        """Add it, and return when its route is there and it has answered. Raises DevenvError with what is missing."""
        by_controller = self._by_controller(wanted)
        if self._controlled and not by_controller:
            self.reporter.say(
                f"{wanted.name} is no name for a Service, so the controller can make no route for it: devenv makes one, and"
                " requests with neither header stay without an answer (aibrix#1691)."
            )
        with step(self.reporter, f"apply {wanted.name}") as note:
            deployment = _deployment(wanted, seen=by_controller or wanted.own_name)
            objects = [deployment, _service(wanted)]
            if not by_controller:
                objects += self._own_route(wanted)
            for obj in objects:
                self.kube.apply(obj)
            note.append(f"{len(objects)} objects")
        self._await_pods(wanted)
        self._await_route(wanted, by_controller=by_controller)
        with step(self.reporter, "live requests") as note:
            proofs = self._prove(wanted)
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

    def _by_controller(self, wanted: Wanted) -> bool:
        """Whether AIBrix's controller makes a route for the model that leads to its Service."""
        return self._controlled and (wanted.own_name or self._annotated)

    def _name(self, obj: Mapping[str, Any]) -> str:
        return model_name(obj, annotated=self._annotated)

    def _route(self, name: str) -> Manifest | None:
        """Return the HTTPRoute that leads to a model."""
        namespace = self.profile.gateway.namespace
        return route_of(name, self.kube.select(*_ROUTES, namespace), namespace)

    def _await_pods(self, wanted: Wanted) -> None:
        def missing() -> str:
            found = self.kube.get(*_DEPLOYMENT, wanted.namespace, wanted.slug)
            return ready.workload(found) if found else "it does not exist"

        with step(self.reporter, "pods"):
            try:
                until(
                    "The model's workload",
                    missing,
                    Deadline(self.clock, 240),
                    f"Look at it: {self._look(wanted)}",
                )
            except DevenvError as error:
                found = self.kube.get(*_DEPLOYMENT, wanted.namespace, wanted.slug)
                error.why = "\n".join(
                    [error.why, *(Trouble(self.kube).lines(found) if found else [])]
                )
                error.next_step = (
                    f"{error.next_step}\nIt stays until `devenv model rm {wanted.name}`.".strip()
                )
                raise

    def _look(self, wanted: Wanted) -> str:
        return f"kubectl --context kind-{self.cluster} -n {wanted.namespace} describe deployment {wanted.slug}"

    def _await_route(self, wanted: Wanted, *, by_controller: bool) -> None:
        name = f"{wanted.slug}-router" if wanted.own_name or not by_controller else ""

        def missing() -> str:
            found = self._route(wanted.name)
            if found is None:
                lacking = f"HTTPRoute {name}" if name else f"an HTTPRoute for model: {wanted.name}"
                return lacking + (", which the controller makes" if by_controller else "")
            return ready.parents(found, _READY)

        look = "See what `devenv doctor` says."
        if by_controller and not wanted.own_name:
            look += (
                " A checkout older than main of August 2026 makes none for such a name: a cluster that"
                " is made with --aibrix-version gets a route of devenv's own instead."
            )
        with step(self.reporter, "route"):
            until("The model's route", missing, Deadline(self.clock, _ROUTE_WAIT), look)

    def _prove(self, wanted: Wanted) -> list[Proof]:
        requests = self.requests(
            wanted.name, self.route_of(wanted.name), anonymous=bool(wanted.image)
        )
        look = "See what `devenv doctor` and `devenv model list` say."
        return self.prober().prove_all("The model", requests, _PROOF, look)

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
        found = self._route(name)
        return str(found["metadata"]["name"]) if found else f"{name}-router"

    def look(self) -> list[Seen]:
        """Return every model that any part of AIBrix knows of, with a request of each kind to those that have a pod."""
        selector = "" if self._annotated else MODEL
        pods = [p for p in self.kube.select("v1", "Pod", selector=selector) if self._counts(p)]
        workloads = [w for w in self.kube.select(*_DEPLOYMENT, selector=selector) if self._name(w)]
        routes = self.kube.select(*_ROUTES)
        mine = self._ours()
        asked = {model for route in routes for model in asked_models(route)}
        names = sorted({*map(self._name, pods), *map(self._name, workloads), *asked, *mine})
        return [self._seen(name, pods, workloads, routes, mine) for name in names]

    def _counts(self, pod: Manifest) -> bool:
        """Whether a pod names a model, and stays."""
        return bool(self._name(pod)) and "deletionTimestamp" not in pod["metadata"]

    def _seen(
        self,
        name: str,
        pods: Sequence[Manifest],
        workloads: Sequence[Manifest],
        routes: Sequence[Manifest],
        mine: set[str],
    ) -> Seen:
        own = [p for p in pods if self._name(p) == name]
        made = [w for w in workloads if self._name(w) == name]
        up = [p for p in own if is_ready(p)]
        route = route_of(name, routes, self.profile.gateway.namespace)
        routed = route is not None or not by_storm_service(own)
        by = route["metadata"]["name"] if route else f"{name}-router"
        requests = self.requests(name, by, anonymous=True, routed=routed)
        return Seen(
            name,
            (len(up), len(own)),
            tuple(f"{w['metadata']['namespace']}/{w['metadata']['name']}" for w in made),
            _state(route, routed=routed),
            self._service(route, self._named_service(made) or name, own),
            tuple(self.prober().probe(requests) if up else []),
            name in mine,
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
        found = [  # a list's items do not say what they are
            {**o, "apiVersion": version, "kind": kind}
            for version, kind in kinds
            for o in self.kube.select(version, kind)
            if _adds(o, name)
        ]
        if not found:
            known = ", ".join(s for s in sorted(self._ours())) or "none"
            what = f"devenv has not added a model {name}."
            raise DevenvError(
                what,
                f"It has added: {known}.",
                "`devenv model list` shows all of them.",
                Exit.USAGE,
            )
        return found

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

    def _own_route(self, wanted: Wanted) -> list[Manifest]:
        """Return the route and the grant that the controller would make."""
        system = self.profile.gateway.namespace
        match = {"headers": [{"name": "model", "value": wanted.name}]}
        paths = ("/v1/completions", "/v1/chat/completions", "/v1/embeddings")
        rule = {
            "matches": [{"path": {"type": "PathPrefix", "value": path}, **match} for path in paths],
            "backendRefs": [
                {"name": wanted.slug, "namespace": wanted.namespace, "port": wanted.port}
            ],
        }
        route = _object(_ROUTES, f"{wanted.slug}-router", system, wanted, spec={
            "parentRefs": [{"name": self.profile.gateway.name}], "rules": [rule]
        })  # fmt: skip
        grant = {
            "apiVersion": _GRANTS[0], "kind": _GRANTS[1],
            "metadata": {"name": f"{system}-reserved-referencegrant-in-{wanted.namespace}", "namespace": wanted.namespace},
            "spec": {
                "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": system}],
                "to": [{"group": "", "kind": "Service"}],
            },
        }  # fmt: skip
        return [route, *([] if wanted.namespace == system else [grant])]


def _object(
    kind: tuple[str, str], name: str, namespace: str, wanted: Wanted, **rest: Any
) -> Manifest:
    meta = {
        "name": name,
        "namespace": namespace,
        "labels": dict(_OWNER),
        "annotations": {_MODEL: wanted.name},
    }
    return {"apiVersion": kind[0], "kind": kind[1], "metadata": meta, **rest}


def _state(route: Manifest | None, *, routed: bool) -> str:
    """Return what is to be said of a model's route."""
    if route is not None:
        return ready.parents(route, _READY) or "accepted"
    return "none" if routed else "none, by design: a StormService serves it"


def _named(wanted: Wanted, *, seen: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Return labels and annotations by which AIBrix finds the model and its Service."""
    labels: dict[str, str] = {PORT: str(wanted.port)}
    annotations: dict[str, str] = {}
    by = labels if LABEL_VALUE.fullmatch(wanted.name) else annotations
    by[MODEL] = wanted.name
    if seen and not wanted.own_name:
        annotations[SERVICE] = wanted.slug
    return labels, annotations


def _deployment(wanted: Wanted, *, seen: bool) -> Manifest:
    """Return the model's Deployment. `seen`: whether the controller is to see a model in it."""
    labels, annotations = _named(wanted, seen=seen)
    container: dict[str, Any] = {
        "name": "llm-engine",
        "image": wanted.image or MOCK,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": wanted.port}],
        "readinessProbe": {"tcpSocket": {"port": wanted.port}, "periodSeconds": 2},
    }
    if not wanted.image:
        container["env"] = [
            {"name": "MODEL_NAME", "value": wanted.name},
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ]
        container["lifecycle"] = {
            "preStop": {"sleep": {"seconds": 3}}
        }  # Envoy learns a moment later that it ends
    notes = annotations | ({IMAGES_NOTE: wanted.image_id} if wanted.image_id else {})
    meta = {"labels": {"app": wanted.slug, **labels}, **({"annotations": notes} if notes else {})}
    spec = {
        "replicas": wanted.replicas,
        "selector": {"matchLabels": {"app": wanted.slug}},
        "template": {"metadata": meta, "spec": {"containers": [container]}},
    }
    made = _object(_DEPLOYMENT, wanted.slug, wanted.namespace, wanted, spec=spec)
    made["metadata"]["labels"] |= labels
    made["metadata"]["annotations"] |= annotations
    if (
        not seen
    ):  # the controller would make a route to a Service that can't be, beside devenv's own
        made["metadata"]["labels"].pop(MODEL, None)
        made["metadata"]["annotations"].pop(MODEL, None)
    return made


def _service(wanted: Wanted) -> Manifest:
    ports = [{"name": "http", "port": wanted.port, "targetPort": wanted.port}]
    return _object(
        ("v1", "Service"),
        wanted.slug,
        wanted.namespace,
        wanted,
        spec={"selector": {"app": wanted.slug}, "ports": ports},
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
