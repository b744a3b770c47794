"""`up`: from nothing, or from anything in between, to a cluster that answers on every route."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from devenv.errors import DevenvError, Exit
from devenv.facts.live import Proof
from devenv.facts.trouble import Trouble
from devenv.gates import ready
from devenv.gates.live import Prober
from devenv.images.load import normalise, present, send
from devenv.images.sources import Provider, Source
from devenv.lifecycle import manifests
from devenv.lifecycle.preflight import Preflight
from devenv.lifecycle.record import Record, Records, own_nodes
from devenv.lifecycle.steps import Arrivals, as_task, step
from devenv.ports import Clock, Containers, Engine, Gateway, Host, Kind, Kube, Manifest, Reporter
from devenv.profiles.model import Component, Profile
from devenv.tasks import Task, run_all
from devenv.wait import Deadline, StoppableClock, locked, until

_NODE = 120.0  # seconds for the node's containerd: it answers 2 s after kind begins; kind may have to pull first
_API = 180.0  # seconds for the API server of a cluster that kind has made, or that was just started
_IMAGES = 600.0  # seconds for all images to be in the nodes
_ESTABLISHED = 60.0
_PROOF = 60.0  # seconds for the live requests once every gate is open
# After a node was started: envoy-gateway v1.2.8 that starts before the API server is ready does nothing until its
# liveness probe restarts it, about 65 s later (seen on the lab: "hook error", then 0/1 until "shutting down").
_PROOF_STARTED = 240.0
_CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")


@dataclass(frozen=True)
class Result:
    """What `up` came to."""

    cluster: str
    profile: str
    url: str
    proofs: tuple[Proof, ...]
    changed: bool


@dataclass
class Up:
    """One `up` of one cluster."""

    cluster: str
    profile: Profile
    profile_name: str  # as it is remembered
    host: Host
    clock: Clock
    engine: Engine
    containers: Containers
    kind: Kind
    kube: Kube
    gateway: Gateway
    provider: Provider
    reporter: Reporter
    manifests_folder: Path
    recipe_file: Callable[[str, str], Path]
    arrivals: Arrivals = field(init=False)

    def __post_init__(self) -> None:
        self.clock = self.stoppable = StoppableClock(self.clock)
        self.arrivals = Arrivals()
        self.started = False  # whether a node that was stopped had to be started
        self.records = Records(self.host)
        self.prober = Prober(self.kube, self.gateway, self.clock, self.profile)

    def run(self, wait: float) -> Result:
        """Do what is missing and return when every route is proven. `wait`: seconds for whoever holds the lock.

        Raises DevenvError; another run goes on from there.
        """
        with locked(self.host, self.clock, f"cluster-{self.cluster}", self.reporter.say, wait):
            nodes = own_nodes(self.records, self.engine, self.containers, self.cluster)
            self._same_config()
            Preflight(self.host, self.engine, self.profile).check(exists=bool(nodes))
            if proofs := self._nothing_to_do():
                return self._result(proofs, changed=False)
            files = [source.recipe_file for source in self.profile.manifests if source.recipe]
            if self.kind.version() is None:
                files.append(("kind", "kind"))
            sources = self.provider.provide(self.profile.images, files)
            self._same_architecture(sources)
            rendered = manifests.render(self.profile, self.manifests_folder, self.recipe_file)
            self._discard_half_made()
            run_all(self._tasks(sources, rendered), on_failure=self._abandon)
            with step(self.reporter, "live requests") as note:
                proofs = self.prober.until_proven(
                    _PROOF_STARTED if self.started else _PROOF, "Look at it with `devenv status` and `devenv request`."
                )
                note.append(f"{len(proofs)} of {len(proofs)} proved their routes")
            digest = self._digest(sources, rendered)
            self.records.update(self.cluster, lambda record: replace(record, profile=self.profile_name, digest=digest))
            return self._result(proofs, changed=True)

    def _result(self, proofs: list[Proof], *, changed: bool) -> Result:
        return Result(self.cluster, self.profile.name, self.profile.gateway.url, tuple(proofs), changed)

    def _abandon(self) -> None:
        self.stoppable.stop()
        self.arrivals.abandon()
        self.host.stop_children()

    # What is there already

    def _nothing_to_do(self) -> list[Proof]:
        """Return the proofs if what is installed is what is wanted and every route answers."""
        record = self.records.read(self.cluster)
        nodes = self.containers.nodes(self.cluster)
        if not (record and record.digest and nodes and all(n.status == "running" for n in nodes)):
            return []
        if not (self.provider.ready(self.profile.images) and self._files_ready()):
            return []
        rendered = manifests.render(self.profile, self.manifests_folder, self.recipe_file)
        if record.digest != self._digest(self.provider.provide(self.profile.images), rendered) or not self.kube.ready():
            return []
        if any(ready.missing(c, find(self.kube, c)) for c in self.profile.components):
            return []
        proofs = self.prober.probe(self.profile.requests)
        return proofs if all(p.ok for p in proofs) else []

    def _same_config(self) -> None:
        """Refuse what kind cannot do: change nodes and ports of a cluster that is there."""
        record = self.records.read(self.cluster)
        if record and record.made and record.config != manifests.kind_config(self.profile):
            raise DevenvError(
                f"The profile has other nodes or ports than the cluster {self.cluster} was made with.",
                "kind can't change them afterwards.",
                f"Run `devenv down --name {self.cluster}` first, or choose another name with --name.",
                Exit.USAGE,
            )

    def _same_architecture(self, sources: dict[str, Source]) -> None:
        """Refuse images that the nodes could not run: containerd would take them without a word (facts/images.md)."""
        wanted = self.engine.info().architecture
        found = {s.ref: image.architecture for s in sources.values() if (image := self.engine.image(s.ref))}
        wrong = [f"{ref} is for {architecture}" for ref, architecture in found.items() if architecture != wanted]
        if wrong:
            fix = f"Bring them for {wanted}, for example with `docker pull --platform linux/{wanted}`."
            raise DevenvError(f"Images are not for this engine, which runs {wanted}.", "\n".join(wrong), fix, Exit.PREREQUISITE)

    def _files_ready(self) -> bool:
        return all(self.recipe_file(*s.recipe_file).exists() for s in self.profile.manifests if s.recipe)

    def _digest(self, sources: dict[str, Source], rendered: manifests.Rendered) -> str:
        """Of everything that decides what is in the cluster."""
        ids = [self._image_id(source) for source in sources.values()]
        return hashlib.sha256(repr((self.profile, ids, rendered.digest)).encode()).hexdigest()

    def _image_id(self, source: Source) -> str:
        image = self.engine.image(source.ref)
        if image is None:
            raise DevenvError(f"The engine has lost the image {source.ref}.", next_step="Run `devenv up` again.")
        return image.id

    def _discard_half_made(self) -> None:
        """A cluster that kind did not finish is of no use to anybody, and nobody has used it."""
        record = self.records.read(self.cluster)
        if record and not record.made and self.containers.nodes(self.cluster):
            with step(self.reporter, "remove what a cut-off run left"):
                self.kind.delete(self.cluster, lambda _: None)

    # The tasks

    def _tasks(self, sources: dict[str, Source], rendered: manifests.Rendered) -> list[Task]:
        def task(name: str, run: Callable[[list[str]], None], *after: str) -> Task:
            return as_task(self.reporter, name, run, after)

        applied = tuple(f"apply {name}" for name in rendered.sources)
        return [
            task("cluster", lambda note: self._cluster(sources[self.profile.cluster.image], note)),
            task("images", lambda note: self._images(sources, note)),
            task("definitions", lambda note: self._definitions(rendered, note), "cluster"),
            *(task(f"apply {n}", self._applier(rendered.rest(n), sources), "definitions") for n in rendered.sources),
            *(task(c.name, self._gate(c), *applied, *c.after) for c in self.profile.components),
        ]

    def _cluster(self, source: Source, note: list[str]) -> None:
        nodes = self.containers.nodes(self.cluster)
        if nodes:
            stopped = [n for n in nodes if n.status != "running"]
            for node in stopped:
                self.containers.start(node.name)
            self.started = bool(stopped)
            note.append(f"{len(stopped)} nodes started" if stopped else "is there")
        else:
            self._create(source)
            note.append(f"created by kind {self.kind.version()}")
        self._await_api(created=not nodes)
        made = tuple(n.id for n in self.containers.nodes(self.cluster))
        self.records.update(self.cluster, lambda record: replace(record, nodes=made, made=True, digest=""))

    def _create(self, source: Source) -> None:
        config, engine = manifests.kind_config(self.profile), self.engine.info().id
        self.records.write(Record(self.cluster, self.profile_name, engine, config, self.clock.now()))
        try:
            self.kind.create(self.cluster, config, source.ref, self._detail("cluster"))
        except DevenvError:
            if not self.containers.nodes(self.cluster):  # kind has tidied up, so there is nothing to remember
                self.records.remove(self.cluster)
            raise

    def _detail(self, name: str) -> Callable[[str], None]:
        return lambda line: self.reporter.detail(name, line.strip(" •✓"))

    def _await_api(self, *, created: bool) -> None:
        if not created and not self.kube.ready():
            self.kind.export_kubeconfig(self.cluster, lambda _: None)  # its context may be missing, or its port another
        look = f"Look at it: docker logs {self.cluster}-control-plane"
        until("The API server", lambda: "" if self.kube.ready() else "an answer from it", Deadline(self.clock, _API), look)

    def _images(self, sources: dict[str, Source], note: list[str]) -> None:
        """Load what the nodes lack, in the profile's order, from when containerd answers: kubeadm works on meanwhile."""
        until("The node's containerd", self._containerd_missing, Deadline(self.clock, _NODE), pause=0.1)
        loaded = 0
        images = self.profile.cluster_images
        for number, image in enumerate(images):
            self.stoppable.check()
            self.reporter.update("images", number, len(images), "images")
            self.reporter.detail("images", image.name)
            loaded += self._load(sources[image.name])
            self.arrivals.arrive(normalise(image.ref))
        note.append(f"{loaded} loaded, {len(images) - loaded} were there")

    def _containerd_missing(self) -> str:
        nodes = self.containers.nodes(self.cluster)
        self._note_nodes(tuple(n.id for n in nodes))
        wanted = len(self.profile.cluster.kind.get("nodes") or [1])
        if len([n for n in nodes if n.status == "running"]) < wanted:
            return "running nodes"
        for node in nodes:
            if self.containers.exec(node.name, ["ctr", "version"]).code != 0:
                return f"an answer from {node.name}"
        return ""

    def _note_nodes(self, ids: tuple[str, ...]) -> None:
        """While kind is still at it, note each node as soon as it is seen: a killed run must know its own."""

        def change(record: Record) -> Record:
            return record if record.made else replace(record, nodes=ids)

        if ids:
            self.records.update(self.cluster, change)

    def _load(self, source: Source) -> bool:
        """Load one image into the nodes that lack it; return whether any did."""
        image_id, name = self._image_id(source), normalise(source.image.ref)
        lacking = [n for n in self.containers.nodes(self.cluster) if not self._has(n.id, n.name, name, image_id)]
        for node in lacking:
            send(self.containers, self.engine, node.name, source.ref, [name])
            self.records.note_image(self.cluster, node.id, name, image_id)
        return bool(lacking)

    def _has(self, node_id: str, node: str, name: str, image_id: str) -> bool:
        record = self.records.read(self.cluster)
        known = record is not None and record.loaded.get(node_id, {}).get(name) == image_id
        return known and name in present(self.containers, node)

    def _definitions(self, rendered: manifests.Rendered, note: list[str]) -> None:
        for obj in rendered.definitions:
            self.kube.apply(obj)
        names = [o["metadata"]["name"] for o in rendered.definitions if o["kind"] == _CRD[1]]
        until("The definitions", lambda: self._unestablished(names), Deadline(self.clock, _ESTABLISHED))
        note.append(f"{len(names)} CRDs established")

    def _unestablished(self, names: list[str]) -> str:
        found = {o["metadata"]["name"]: o for o in self.kube.select(*_CRD)}
        return ", ".join(n for n in names if n not in found or ready.conditions(found[n], ["Established"]))

    def _applier(self, objects: list[Manifest], sources: dict[str, Source]) -> Callable[[list[str]], None]:
        ids = {normalise(i.ref): self._image_id(sources[i.name]) for i in self.profile.cluster_images}

        def run(note: list[str]) -> None:
            for obj in objects:
                self.arrivals.wait_for(set(manifests.images_in(obj)) & ids.keys(), _IMAGES)
                self.kube.apply(manifests.stamped(obj, ids))
            note.append(f"{len(objects)} objects")

        return run

    def _gate(self, component: Component) -> Callable[[list[str]], None]:
        resource = component.resource
        look = f"Look at it: kubectl --context kind-{self.cluster} -n {resource.namespace} describe {resource.kind.lower()}"

        def run(_: list[str]) -> None:
            missing = lambda: ready.missing(component, find(self.kube, component))  # noqa: E731
            try:
                until(f"{component.name} ({resource})", missing, Deadline(self.clock, component.deadline), look)
            except DevenvError as error:
                error.why = "\n".join([error.why, *self._trouble(component)])
                raise

        return run

    def _trouble(self, component: Component) -> list[str]:
        """What the component itself has to say, where it is a workload and its cluster still answers."""
        if component.gate != "workload":
            return []
        try:
            found = find(self.kube, component)
        except DevenvError:
            return []
        return [line for workload in found for line in Trouble(self.kube).lines(workload)]


def find(kube: Kube, component: Component) -> list[Manifest]:
    """Return the component's objects."""
    r = component.resource
    if r.selector:
        return kube.select(r.api_version, r.kind, r.namespace, r.selector)
    found = kube.get(r.api_version, r.kind, r.namespace, r.name)
    return [found] if found else []
