"""Apply the profile's manifests to the cluster, and wait for what they make."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from devenv.base.counting import counted
from devenv.base.errors import DevenvError
from devenv.base.image_names import IdsByName, normalise
from devenv.base.wait import Deadline, until
from devenv.facts.certificates import is_certgen
from devenv.facts.objects import fields_of, items_of, name_of, namespace_of
from devenv.facts.trouble import Trouble
from devenv.gates import ready
from devenv.install import manifests
from devenv.install.certificates import Certificates
from devenv.install.context import Context, is_control_plane
from devenv.install.objects import names_of
from devenv.install.watch import Watch
from devenv.ports.kube import Kube, Manifest
from devenv.profiles.model import Component

# Seconds for an image to be in the nodes.
_IMAGES_SECONDS = 600.0
# Seconds for a Secret that a workload mounts. Envoy Gateway's certificates exist after about 4.
_SECRETS_SECONDS = 60.0
# Seconds for the gateway's controller and the cluster's DNS, about 5 s after the node is ready.
_CONTROLLER_SECONDS = 60.0
# Seconds for the API server to know new kinds.
_CRDS_SECONDS = 60.0
# The ID of the DNS query, with which its answer begins.
_DNS_ANSWER = "aa bb"
# One DNS query by TCP: its length, its ID, and one question, the address of
# kubernetes.default.svc.cluster.local.
_DNS_QUERY = r"""
exec 3<>"/dev/tcp/$1/53" || exit
printf '\x00\x36\xaa\xbb\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00' >&3
printf '\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01' >&3
head -c 4 <&3 | od -An -tx1
"""
_CONNECT = 'exec 3<>"/dev/tcp/$1/$2"'
_CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")

# A step's work. It appends to the list what the step's line says at the end.
Run = Callable[[list[str]], None]


@dataclass(frozen=True)
class Applying:
    """Applies objects, by server-side apply, and waits at gates."""

    context: Context

    def definitions(self, objects: list[Manifest], note: list[str]) -> None:
        """Apply namespaces and CRDs; return when the API server knows the new kinds."""
        for obj in objects:
            self.context.kube.apply(obj)
        names = names_of(obj for obj in objects if obj["kind"] == _CRD[1])
        deadline = Deadline(self.context.clock, _CRDS_SECONDS)
        until("The definitions", lambda: self._unestablished_crds(names), deadline)
        note.append(f"{counted(len(names), 'CRD')} established")

    def _unestablished_crds(self, names: Sequence[str]) -> str:
        """Return which of these CRDs the API server does not serve yet, "" if it serves all."""
        unestablished_names = dict.fromkeys(names)
        for crd in self.context.kube.select(*_CRD):
            if not ready.conditions(crd, ["Established"]):
                unestablished_names.pop(name_of(crd), None)
        return ", ".join(unestablished_names)

    def source(self, objects: list[Manifest]) -> Run:
        """Return the step that applies one source's objects, each once its images are in the nodes.

        A workload that finds no image goes into pull back-off and loses 10 to 20 s
        (docs/facts/gateway.md).
        """
        profile_images = {normalise(i.ref) for i in self.context.profile.cluster_images}

        def run(note: list[str]) -> None:
            self._mend_certificates(objects)
            # Gateways come last: they wait for their controller, and nothing else has to.
            for obj in sorted(objects, key=_is_gateway):
                image_names = set(manifests.images_in(obj)) & profile_images
                self.context.arrivals.wait_for(image_names, _IMAGES_SECONDS)
                self._apply_once_possible(obj, objects)
            note.append(f"{counted(len(objects), 'object')}")

        return run

    def _mend_certificates(self, objects: Iterable[Manifest]) -> None:
        """Renew all of Envoy Gateway's certificates if some are missing or don't fit.

        certgen alone would make the missing ones with another CA, which neither side trusts.
        """
        context = self.context
        certificates = Certificates(context.kube, context.clock)
        for job in filter(is_certgen, objects):
            if certificates.are_broken(namespace_of(job)):
                context.arrivals.wait_for(set(manifests.images_in(job)), _IMAGES_SECONDS)
                certificates.renew(manifests.stamped(job, self.ids()))
                certificates.restart_users(namespace_of(job))

    def _apply_once_possible(self, obj: Manifest, objects: Sequence[Manifest]) -> None:
        """Apply an object, after what it needs. `objects`: all objects of its source."""
        # Read only now that the images are loaded: they are what was loaded by then.
        ids = self.ids()
        if _is_gateway(obj):
            self._await_controller(obj)
        jobs = [manifests.stamped(job, ids) for job in objects if job["kind"] == "Job"]
        self._await_secrets(obj, jobs)
        self.context.kube.apply(manifests.stamped(obj, ids))

    def ids(self) -> IdsByName:
        """Return what tells each image in the nodes from the one before it: see `Record.ids`."""
        return self.context.records.ids(self.context.cluster, self.context.profile)

    # What an object needs

    def _await_secrets(self, obj: Manifest, jobs: Sequence[Manifest]) -> None:
        """Wait a while for the Secrets that a workload mounts. `jobs` make them.

        A kubelet that does not find a Secret backs off, for up to 16 s. If a Secret never comes,
        nothing is lost: the workload's own gate says so.
        """
        namespace = namespace_of(obj)
        secret_names = manifests.secrets_in(obj)
        if not secret_names:
            return

        def is_missing(name: str) -> bool:
            return self.context.kube.get("v1", "Secret", namespace, name) is None

        def find_missing() -> str:
            missing_secrets = list(filter(is_missing, secret_names))
            if missing_secrets:
                self._run_failed_jobs_again(jobs)
            return ", ".join(missing_secrets)

        self._await_a_while("Its secrets", find_missing, _SECRETS_SECONDS)

    def _await_controller(self, gateway: Manifest) -> None:
        """Wait a while for the cluster's DNS and for what the Gateway's component depends on.

        A proxy that can't look up or reach its controller at once tries again only 10 to 20 s
        later. If they never come, nothing is lost: their own gates say so.
        """
        dependencies = self._dependencies_of(gateway)

        def find_missing() -> str:
            unready = [c.name for c in dependencies if self._find_shortfall(c)]
            return ", ".join(unready) or self._ask_dns()

        self._await_a_while("What the proxy needs", find_missing, _CONTROLLER_SECONDS)

    def _await_a_while(self, what: str, find_missing: Callable[[], str], seconds: float) -> None:
        """Wait, but go on after these seconds. Raises DevenvError if another step has failed."""
        with suppress(DevenvError):
            until(what, find_missing, Deadline(self.context.clock, seconds))
        self.context.clock.check()

    def _dependencies_of(self, gateway: Manifest) -> list[Component]:
        """Return the components that the Gateway's own component comes after."""
        components = {c.name: c for c in self.context.profile.components}
        dependencies = []
        for component in components.values():
            resource = component.resource
            if resource.kind == gateway["kind"] and resource.names(gateway["metadata"]):
                dependencies += [components[name] for name in component.after]
        return dependencies

    def _find_shortfall(self, component: Component) -> str:
        return ready.missing(component, find(self.context.kube, component))

    def _ask_dns(self) -> str:
        """Say what is missing until the cluster's DNS answers a node, "" once it does.

        A node's query goes through the same rules as a pod's. That the DNS pods are ready is not
        enough.
        """
        context = self.context
        service = context.kube.get("v1", "Service", "kube-system", "kube-dns")
        query = ["timeout", "3", "bash", "-c", _DNS_QUERY, "ask", _cluster_ip(service)]
        first_node = context.nodes()[0]
        answer = context.containers.exec(first_node.name, query)
        return "" if _DNS_ANSWER in answer.output else "an answer from the cluster's DNS"

    def _run_failed_jobs_again(self, jobs: Iterable[Manifest]) -> None:
        """Run those of the Jobs again that failed: they make what is waited for.

        In a node that has just started, their pods can't reach the API server yet. By themselves
        they would try again only 10 s later.
        """
        kube = self.context.kube
        for job in jobs:
            existing_job = kube.get(*manifests.key(job))
            # Not run yet, or removed after its time to live.
            if existing_job is None:
                kube.apply(job)
            elif fields_of(existing_job, "status").get("failed"):
                kube.delete(*manifests.key(job))

    # The gates

    def gate(self, component: Component) -> Run:
        """Return the step that waits for one component.

        If it fails, the error ends with what the component itself says.
        """
        context = self.context
        hint = f"Look at it: {self._describe_command(component)}"
        watch = Watch(context.kube, context.clock)

        def find_missing() -> str:
            objects = find(context.kube, component)
            shortfall = ready.missing(component, objects)
            if shortfall and component.gate == "workload":
                for workload in objects:
                    watch.look(component.resource.kind, workload)
            return shortfall or self._find_silent_port(component)

        def run(_: list[str]) -> None:
            deadline = Deadline(context.clock, component.deadline)
            try:
                what = f"{component.name} ({component.resource})"
                until(what, find_missing, deadline, hint)
            except DevenvError as error:
                trouble = self._trouble(component)
                error.why = "\n".join([error.why, *trouble])
                raise

        return run

    def _describe_command(self, component: Component) -> str:
        """Return the kubectl command that describes a component's objects."""
        resource = component.resource
        kubectl = f"kubectl --context kind-{self.context.cluster}"
        kind = resource.kind.lower()
        return f"{kubectl} -n {resource.namespace} describe {kind}"

    def _find_silent_port(self, component: Component) -> str:
        """Say which port of a component's Service takes no connections from the API server's node.

        kube-proxy's rules come up to a second after the Service's endpoints. An API server that
        can't reach a webhook yet lets objects pass unseen if the webhook's failures are to be
        ignored.
        """
        context, resource = self.context, component.resource
        if component.gate != "endpoints":
            return ""
        _, _, name = resource.selector.partition("=")
        service = context.kube.get("v1", "Service", resource.namespace, name)
        address = _cluster_ip(service)
        ports = _ports(service)
        for node in filter(is_control_plane, context.nodes()):
            for port in ports:
                argv = ["timeout", "3", "bash", "-c", _CONNECT, "knock", address, port]
                if context.containers.exec(node.name, argv).failed:
                    return f"no answer at {address}:{port} from {node.name}"
        return ""

    def _trouble(self, component: Component) -> list[str]:
        """Return what a workload says is wrong, nothing if the API server does not answer."""
        if component.gate != "workload":
            return []
        try:
            workloads = find(self.context.kube, component)
        except DevenvError:
            return []
        trouble = Trouble(self.context.kube)
        lines = []
        for workload in workloads:
            lines += trouble.lines(workload)
        return lines


def find(kube: Kube, component: Component) -> list[Manifest]:
    """Return the component's objects."""
    resource = component.resource
    if resource.selector:
        return kube.select(
            resource.api_version, resource.kind, resource.namespace, resource.selector
        )
    obj = kube.get(resource.api_version, resource.kind, resource.namespace, resource.name)
    return [obj] if obj else []


def _is_gateway(obj: Manifest) -> bool:
    return bool(obj["kind"] == "Gateway")


def _cluster_ip(service: Manifest | None) -> str:
    return str(fields_of(service or {}, "spec").get("clusterIP"))


def _ports(service: Manifest | None) -> list[str]:
    ports = items_of(fields_of(service or {}, "spec"), "ports")
    return [str(port["port"]) for port in ports]
