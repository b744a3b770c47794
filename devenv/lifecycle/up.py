"""`up`: from nothing, or from anything in between, to a cluster that answers on every route."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, replace
from functools import cache
from graphlib import CycleError
from pathlib import Path

from devenv import DEFAULT_CLUSTER
from devenv.disk.ballast import Ballast
from devenv.disk.history import History
from devenv.errors import DevenvError, Exit, LockedError, NotReachableError
from devenv.facts.live import Proof
from devenv.gates import headers, ready
from devenv.gates.live import Prober
from devenv.images.innode import Nodes, by_name
from devenv.images.load import normalise, present
from devenv.images.sources import Held, Provider, Source
from devenv.images.stamp import own_ref
from devenv.lifecycle import checkout, manifests
from devenv.lifecycle.adopt import Adopting, Adoption, remember
from devenv.lifecycle.applying import Applying, find
from devenv.lifecycle.checkout import Kustomize
from devenv.lifecycle.context import Context
from devenv.lifecycle.downloads import Downloads
from devenv.lifecycle.folders import Folders
from devenv.lifecycle.loading import Loading
from devenv.lifecycle.making import Making
from devenv.lifecycle.ownbuilds import OwnBuilds
from devenv.lifecycle.preflight import Preflight
from devenv.lifecycle.proven import current_digest, is_proven, undo_command, unproven_names
from devenv.lifecycle.reconnect import Reconnect
from devenv.lifecycle.record import api_ports, own_nodes
from devenv.lifecycle.refusals import Refusals
from devenv.lifecycle.settled import Settled
from devenv.lifecycle.steps import as_task, prove, step
from devenv.ports import Envoy, Manifest, Node, Schemas
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
    agree: Callable[[Adoption], None] | None = (
        None  # with --adopt: shows what would change, and asks
    )
    _: KW_ONLY
    envoy: Envoy
    schemas: Schemas | None = None

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
            gone = bool(nodes) and self._lost_checkout()
            if not gone:
                self._check_checkout()
            if not nodes:
                self._check_host(exists=False)
            if not gone:
                self._folders.render_all()
            if proofs := self._nothing_to_do():
                self._tell_of_changes()
                return self._result(proofs, changed=False)
            if nodes:
                self._check_host(exists=True)
            checked = self._check_files()
            sources = self._provide()
            rendered = self._with_recipes(checked)
            if foreign and self.agree:
                Adopting(at, self.agree).adopt(foreign, rendered)
            making.discard_half_made()
            if not (nodes and self._is_as_it_was(nodes, sources) and self._start(making, sources)):
                self._run(self._tasks(making, sources, rendered))
            self.settled.run()
            proofs = self._prove(_PROOF_STARTED if making.started else _PROOF)
            at.proven.prove(at.nodes(), [normalise(i.ref) for i in at.profile.cluster_images])
            at.proven.forget_superseded([n.name for n in at.nodes()])
            self._note_built()  # once more: before, a new cluster has no record
            self._own_builds.forget_superseded()
            self._tell_of_changes()
            digest = self._digest(sources)
            remember(at, lambda record: replace(record, digest=digest, **at.chosen))
            self._provide_for_a_full_disk()
            return self._result(proofs, changed=True)

    @property
    def _own_builds(self) -> OwnBuilds:
        return OwnBuilds(self.context.cluster, self.context.records, self.context.engine)

    def _note_built(self) -> None:
        if self.provider.in_place:
            self._own_builds.note(self.provider.in_place.built_images)

    @property
    def settled(self) -> Settled:
        """The gate at the end: every rollout is over."""
        at = self.context
        return Settled(at.kube, self.envoy, at.clock, at.profile, at.reporter)

    def objects(self) -> list[Manifest]:
        """Return the profile's objects as `up` applies them. Raises DevenvError where they can't be read."""
        sources = self._rendered(self._kept).sources
        return [obj for objects in sources.values() for obj in objects]

    def made_objects(self) -> list[Manifest]:
        """Return the profile's objects, with what they come from made anew where need be: no cluster is needed for it."""
        self._check_checkout()
        self._folders.render_all()
        self.provider.provide(
            (), [m.recipe_file for m in self.context.profile.manifests if m.recipe]
        )
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
        if at.is_adopted and not at.nodes():
            at.reporter.say(f"The adopted cluster {at.cluster} is gone; it is forgotten.")
            at.records.remove(at.cluster)

    def _result(self, proofs: list[Proof], *, changed: bool) -> Result:
        profile = self.context.profile
        return Result(
            self.context.cluster,
            profile.name,
            profile.gateway.url,
            tuple(proofs),
            changed,
            profile.version,
        )

    def _tasks(
        self, making: Making, sources: dict[str, Source], rendered: manifests.Rendered
    ) -> list[Task]:
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
            *(
                task(f"apply {n}", applying.source(rendered.rest(n)), "definitions", *source.after)
                for n, source in every.items()
            ),
            *(
                task(c.name, applying.gate(c), *_applied(at.profile, rendered, c), *c.after)
                for c in at.profile.components
            ),
        ]

    def _is_as_it_was(self, nodes: Sequence[Node], sources: dict[str, Source]) -> bool:
        """Whether a cluster has only to be started: it was proven, and nothing changed meanwhile."""
        record = self.context.records.read(self.context.cluster)
        ended = all(node.status in _ENDED for node in nodes)
        return (
            ended
            and record is not None
            and bool(record.digest)
            and record.digest == self._digest(sources)
        )

    def _start(self, making: Making, sources: dict[str, Source]) -> bool:
        """Start a cluster that has only to be started, and return whether nothing has to be applied.

        Pods must be made anew where a node had another image than devenv had loaded. Should it fail,
        the next `up` applies everything.
        """
        at, loading, applying = self.context, Loading(self.context), Applying(self.context)
        source, ids = sources[at.profile.cluster.image], applying.ids()
        self._run(
            [
                as_task(at.reporter, "cluster", lambda note: making.run(source, note)),
                as_task(at.reporter, "images", lambda note: loading.run(sources, note)),
                as_task(at.reporter, "pods", making.pods_started, ("cluster",)),
                as_task(at.reporter, "proxy's connection", self._reconnect, ("pods",)),
                *(
                    as_task(at.reporter, c.name, applying.gate(c), ("pods", *c.after))
                    for c in at.profile.components
                ),
            ]
        )
        return applying.ids() == ids

    def _reconnect(self, note: list[str]) -> None:
        at = self.context
        if not at.is_adopted:
            Reconnect(at.profile, at.kube, at.clock).run(note)

    def _run(self, tasks: list[Task]) -> None:
        began = self.context.clock.now()
        try:
            run_all(tasks, on_failure=self.context.abandon)
        except DevenvError as error:
            self._tell_of_dead_nodes(began, error)
            self._offer_return(error)
            raise
        except CycleError as error:  # before any of them was begun
            what = "The profile's manifests and components wait for each other in a circle."
            raise DevenvError(
                what, " → ".join(map(str, error.args[1])), "Nothing was changed.", Exit.USAGE
            ) from error

    def _offer_return(self, error: DevenvError) -> None:
        """Where an image runs that never was proven, name the command that returns to the one before it."""
        at = self.context
        record = at.records.read(at.cluster)
        if record and (names := unproven_names(record)):
            command = undo_command(at.cluster, at.profile, names)
            hint = f"`{command}` returns to the image that was proven before."
            error.next_step = f"{hint}\n{error.next_step}".strip()

    def _tell_of_dead_nodes(self, began: float, error: DevenvError) -> None:
        """Say so where a node ended meanwhile: what then failed did so because of it. `began`: when, in seconds since 1970."""
        dead: list[str] = []
        with suppress(DevenvError):
            nodes = self.context.nodes()
            if any(n.status == "running" and self._answers_nothing(n) for n in nodes):
                nodes = self._once_the_engine_knows()
            dead = [
                n.name
                for n in nodes
                if n.status in _ENDED and self.context.containers.state(n.name).ended >= began
            ]
        if dead:
            fix = f"`docker logs --tail 20 {dead[0]}` has its last words; `devenv up` goes on from there."
            why = "\n".join(filter(None, (error.what, error.why)))
            raise DevenvError(
                f"The node {', '.join(dead)} ended while `devenv up` worked.", why, fix
            ) from error

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
        until(
            "The end of a node",
            lambda: "" if any(n.status in _ENDED for n in self.context.nodes()) else "it",
            deadline,
        )
        return self.context.nodes()

    def _prove(self, seconds: float) -> list[Proof]:
        return prove(
            self.context.reporter,
            self.prober,
            seconds,
            "Look at it with `devenv status` and `devenv request`.",
        )

    # What is wanted, and whether it is there already

    def _provide(self) -> dict[str, Source]:
        profile = self.context.profile
        files = [source.recipe_file for source in profile.manifests if source.recipe]
        if self.context.kind.version() is None:
            files.append(("kind", "kind"))
        sources = self.provider.provide(
            profile.images, files, self._kept_images(), cache(self._held_images)
        )
        self._note_built()
        self._same_architecture(sources)
        return sources

    def _kept_images(self) -> set[str]:
        """Return the profile's names of a checkout's images that run and were proven.

        They stay, whatever the sources are by now and whatever the engine has under their names: only a reload replaces
        them.
        """
        at = self.context
        record, nodes = at.records.read(at.cluster), at.nodes()
        if record is None or not nodes:
            return set()
        names = {i.name: normalise(i.ref) for i in at.profile.cluster_images if own_ref(i)}
        in_nodes = [present(at.containers, n.name) for n in nodes if n.status == "running"]
        return {
            image
            for image, name in names.items()
            if is_proven(record, [n.id for n in nodes], name)
            and all(name in there for there in in_nodes)
        }

    def _held_images(self) -> dict[str, Held]:
        """Return what every node holds just as it was loaded; for a node that does not run, the record says so."""
        at = self.context
        record, nodes = at.records.read(at.cluster), at.nodes()
        if record is None or not record.made or not nodes:
            return {}
        running = [node for node in nodes if node.status == "running"]
        digests = {node.id: by_name(Nodes(at.containers).images(node.name)) for node in running}
        held = {at.profile.cluster.image: Held(is_any=True)}
        for image in at.profile.cluster_images:
            name = normalise(image.ref)
            loaded = {record.loaded.get(node.id, {}).get(name, "") for node in nodes}
            intact = all(
                digests[n.id].get(name) == current_digest(record, n.id, name) for n in running
            )
            if len(loaded) == 1 and "" not in loaded and intact:
                held[image.name] = Held(record.refs.get(name, ""), loaded.pop())
        return held

    def _tell_of_changes(self) -> None:
        """Say which images were built from other sources than the checkout has now, and how to renew them."""
        at = self.context
        record = at.records.read(at.cluster)
        for image in (
            i for i in at.profile.cluster_images if own_ref(i) and Path(i.build_in).exists()
        ):
            built = record.built.get(normalise(image.ref), "") if record else ""
            state = self.provider.state(image.build_in).state if built else ""
            if built != state:
                where = "" if at.cluster == DEFAULT_CLUSTER else f" --name {at.cluster}"
                fix = f"`devenv reload-image {image.name} --build{where}`"
                at.reporter.say(
                    f"{image.name} runs {built}; the checkout is at {state}. Renew it: {fix}"
                )

    def _same_architecture(self, sources: dict[str, Source]) -> None:
        """Refuse images that the nodes could not run: containerd would take them without a word (facts/images.md)."""
        engine = self.context.engine
        wanted = engine.info().architecture
        found = {
            s.ref: self.context.image(s).architecture for s in sources.values() if s.how != "node"
        }
        wrong = [
            f"{ref} is for {architecture}"
            for ref, architecture in found.items()
            if architecture != wanted
        ]
        if wrong:
            fix = f"Bring them for {wanted}, for example with `docker pull --platform linux/{wanted}`."
            raise DevenvError(
                f"Images are not for this engine, which runs {wanted}.",
                "\n".join(wrong),
                fix,
                Exit.PREREQUISITE,
            )

    def _check_host(self, *, exists: bool) -> None:
        """Refuse a host that is too small, before anything is downloaded or compiled.

        Files that can't be used are told with it, as far as they are on this disk.
        """
        at, profile = self.context, self.context.profile
        host = _problem(lambda: Preflight(at.host, at.engine, profile).check(exists=exists))
        if host is None:
            return
        local = [m for m in profile.manifests if m.path]
        problems = [host, *self._unusable(lambda: self._rendered(self._locate, local))]
        if len(problems) > 1:
            raise self._refused(problems)
        raise host

    def _check_files(self) -> manifests.Rendered:
        """Refuse manifests and archives that can't be used, all at once, before any change.

        Returns the manifests, without those of recipes whose files are yet to be made.
        """
        profile = self.context.profile
        there = [m for m in profile.manifests if not m.recipe or self._locate(m).exists()]
        some = None if len(there) == len(profile.manifests) else there
        rendered: list[manifests.Rendered] = []
        if problems := self._unusable(lambda: rendered.append(self._rendered(self._fetched, some))):
            raise self._refused(problems)
        self._check_patches(rendered[0])
        return rendered[0]

    def _with_recipes(self, checked: manifests.Rendered) -> manifests.Rendered:
        """Return the manifests that were checked, with those of recipes as they are once they are provided."""
        if not any(m.recipe for m in self.context.profile.manifests):
            return checked
        rendered = self._rendered(self._locate)
        self._check_patches(rendered)
        return rendered

    def _check_patches(self, rendered: manifests.Rendered) -> None:
        """Refuse what patches make and the API server would refuse: the one that runs is asked."""
        at = self.context
        if self.schemas is None:
            return
        nodes = at.nodes()
        running = bool(nodes) and all(n.status == "running" for n in nodes)
        asked = running and at.kube.server_port() in api_ports(nodes) and at.kube.ready()
        Refusals(self.schemas).check(rendered, at.kube if asked else None)

    def _unusable(self, render: Callable[[], object]) -> list[DevenvError]:
        """Return what is wrong with the profile's archives and with its manifests."""
        looks = (lambda: self.provider.check(self.context.profile.images), render)
        return [problem for look in looks if (problem := _problem(look))]

    def _refused(self, problems: list[DevenvError]) -> DevenvError:
        name = self.context.profile.name
        why = "\n".join(p.why for p in problems)
        code = min(p.exit_code for p in problems)  # a wrong profile before a port that is taken
        if code is not Exit.PREREQUISITE:
            what = f"The profile {name} names files that can't be used."
            return DevenvError(what, why, "Nothing was changed.", code)
        what = f"The profile {name} names addresses that can't be reached."
        return DevenvError(what, why, problems[-1].next_step, code)

    def _locate(self, source: ManifestSource) -> Path:
        if source.url:
            return self.downloads.path(source.url, source.sha256)
        if source.kustomize:
            return self._folders.path(source)
        return (
            self.manifests_folder / source.path
            if source.path
            else self.recipe_file(*source.recipe_file)
        )

    def _fetched(self, source: ManifestSource) -> Path:
        if not source.url:
            return self._locate(source)
        try:
            return self.downloads.fetch(source.url, source.sha256, manifests.read)
        except DevenvError as error:
            if self.context.profile.like:
                error.next_step = (
                    f"Is there a release {self.context.profile.version}? {error.next_step}".strip()
                )
            raise

    def _kept(self, source: ManifestSource) -> Path:
        """Where it is, had again where it was lost meanwhile."""
        if source.kustomize and not self._locate(source).exists():
            return self._folders.render(source)
        return self._fetched(source)

    def _lost_checkout(self) -> bool:
        """Whether the cluster's checkout is gone, while all that was rendered from it is there; say so."""
        at = self.context
        folder = at.variant.checkout
        rendered = [self._folders.path(m) for m in at.profile.manifests if m.kustomize]
        if not folder or Path(folder).exists() or not all(path.exists() for path in rendered):
            return False
        where = "" if at.cluster == DEFAULT_CLUSTER else f" --name {at.cluster}"
        fix = f"If you moved it: `devenv up --checkout PATH{where}`."
        at.reporter.say(
            f"The checkout {folder} is gone. The cluster keeps what was installed from it. {fix}"
        )
        return True

    def _check_checkout(self) -> None:
        """Raise DevenvError with all that keeps a checkout from being used."""
        at = self.context
        if at.variant.checkout and (problems := checkout.problems(at.variant.checkout, at.profile)):
            why = "\n".join(problems)
            raise DevenvError(
                "The checkout can't be used.", why, "Nothing was changed.", Exit.USAGE
            )
        if not at.variant.checkout and at.profile.tests:
            what = f"The profile {at.profile.name} needs a checkout: its tests come from there."
            raise DevenvError(what, "Nothing was changed.", "Pass --checkout PATH.", Exit.USAGE)

    @property
    def _folders(self) -> Folders:
        at = self.context
        return Folders(self.kustomize, at.profile, at.variant, self._provided)

    def _provided(self, source: ManifestSource) -> Path:
        """Return a source's file, made or fetched where it is not there yet."""
        if source.recipe and not self._locate(source).exists():
            self.provider.provide((), [source.recipe_file])
        return self._fetched(source)

    def _rendered(
        self, locate: manifests.Locate, only: list[ManifestSource] | None = None
    ) -> manifests.Rendered:
        return manifests.render(self.context.profile, locate, only)

    def _provide_for_a_full_disk(self) -> None:
        """Take the space that a repair of a full disk will need."""
        at = self.context
        Ballast(at.host, at.containers).restore(
            tuple(n.name for n in at.nodes() if n.status == "running")
        )
        with suppress(OSError):
            History(at.host, at.clock).prepare()
        with suppress(LockedError), at.host.lock("images"):  # its file is there from now on
            pass

    def _digest(self, sources: dict[str, Source]) -> str:
        """Of everything that decides what is in the cluster. Its nodes stay what they are made of."""
        ids = [
            self._id(sources[name])
            for name in sorted(sources)
            if name != self.context.profile.cluster.image
        ]
        return hashlib.sha256(
            repr((ids, manifests.fingerprint(self.context.profile, self._locate))).encode()
        ).hexdigest()

    def _id(self, source: Source) -> str:
        """Return what tells the source's image from another: the engine's ID, for one that only nodes need, too."""
        at = self.context
        if source.how != "node":
            return at.image(source).id
        record, name = at.records.read(at.cluster), normalise(source.image.ref)
        return (
            next((images[name] for images in record.loaded.values() if name in images), "")
            if record
            else ""
        )

    def _nothing_to_do(self) -> list[Proof]:
        """Return the proofs if what is installed is what is wanted, every gate is open and every route answers."""
        at = self.context
        record, nodes = at.records.read(at.cluster), at.nodes()
        running = bool(nodes) and all(n.status == "running" for n in nodes)
        if not (record and record.digest and running) or at.replacing.is_open():
            return []
        kept = self._kept_images()
        needed = [i for i in at.profile.images if i.name not in kept]
        held = cache(self._held_images)
        if not (self.provider.ready(needed, held) and self._files_ready()):
            return []
        sources = self.provider.provide(at.profile.images, in_nodes=kept, held=held)
        if record.digest != self._digest(sources) or not at.kube.ready():
            return []
        if not Loading(at).complete(sources[i.name] for i in at.profile.cluster_images):
            return []
        all_open = not any(ready.missing(c, find(at.kube, c)) for c in at.profile.components)
        if not (all_open and self.settled.is_over()):
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
        and (
            not source.after
            or any(manifests.key(obj)[1:] == wanted for obj in rendered.sources[source.name])
        )
    ]


def _problem(look: Callable[[], object]) -> DevenvError | None:
    try:
        look()
    except DevenvError as error:
        return error
    return None
