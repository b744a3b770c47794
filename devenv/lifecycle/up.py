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
# Seconds in which an engine notices that a container has ended.
_NOTICED = 5.0
# Seconds for the live requests once every gate is open.
_PROOF = 60.0
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
    # Of what the profile installs.
    version: str = ""


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
        # With --adopt: shows what would change, and asks.
        None
    )
    _: KW_ONLY
    envoy: Envoy
    schemas: Schemas | None = None

    def run(self, wait: float) -> Result:
        """Do what is missing and return when every route is proven. `wait`: seconds for whoever holds the lock.

        Raises DevenvError; another run goes on from there.
        """
        context = self.context
        headers.check(context.profile.requests)
        with locked(
            context.host, context.clock, f"cluster-{context.cluster}", context.reporter.say, wait
        ):
            making = Making(context)
            self._forget_gone()
            foreign = self._foreign()
            nodes = foreign or own_nodes(
                context.records, context.engine, context.containers, context.cluster
            )
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
                Adopting(context, self.agree).adopt(foreign, rendered)
            making.discard_half_made()
            if not (nodes and self._is_as_it_was(nodes, sources) and self._start(making, sources)):
                self._run(self._tasks(making, sources, rendered))
            self.settled.run()
            proofs = self._prove(_PROOF_STARTED if making.started else _PROOF)
            context.proven.prove(
                context.nodes(), [normalise(i.ref) for i in context.profile.cluster_images]
            )
            context.proven.forget_superseded([n.name for n in context.nodes()])
            # Once more: before, a new cluster has no record.
            self._note_built()
            self._own_builds.forget_superseded()
            self._tell_of_changes()
            digest = self._digest(sources)
            remember(context, lambda record: replace(record, digest=digest, **context.chosen))
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
        context = self.context
        return Settled(context.kube, self.envoy, context.clock, context.profile, context.reporter)

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
        context, loading, applying = self.context, Loading(self.context), Applying(self.context)
        sources, rendered = self._provide(), self._rendered(self._kept)
        with step(context.reporter, "images") as note:
            loading.run(sources, note)
        with step(context.reporter, "definitions") as note:
            applying.definitions(rendered.definitions, note)
        with step(context.reporter, "put back") as note:
            ids = applying.ids()
            for obj in objects:
                put = context.kube.replace if obj in replaced else context.kube.apply
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
        context = self.context
        if context.is_adopted and not context.nodes():
            context.reporter.say(f"The adopted cluster {context.cluster} is gone; it is forgotten.")
            context.records.remove(context.cluster)

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
        context, loading, applying = self.context, Loading(self.context), Applying(self.context)

        def task(name: str, run: Callable[[list[str]], None], *dependencies: str) -> Task:
            return as_task(context.reporter, name, run, dependencies)

        def define(note: list[str]) -> None:
            Adopting(context, lambda _: None).note_more(rendered)
            applying.definitions(rendered.definitions, note)

        manifest_sources = {
            m.name: m for m in context.profile.manifests if m.name in rendered.sources
        }
        return [
            task("cluster", lambda note: making.run(sources[context.profile.cluster.image], note)),
            task("images", lambda note: loading.run(sources, note)),
            task("api server", making.early),
            task("definitions", define, "api server"),
            *(
                task(f"apply {n}", applying.source(rendered.rest(n)), "definitions", *source.after)
                for n, source in manifest_sources.items()
            ),
            *(
                task(c.name, applying.gate(c), *_applied(context.profile, rendered, c), *c.after)
                for c in context.profile.components
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
        context, loading, applying = self.context, Loading(self.context), Applying(self.context)
        source, ids = sources[context.profile.cluster.image], applying.ids()
        self._run(
            [
                as_task(context.reporter, "cluster", lambda note: making.run(source, note)),
                as_task(context.reporter, "images", lambda note: loading.run(sources, note)),
                as_task(context.reporter, "pods", making.pods_started, ("cluster",)),
                as_task(context.reporter, "proxy's connection", self._reconnect, ("pods",)),
                *(
                    as_task(context.reporter, c.name, applying.gate(c), ("pods", *c.after))
                    for c in context.profile.components
                ),
            ]
        )
        return applying.ids() == ids

    def _reconnect(self, note: list[str]) -> None:
        context = self.context
        if not context.is_adopted:
            Reconnect(context.profile, context.kube, context.clock).run(note)

    def _run(self, tasks: list[Task]) -> None:
        began = self.context.clock.now()
        try:
            run_all(tasks, on_failure=self.context.abandon)
        except DevenvError as error:
            self._tell_of_dead_nodes(began, error)
            self._offer_return(error)
            raise
        except CycleError as error:
            # Before any of them was begun.
            what = "The profile's manifests and components wait for each other in a circle."
            raise DevenvError(
                what, " → ".join(map(str, error.args[1])), "Nothing was changed.", Exit.USAGE
            ) from error

    def _offer_return(self, error: DevenvError) -> None:
        """Where an image runs that never was proven, name the command that returns to the one before it."""
        context = self.context
        record = context.records.read(context.cluster)
        if record and (names := unproven_names(record)):
            command = undo_command(context.cluster, context.profile, names)
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
            reason = "\n".join(filter(None, (error.what, error.why)))
            raise DevenvError(
                f"The node {', '.join(dead)} ended while `devenv up` worked.", reason, fix
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
        context = self.context
        record, nodes = context.records.read(context.cluster), context.nodes()
        if record is None or not nodes:
            return set()
        names = {i.name: normalise(i.ref) for i in context.profile.cluster_images if own_ref(i)}
        in_nodes = [present(context.containers, n.name) for n in nodes if n.status == "running"]
        return {
            image
            for image, name in names.items()
            if is_proven(record, [n.id for n in nodes], name)
            and all(name in present_names for present_names in in_nodes)
        }

    def _held_images(self) -> dict[str, Held]:
        """Return what every node holds just as it was loaded; for a node that does not run, the record says so."""
        context = self.context
        record, nodes = context.records.read(context.cluster), context.nodes()
        if record is None or not record.made or not nodes:
            return {}
        running = [node for node in nodes if node.status == "running"]
        digests = {
            node.id: by_name(Nodes(context.containers).images(node.name)) for node in running
        }
        held_images = {context.profile.cluster.image: Held(is_any=True)}
        for image in context.profile.cluster_images:
            name = normalise(image.ref)
            loaded = {record.loaded.get(node.id, {}).get(name, "") for node in nodes}
            intact = all(
                digests[n.id].get(name) == current_digest(record, n.id, name) for n in running
            )
            if len(loaded) == 1 and "" not in loaded and intact:
                held_images[image.name] = Held(record.refs.get(name, ""), loaded.pop())
        return held_images

    def _tell_of_changes(self) -> None:
        """Say which images were built from other sources than the checkout has now, and how to renew them."""
        context = self.context
        record = context.records.read(context.cluster)
        for image in (
            i for i in context.profile.cluster_images if own_ref(i) and Path(i.build_in).exists()
        ):
            built = record.built.get(normalise(image.ref), "") if record else ""
            state = self.provider.state(image.build_in).state if built else ""
            if built != state:
                where = "" if context.cluster == DEFAULT_CLUSTER else f" --name {context.cluster}"
                fix = f"`devenv reload-image {image.name} --build{where}`"
                context.reporter.say(
                    f"{image.name} runs {built}; the checkout is at {state}. Renew it: {fix}"
                )

    def _same_architecture(self, sources: dict[str, Source]) -> None:
        """Refuse images that the nodes could not run: containerd would take them without a word (docs/facts/images.md)."""
        engine = self.context.engine
        engine_architecture = engine.info().architecture
        architectures = {
            s.ref: self.context.image(s).architecture for s in sources.values() if s.how != "node"
        }
        wrong = [
            f"{ref} is for {architecture}"
            for ref, architecture in architectures.items()
            if architecture != engine_architecture
        ]
        if wrong:
            fix = f"Bring them for {engine_architecture}, for example with `docker pull --platform linux/{engine_architecture}`."
            raise DevenvError(
                f"Images are not for this engine, which runs {engine_architecture}.",
                "\n".join(wrong),
                fix,
                Exit.PREREQUISITE,
            )

    def _check_host(self, *, exists: bool) -> None:
        """Refuse a host that is too small, before anything is downloaded or compiled.

        Files that can't be used are told with it, as far as they are on this disk.
        """
        context, profile = self.context, self.context.profile
        host = _problem(
            lambda: Preflight(context.host, context.engine, profile).check(exists=exists)
        )
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
        available_sources = [
            m for m in profile.manifests if not m.recipe or self._locate(m).exists()
        ]
        selection = None if len(available_sources) == len(profile.manifests) else available_sources
        rendered: list[manifests.Rendered] = []
        if problems := self._unusable(
            lambda: rendered.append(self._rendered(self._fetched, selection))
        ):
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
        context = self.context
        if self.schemas is None:
            return
        nodes = context.nodes()
        running = bool(nodes) and all(n.status == "running" for n in nodes)
        is_reachable = (
            running and context.kube.server_port() in api_ports(nodes) and context.kube.ready()
        )
        Refusals(self.schemas).check(rendered, context.kube if is_reachable else None)

    def _unusable(self, render: Callable[[], object]) -> list[DevenvError]:
        """Return what is wrong with the profile's archives and with its manifests."""
        checks = (lambda: self.provider.check(self.context.profile.images), render)
        return [problem for check in checks if (problem := _problem(check))]

    def _refused(self, problems: list[DevenvError]) -> DevenvError:
        name = self.context.profile.name
        reason = "\n".join(p.why for p in problems)
        # A wrong profile before a port that is taken.
        code = min(p.exit_code for p in problems)
        if code is not Exit.PREREQUISITE:
            what = f"The profile {name} names files that can't be used."
            return DevenvError(what, reason, "Nothing was changed.", code)
        what = f"The profile {name} names addresses that can't be reached."
        return DevenvError(what, reason, problems[-1].next_step, code)

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
        context = self.context
        folder = context.variant.checkout
        rendered = [self._folders.path(m) for m in context.profile.manifests if m.kustomize]
        if not folder or Path(folder).exists() or not all(path.exists() for path in rendered):
            return False
        where = "" if context.cluster == DEFAULT_CLUSTER else f" --name {context.cluster}"
        fix = f"If you moved it: `devenv up --checkout PATH{where}`."
        context.reporter.say(
            f"The checkout {folder} is gone. The cluster keeps what was installed from it. {fix}"
        )
        return True

    def _check_checkout(self) -> None:
        """Raise DevenvError with all that keeps a checkout from being used."""
        context = self.context
        if context.variant.checkout and (
            problems := checkout.problems(context.variant.checkout, context.profile)
        ):
            reason = "\n".join(problems)
            raise DevenvError(
                "The checkout can't be used.", reason, "Nothing was changed.", Exit.USAGE
            )
        if not context.variant.checkout and context.profile.tests:
            what = (
                f"The profile {context.profile.name} needs a checkout: its tests come from there."
            )
            raise DevenvError(what, "Nothing was changed.", "Pass --checkout PATH.", Exit.USAGE)

    @property
    def _folders(self) -> Folders:
        context = self.context
        return Folders(self.kustomize, context.profile, context.variant, self._provided)

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
        context = self.context
        Ballast(context.host, context.containers).restore(
            tuple(n.name for n in context.nodes() if n.status == "running")
        )
        with suppress(OSError):
            History(context.host, context.clock).prepare()
        # Its file is there from now on.
        with suppress(LockedError), context.host.lock("images"):
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
        context = self.context
        if source.how != "node":
            return context.image(source).id
        record, name = context.records.read(context.cluster), normalise(source.image.ref)
        return (
            next((images[name] for images in record.loaded.values() if name in images), "")
            if record
            else ""
        )

    def _nothing_to_do(self) -> list[Proof]:
        """Return the proofs if what is installed is what is wanted, every gate is open and every route answers."""
        context = self.context
        record, nodes = context.records.read(context.cluster), context.nodes()
        running = bool(nodes) and all(n.status == "running" for n in nodes)
        if not (record and record.digest and running) or context.replacing.is_open():
            return []
        kept_images = self._kept_images()
        needed = [i for i in context.profile.images if i.name not in kept_images]
        held_images = cache(self._held_images)
        if not (self.provider.ready(needed, held_images) and self._files_ready()):
            return []
        sources = self.provider.provide(
            context.profile.images, in_nodes=kept_images, held=held_images
        )
        if record.digest != self._digest(sources) or not context.kube.ready():
            return []
        if not Loading(context).complete(sources[i.name] for i in context.profile.cluster_images):
            return []
        all_open = not any(
            ready.missing(c, find(context.kube, c)) for c in context.profile.components
        )
        if not (all_open and self.settled.is_over()):
            return []
        proofs = self.prober.probe(context.profile.requests)
        return proofs if all(p.ok for p in proofs) else []

    def _files_ready(self) -> bool:
        return all(self._locate(source).exists() for source in self.context.profile.manifests)


def _applied(profile: Profile, rendered: manifests.Rendered, component: Component) -> list[str]:
    """Return the applying of which sources a component waits for: those that wait for nothing, and the one that has it."""
    r = component.resource
    resource_key = (r.kind, r.namespace, r.name)
    return [
        f"apply {source.name}"
        for source in profile.manifests
        if source.name in rendered.sources
        and (
            not source.after
            or any(manifests.key(obj)[1:] == resource_key for obj in rendered.sources[source.name])
        )
    ]


def _problem(check: Callable[[], object]) -> DevenvError | None:
    try:
        check()
    except DevenvError as error:
        return error
    return None
