"""Manifests into the cluster, and the wait for what they make."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from devenv.errors import DevenvError
from devenv.facts.trouble import Trouble
from devenv.gates import ready
from devenv.images.load import normalise
from devenv.lifecycle import manifests
from devenv.lifecycle.context import Context
from devenv.lifecycle.watch import Watch
from devenv.ports import Kube, Manifest
from devenv.profiles.model import Component
from devenv.wait import Deadline, until

# Seconds for an image to be in the nodes.
_IMAGES = 600.0
# Seconds for a Secret that a workload mounts: Envoy Gateway's certificates are there after about 4.
_SECRETS = 60.0
# Seconds for the gateway's controller and the cluster's DNS, about 5 s after the node is ready.
_CONTROLLER = 60.0
# The query's ID, with which its answer begins.
_ANSWER = "aa bb"
# One query by TCP: its length, its ID, one question: the address of kubernetes.default.svc.cluster.local
_ASK = r"""
exec 3<>"/dev/tcp/$1/53" || exit
printf '\x00\x36\xaa\xbb\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00' >&3
printf '\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01' >&3
head -c 4 <&3 | od -An -tx1
"""
_KNOCK = 'exec 3<>"/dev/tcp/$1/$2"'
# Seconds for the API server to know new kinds.
_ESTABLISHED = 60.0
_CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")

# A step's work; it gets the list for its note.
Run = Callable[[list[str]], None]


@dataclass(frozen=True)
class Applying:
    """Applies on the server's side, and waits at gates."""

    context: Context

    def definitions(self, objects: list[Manifest], note: list[str]) -> None:
        """Apply namespaces and CRDs; return when the API server knows the new kinds."""
        for obj in objects:
            self.context.kube.apply(obj)
        names = [o["metadata"]["name"] for o in objects if o["kind"] == _CRD[1]]
        until(
            "The definitions",
            lambda: self._unestablished(names),
            Deadline(self.context.clock, _ESTABLISHED),
        )
        note.append(f"{len(names)} CRDs established")

    def _unestablished(self, names: list[str]) -> str:
        definitions = {o["metadata"]["name"]: o for o in self.context.kube.select(*_CRD)}
        return ", ".join(
            n
            for n in names
            if n not in definitions or ready.conditions(definitions[n], ["Established"])
        )

    def source(self, objects: list[Manifest]) -> Run:
        """Return the work of applying one source's objects, each when its images are in the nodes and not before.

        A workload that finds no image goes into pull back-off and loses 10 to 20 s (docs/facts/gateway.md).
        """
        context = self.context
        brought = {normalise(i.ref) for i in context.profile.cluster_images}

        def run(note: list[str]) -> None:
            # Nobody else need wait as it does.
            for obj in sorted(objects, key=lambda o: bool(o["kind"] == "Gateway")):
                context.arrivals.wait_for(set(manifests.images_in(obj)) & brought, _IMAGES)
                # Not before: it is what was loaded by then.
                ids = self.ids()
                if obj["kind"] == "Gateway":
                    self._await_controller(obj)
                self._await_secrets(
                    obj, [manifests.stamped(o, ids) for o in objects if o["kind"] == "Job"]
                )
                context.kube.apply(manifests.stamped(obj, ids))
            note.append(f"{len(objects)} objects")

        return run

    def ids(self) -> dict[str, str]:
        """Return what tells each image in the nodes from the one before it: name there → the engine's ID, and what else."""
        return self.context.records.ids(self.context.cluster, self.context.profile)

    def _await_secrets(self, obj: Manifest, jobs: list[Manifest]) -> None:
        """Give the Secrets that a workload mounts a moment to be made: a kubelet that finds none backs off, up to 16 s.

        Nothing is lost where one never comes: the workload's own gate says so.
        """
        context, namespace = self.context, obj["metadata"].get("namespace", "")
        secret_names = manifests.secrets_in(obj)

        def missing() -> str:
            missing_secrets = [
                n for n in secret_names if context.kube.get("v1", "Secret", namespace, n) is None
            ]
            if missing_secrets:
                self._renew(jobs)
            return ", ".join(missing_secrets)

        if secret_names:
            with suppress(DevenvError):
                until("Its secrets", missing, Deadline(context.clock, _SECRETS))
            context.clock.check()

    def _await_controller(self, gateway: Manifest) -> None:
        """Give the cluster's DNS and what the Gateway's component stands on a moment before the proxy is brought.

        A proxy that can't look up or reach its controller at once tries again only 10 to 20 s later. Nothing is lost where
        they never come: their own gates say so.
        """
        context, meta = self.context, gateway["metadata"]
        components = {c.name: c for c in context.profile.components}
        gateway_components = [
            c
            for c in components.values()
            if c.resource.kind == gateway["kind"] and c.resource.names(meta)
        ]
        dependencies = [components[name] for c in gateway_components for name in c.after]

        def missing() -> str:
            unready = [c.name for c in dependencies if ready.missing(c, find(context.kube, c))]
            return ", ".join(unready) or self._names_missing()

        with suppress(DevenvError):
            until("What the proxy needs", missing, Deadline(context.clock, _CONTROLLER))
        context.clock.check()

    def _names_missing(self) -> str:
        """Ask the cluster's DNS from a node, through the same rules as its pods: that it is ready is not enough."""
        context = self.context
        address = str(
            (
                (context.kube.get("v1", "Service", "kube-system", "kube-dns") or {}).get("spec")
                or {}
            ).get("clusterIP")
        )
        answer = context.containers.exec(
            context.nodes()[0].name, ["timeout", "3", "bash", "-c", _ASK, "ask", address]
        )
        return "" if _ANSWER in answer.output else "an answer from the cluster's DNS"

    def _renew(self, jobs: list[Manifest]) -> None:
        """Run those Jobs again that failed, since they make what is waited for.

        Where the node has just begun, their pods don't reach the API server yet, and they would try again only 10 s later.
        """
        kube = self.context.kube
        for job in jobs:
            existing = kube.get(*manifests.key(job))
            # Not run yet, or removed after its time to live.
            if existing is None:
                kube.apply(job)
            elif (existing.get("status") or {}).get("failed"):
                kube.delete(*manifests.key(job))

    def gate(self, component: Component) -> Run:
        """Return the work of waiting for one component. Where it is in vain, the error has what the component says."""
        context, r = self.context, component.resource
        hint = f"Look at it: kubectl --context kind-{context.cluster} -n {r.namespace} describe {r.kind.lower()}"
        watch = Watch(context.kube, context.clock)

        def missing() -> str:
            objects = find(context.kube, component)
            shortfall = ready.missing(component, objects)
            if shortfall and component.gate == "workload":
                for workload in objects:
                    watch.look(r.kind, workload)
            return shortfall or self._unreachable(component)

        def run(_: list[str]) -> None:
            try:
                until(
                    f"{component.name} ({r})",
                    missing,
                    Deadline(context.clock, component.deadline),
                    hint,
                )
            except DevenvError as error:
                error.why = "\n".join([error.why, *self._trouble(component)])
                raise

        return run

    def _unreachable(self, component: Component) -> str:
        """Knock at a Service from the API server's own node: kube-proxy's rules come up to a second after its endpoints.

        An API server that can't reach a webhook yet lets what it should have seen pass, where it is told to ignore failures.
        """
        context, r = self.context, component.resource
        if component.gate != "endpoints":
            return ""
        service = context.kube.get("v1", "Service", r.namespace, r.selector.partition("=")[2]) or {}
        address = str((service.get("spec") or {}).get("clusterIP"))
        ports = [str(p["port"]) for p in (service.get("spec") or {}).get("ports") or ()]
        for node in (n.name for n in context.nodes() if "control-plane" in n.name):
            for port in ports:
                if (
                    context.containers.exec(
                        node, ["timeout", "3", "bash", "-c", _KNOCK, "knock", address, port]
                    ).code
                    != 0
                ):
                    return f"no answer at {address}:{port} from {node}"
        return ""

    def _trouble(self, component: Component) -> list[str]:
        """What the component itself has to say, where it is a workload and its cluster still answers."""
        if component.gate != "workload":
            return []
        try:
            workloads = find(self.context.kube, component)
        except DevenvError:
            return []
        return [
            line for workload in workloads for line in Trouble(self.context.kube).lines(workload)
        ]


def find(kube: Kube, component: Component) -> list[Manifest]:
    """Return the component's objects."""
    r = component.resource
    if r.selector:
        return kube.select(r.api_version, r.kind, r.namespace, r.selector)
    obj = kube.get(r.api_version, r.kind, r.namespace, r.name)
    return [obj] if obj else []
