"""`up`: from nothing, or from anything in between, to a cluster that answers on every route."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from graphlib import CycleError
from pathlib import Path

from devenv.disk.ballast import Ballast
from devenv.disk.history import History
from devenv.errors import DevenvError, Exit, LockedError, NotReachableError
from devenv.facts.live import Proof
from devenv.gates import headers, ready
from devenv.gates.live import Prober
from devenv.images.sources import Provider, Source
from devenv.lifecycle import checkout, manifests
from devenv.lifecycle.adopt import Adopting, Adoption, remember
from devenv.lifecycle.applying import Applying, find
from devenv.lifecycle.checkout import Kustomize
from devenv.lifecycle.context import Context
from devenv.lifecycle.downloads import Downloads
from devenv.lifecycle.loading import Loading
from devenv.lifecycle.making import Making
from devenv.lifecycle.preflight import Preflight
from devenv.lifecycle.record import own_nodes
from devenv.lifecycle.steps import as_task, prove, step
from devenv.ports import Manifest, Node
from devenv.profiles.model import Component, ManifestSource, Profile
from devenv.tasks import Task, run_all
from devenv.wait import Deadline, locked, until

_ENDED = {"exited", "dead"}
_NOTICED = 5.0  # seconds in which an engine notices that a container has ended
_PROOF = 60.0  # seconds for the live requests once every gate is open
# After a node was started: envoy-gateway v1.2.8 that starts before the API server is ready does nothing until its
# liveness probe restarts it, about 65 s later (seen on the lab: "hook error", then 0/1 until "shutting down").
_PROOF_STARTED = 240.0


@dataclass(frozen=True)
class Result:
    """What `up` came to."""

    cluster: str
    profile: str
    url: str
    proofs: tuple[Proof, ...]
    changed: bool
    version: str = ""  # of what the profile installs


@dataclass(frozen=True)
class Up:
    """One `up` of one cluster."""

    context: Context
    prober: Prober
    provider: Provider
    downloads: Downloads
    kustomize: Kustomize
    manifests_folder: Path
    recipe_file: Callable[[str, str], Path]
    agree: Callable[[Adoption], None] | None = None  # with --adopt: shows what would change, and asks

    def run(self, wait: float) -> Result:
        """Do what is missing and return when every route is proven. `wait`: seconds for whoever holds the lock.

        Raises DevenvError; another run goes on from there.
        """
        at = self.context
        headers.check(at.profile.requests)
        with locked(at.host, at.clock, f"cluster-{at.cluster}", at.reporter.say, wait):
            making = Making(at)
            self._forget_gone()
            foreign = self._foreign()
            nodes = foreign or own_nodes(at.records, at.engine, at.containers, at.cluster)
            making.same_profile()
            making.same_config()
            self._render_anew()
            if proofs := self._nothing_to_do():
                return self._result(proofs, changed=False)
            self._check(exists=bool(nodes))
            sources = self._provide()
            rendered = self._rendered(self._locate)
            if foreign and self.agree:
                Adopting(at, self.agree).adopt(foreign, rendered)
            making.discard_half_made()
            self._run(self._tasks(making, sources, rendered))
            proofs = self._prove(_PROOF_STARTED if making.started else _PROOF)
            digest = self._digest(sources)
            remember(at, lambda record: replace(record, digest=digest, **at.chosen))
            self._provide_for_a_full_disk()
            return self._result(proofs, changed=True)

    def objects(self) -> list[Manifest]:
        """Return the profile's objects as `up` applies them. Raises DevenvError where they can't be read."""
        sources = self._rendered(self._kept).sources
        return [obj for objects in sources.values() for obj in objects]

    def made_objects(self) -> list[Manifest]:
        """Return the profile's objects, with what they come from made anew where need be: no cluster is needed for it."""
        self._render_anew()
        self.provider.provide((), [m.recipe_file for m in self.context.profile.manifests if m.recipe])
        return self.objects()

    def put_back(self, objects: Sequence[Manifest], replaced: Sequence[Manifest]) -> None:
        """Load missing images and apply these objects again; those in `replaced` lose what others have set in them."""
        at, loading, applying = self.context, Loading(self.context), Applying(self.context)
        sources, rendered = self._provide(), self._rendered(self._kept)
        with step(at.reporter, "images") as note:
            loading.run(sources, note)
        with step(at.reporter, "definitions") as note:
            applying.definitions(rendered.definitions, note)
        with step(at.reporter, "put back") as note:
            ids = applying.ids()
            for obj in objects:
                put = at.kube.replace if obj in replaced else at.kube.apply
                put(manifests.stamped(obj, ids))
            note.append(f"{len(objects)} object{'' if len(objects) == 1 else 's'}")

    def _foreign(self) -> list[Node]:
        """With --adopt: the nodes of a cluster that somebody else made, which devenv could work with."""
        if self.agree is None:
            return []
        adopting = Adopting(self.context, self.agree)
        foreign = adopting.foreign()
        if foreign:
            adopting.reach(foreign)
        return [] if foreign and adopting.restored(foreign) else foreign

    def _forget_gone(self) -> None:
        """An adopted cluster that its owner has deleted is none any more."""
        at = self.context
        record = at.records.read(at.cluster)
        if record and record.adopted and not at.nodes():
            at.reporter.say(f"The adopted cluster {at.cluster} is gone; it is forgotten.")
            at.records.remove(at.cluster)

    def _result(self, proofs: list[Proof], *, changed: bool) -> Result:
        profile = self.context.profile
        return Result(self.context.cluster, profile.name, profile.gateway.url, tuple(proofs), changed, profile.version)

    def _tasks(self, making: Making, sources: dict[str, Source], rendered: manifests.Rendered) -> list[Task]:
        at, loading, applying = self.context, Loading(self.context), Applying(self.context)

        def task(name: str, run: Callable[[list[str]], None], *after: str) -> Task:
            return as_task(at.reporter, name, run, after)

        def define(note: list[str]) -> None:
            Adopting(at, lambda _: None).note_more(rendered)
            applying.definitions(rendered.definitions, note)

        every = {m.name: m for m in at.profile.manifests if m.name in rendered.sources}
        return [
            task("cluster", lambda note: making.run(sources[at.profile.cluster.image], note)),
            task("images", lambda note: loading.run(sources, note)),
            task("api server", making.early),
            task("definitions", define, "api server"),
            *(task(f"apply {n}", applying.source(rendered.rest(n)), "definitions", *source.after) for n, source in every.items()),
            *(task(c.name, applying.gate(c), *_applied(at.profile, rendered, c), *c.after) for c in at.profile.components),
        ]

    def _run(self, tasks: list[Task]) -> None:
        began = self.context.clock.now()
        try:
            run_all(tasks, on_failure=self.context.abandon)
        except DevenvError as error:
            self._tell_of_dead_nodes(began, error)
            raise
        except CycleError as error:  # before any of them was begun
            what = "The profile's manifests and components wait for each other in a circle."
            raise DevenvError(what, " → ".join(map(str, error.args[1])), "Nothing was changed.", Exit.USAGE) from error

    def _tell_of_dead_nodes(self, began: float, error: DevenvError) -> None:
        """Say so where a node ended meanwhile: what then failed did so because of it. `began`: when, in seconds since 1970."""
        dead: list[str] = []
        with suppress(DevenvError):
            nodes = self.context.nodes()
            if any(n.status == "running" and self._answers_nothing(n) for n in nodes):
                nodes = self._once_the_engine_knows()
            dead = [n.name for n in nodes if n.status in _ENDED and self.context.containers.state(n.name).ended >= began]
        if dead:
            fix = f"`docker logs --tail 20 {dead[0]}` has its last words; `devenv up` goes on from there."
            why = "\n".join(filter(None, (error.what, error.why)))
            raise DevenvError(f"The node {', '.join(dead)} ended while `devenv up` worked.", why, fix) from error

    def _answers_nothing(self, node: Node) -> bool:
        try:
            return self.context.containers.exec(node.name, ["true"]).code != 0
        except NotReachableError:
            raise
        except DevenvError:
            return True

    def _once_the_engine_knows(self) -> list[Node]:
        """Return the nodes once one has ended, which the engine notices a moment later than whoever worked in it."""
        deadline = Deadline(self.context.clock.unstopped, _NOTICED)
        until("The end of a node", lambda: "" if any(n.status in _ENDED for n in self.context.nodes()) else "it", deadline)
        return self.context.nodes()

    def _prove(self, seconds: float) -> list[Proof]:
        return prove(self.context.reporter, self.prober, seconds, "Look at it with `devenv status` and `devenv request`.")

    # What is wanted, and whether it is there already

    def _provide(self) -> dict[str, Source]:
        profile = self.context.profile
        files = [source.recipe_file for source in profile.manifests if source.recipe]
        if self.context.kind.version() is None:
            files.append(("kind", "kind"))
        sources = self.provider.provide(profile.images, files)
        self._same_architecture(sources)
        return sources

    def _same_architecture(self, sources: dict[str, Source]) -> None:
        """Refuse images that the nodes could not run: containerd would take them without a word (facts/images.md)."""
        engine = self.context.engine
        wanted = engine.info().architecture
        found = {s.ref: image.architecture for s in sources.values() if (image := engine.image(s.ref))}
        wrong = [f"{ref} is for {architecture}" for ref, architecture in found.items() if architecture != wanted]
        if wrong:
            fix = f"Bring them for {wanted}, for example with `docker pull --platform linux/{wanted}`."
            raise DevenvError(f"Images are not for this engine, which runs {wanted}.", "\n".join(wrong), fix, Exit.PREREQUISITE)

    def _check(self, *, exists: bool) -> None:
        """Refuse a host that is too small, and manifests and archives that can't be used, all at once, before any change."""
        at, profile = self.context, self.context.profile
        ready = [m for m in profile.manifests if not m.recipe or self._locate(m).exists()]
        some = None if len(ready) == len(profile.manifests) else ready
        host = _problem(lambda: Preflight(at.host, at.engine, profile).check(exists=exists))
        files = [
            problem
            for look in (lambda: self.provider.check(profile.images), lambda: self._rendered(self._fetched, some))
            if (problem := _problem(look))
        ]
        if host and not files:
            raise host
        if problems := [host, *files] if host else files:
            what = f"The profile {profile.name} names files that can't be used."
            code = min(p.exit_code for p in problems)  # a wrong profile before a port that is taken
            raise DevenvError(what, "\n".join(p.why for p in problems), "Nothing was changed.", code)

    def _locate(self, source: ManifestSource) -> Path:
        if source.url:
            return self.downloads.path(source.url, source.sha256)
        if source.kustomize:
            return self.kustomize.path(source.kustomize)
        return self.manifests_folder / source.path if source.path else self.recipe_file(*source.recipe_file)

    def _fetched(self, source: ManifestSource) -> Path:
        if not source.url:
            return self._locate(source)
        try:
            return self.downloads.fetch(source.url, source.sha256, manifests.read)
        except DevenvError as error:
            if self.context.profile.like:
                error.next_step = f"Is there a release {self.context.profile.version}? {error.next_step}".strip()
            raise

    def _kept(self, source: ManifestSource) -> Path:
        """Where it is, had again where it was lost meanwhile."""
        if source.kustomize and not self._locate(source).exists():
            return self.kustomize.render(source.kustomize)
        return self._fetched(source)

    def _render_anew(self) -> None:
        """Look at a checkout, and render its folders as they are now. Raises DevenvError with all that is wrong with it."""
        at = self.context
        if at.variant.checkout and (found := checkout.problems(at.variant.checkout, at.profile)):
            raise DevenvError("The checkout can't be used.", "\n".join(found), "Nothing was changed.", Exit.USAGE)
        for source in at.profile.manifests:
            if source.kustomize:
                self.kustomize.render(source.kustomize)

    def _rendered(self, locate: manifests.Locate, only: list[ManifestSource] | None = None) -> manifests.Rendered:
        return manifests.render(self.context.profile, locate, only)

    def _provide_for_a_full_disk(self) -> None:
        """Take the space that a repair of a full disk will need."""
        at = self.context
        Ballast(at.host, at.containers).restore(tuple(n.name for n in at.nodes() if n.status == "running"))
        with suppress(OSError):
            History(at.host, at.clock).prepare()
        with suppress(LockedError), at.host.lock("images"):  # its file is there from now on
            pass

    def _digest(self, sources: dict[str, Source]) -> str:
        """Of everything that decides what is in the cluster."""
        ids = [self.context.image(source).id for source in sources.values()]
        return hashlib.sha256(repr((ids, manifests.fingerprint(self.context.profile, self._locate))).encode()).hexdigest()

    def _nothing_to_do(self) -> list[Proof]:
        """Return the proofs if what is installed is what is wanted, every gate is open and every route answers."""
        at = self.context
        record, nodes = at.records.read(at.cluster), at.nodes()
        if not (record and record.digest and nodes and all(n.status == "running" for n in nodes)):
            return []
        if not (self.provider.ready(at.profile.images) and self._files_ready()):
            return []
        sources = self.provider.provide(at.profile.images)
        if record.digest != self._digest(sources) or not at.kube.ready():
            return []
        if not Loading(at).complete(sources[i.name] for i in at.profile.cluster_images):
            return []
        if any(ready.missing(c, find(at.kube, c)) for c in at.profile.components):
            return []
        proofs = self.prober.probe(at.profile.requests)
        return proofs if all(p.ok for p in proofs) else []

    def _files_ready(self) -> bool:
        return all(self._locate(source).exists() for source in self.context.profile.manifests)


def _applied(profile: Profile, rendered: manifests.Rendered, component: Component) -> list[str]:
    """Return the applying of which sources a component waits for: those that wait for nothing, and the one that has it."""
    r = component.resource
    wanted = (r.kind, r.namespace, r.name)
    return [
        f"apply {source.name}"
        for source in profile.manifests
        if source.name in rendered.sources
        and (not source.after or any(manifests.key(obj)[1:] == wanted for obj in rendered.sources[source.name]))
    ]


def _problem(look: Callable[[], object]) -> DevenvError | None:
    try:
        look()
    except DevenvError as error:
        return error
    return None
