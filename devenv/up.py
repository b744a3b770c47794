"""`up`: creates a cluster, or finishes creating it, until it answers on every route."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, replace
from graphlib import CycleError
from itertools import chain
from pathlib import Path

from devenv.base.counting import counted
from devenv.base.digests import sha256_of
from devenv.base.errors import DevenvError, Exit, LockedError
from devenv.base.image_names import normalise
from devenv.base.steps import as_task, step
from devenv.base.tasks import Task, run_all
from devenv.base.wait import locked
from devenv.cluster.adopt import Adopting, Adoption, remember
from devenv.cluster.ended_nodes import EndedNodes, has_ended
from devenv.cluster.host_ports import HostPorts
from devenv.cluster.making import Making
from devenv.cluster.node_repair import NodeRepair
from devenv.cluster.preflight import Preflight
from devenv.cluster.reconnect import Reconnect
from devenv.disk.ballast import Ballast
from devenv.disk.history import History
from devenv.facts.certificates import CERTIFICATES, is_certgen
from devenv.facts.live import Proof
from devenv.gates import headers, ready
from devenv.gates.live import Prober
from devenv.gates.proving import prove_routes
from devenv.images.sources.provider import Provider
from devenv.install import manifests
from devenv.install.applying import Applying, find
from devenv.install.certificates import Certificates
from devenv.install.checkout import Kustomize
from devenv.install.context import Context, are_running, node_names, running_nodes
from devenv.install.declared import Declarations, declarations_file, missing_objects
from devenv.install.downloads import Downloads
from devenv.install.image_sources import ImageSources, SourcesByName
from devenv.install.loading import Loading
from devenv.install.manifest_files import ManifestFiles
from devenv.install.manifest_sources import ManifestSources
from devenv.install.manifests import Rendered
from devenv.install.refusals import Refusals
from devenv.install.settled import Settled
from devenv.ports.containers import Node
from devenv.ports.envoy import Envoy
from devenv.ports.kube import Manifest
from devenv.ports.schemas import Schemas
from devenv.profiles.model import Component, ManifestSource, Profile
from devenv.state.proven import undo_command, unproven_names
from devenv.state.record import api_ports, own_nodes

# Seconds for the live requests once every gate is open.
_PROOF = 60.0
# The same after a node was started: if envoy-gateway v1.2.8 starts before the API server is ready,
# it does nothing until its liveness probe restarts it, about 65 s later (seen on the lab: "hook
# error", then 0/1 until "shutting down").
_PROOF_STARTED = 240.0
# Missing objects that a line names.
_SHOWN_OBJECTS = 3
# Names of steps.
_IMAGES, _DEFINITIONS, _PUT_BACK = "images", "definitions", "put back"
PUT_BACK_STEPS = (_IMAGES, _DEFINITIONS, _PUT_BACK)
RENEWAL = "renew the certificates"


@dataclass(frozen=True)
class Result:
    """What `up` came to."""

    cluster: str
    profile: str
    url: str
    proofs: tuple[Proof, ...]
    # False if there was nothing to do.
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
    # Gives the path of a file that a recipe makes, by the recipe's name and the file's.
    recipe_file: Callable[[str, str], Path]
    # With --adopt: shows what would change, and asks.
    agree: Callable[[Adoption], None] | None = None
    _: KW_ONLY
    envoy: Envoy
    # None if patches are not to be checked before they are applied.
    schemas: Schemas | None = None

    @property
    def _profile(self) -> Profile:
        return self.context.profile

    @property
    def _images(self) -> ImageSources:
        return ImageSources(self.context, self.provider)

    @property
    def _files(self) -> ManifestSources:
        files = ManifestFiles(
            self._profile,
            self.manifests_folder,
            self.downloads,
            self.kustomize,
            self.recipe_file,
        )
        return ManifestSources(self.context, self.provider, files)

    def run(self, wait: float) -> Result:
        """Do what is missing, and return once every route is proven.

        `wait`: seconds to wait for another process that has the cluster's lock. Raises DevenvError;
        the next run then resumes.
        """
        context = self.context
        headers.check(context.profile.requests)
        lock = f"cluster-{context.cluster}"
        with locked(context.host, context.clock, lock, context.reporter.say, wait):
            return self._run_locked()

    def _run_locked(self) -> Result:
        """Do what `run` promises. The caller holds the cluster's lock."""
        making = Making(self.context)
        self._forget_deleted_cluster()
        foreign_nodes = self._foreign_nodes()
        nodes = foreign_nodes or self._own_nodes()
        making.same_profile()
        making.same_config()
        has_repaired = not foreign_nodes and self._repair_nodes(nodes)
        self._prepare_checkout(nodes)
        if proofs := self._proofs_if_unchanged():
            self._images.report_outdated_images()
            return self._result(proofs, changed=has_repaired)
        if nodes:
            self._check_host(exists=True)
        sources = self._install(making, nodes, foreign_nodes)
        self.settled.run()
        seconds = _PROOF_STARTED if making.started else _PROOF
        proofs = self._prove(seconds)
        self._remember(sources)
        self._take_space_for_repairs()
        return self._result(proofs, changed=True)

    def _repair_nodes(self, nodes: Sequence[Node]) -> bool:
        """Repair what is wrong beneath Kubernetes, and return whether anything was.

        A cluster that kind did not finish is left alone.
        """
        record = self.context.record
        is_complete = record is not None and (record.made or record.adopted)
        return is_complete and NodeRepair(self.context).run(nodes)

    def _own_nodes(self) -> list[Node]:
        context = self.context
        return own_nodes(context.records, context.engine, context.containers, context.cluster)

    def _prepare_checkout(self, nodes: Sequence[Node]) -> None:
        """Check the checkout, and for a new cluster the host, then render the kustomize folders."""
        if nodes and self._files.is_checkout_lost():
            self._files.report_lost_checkout()
            return
        self._files.check_checkout()
        if not nodes:
            self._check_host(exists=False)
        self._files.folders.render_all()

    def _install(
        self, making: Making, nodes: Sequence[Node], foreign_nodes: list[Node]
    ) -> SourcesByName:
        """Start the cluster, or create it and apply everything. Return the images' sources."""
        checked = self._check_files()
        sources = self._images.provide()
        rendered = self._with_recipes(checked)
        if foreign_nodes and self.agree:
            Adopting(self.context, self.agree).adopt(foreign_nodes, rendered)
        making.discard_half_made()
        needs_only_start = bool(nodes) and self._needs_only_start(nodes, sources)
        is_complete = needs_only_start and self._start(making, sources)
        if not is_complete:
            tasks = self._tasks(making, sources, rendered)
            self._run(tasks)
        return sources

    def _remember(self, sources: SourcesByName) -> None:
        """Note in the record that this profile with these images was proven."""
        context = self.context
        names = [normalise(image.ref) for image in context.profile.cluster_images]
        context.proven.prove(context.nodes(), names)
        nodes = node_names(context.nodes())
        context.proven.forget_superseded(nodes)
        # `_provide` did this, too, but a new cluster had no record then.
        self._images.note_built_images()
        self._images.own_builds.forget_superseded()
        self._images.report_outdated_images()
        digest = self._digest(sources)
        remember(context, lambda record: replace(record, digest=digest, **context.chosen))

    def _take_space_for_repairs(self) -> None:
        """Take the space that a repair of a full disk will need."""
        context = self.context
        nodes = running_nodes(context.nodes())
        ballast = Ballast(context.host, context.containers)
        ballast.restore(node_names(nodes))
        with suppress(OSError):
            History(context.host, context.clock).prepare()
        # Create the lock's file: on a full disk that would be too late.
        with suppress(LockedError), context.host.lock("images"):
            pass

    def _result(self, proofs: list[Proof], *, changed: bool) -> Result:
        profile = self._profile
        return Result(
            cluster=self.context.cluster,
            profile=profile.name,
            url=profile.gateway.url,
            proofs=tuple(proofs),
            changed=changed,
            version=profile.version,
        )

    @property
    def settled(self) -> Settled:
        """The gate at the end: every rollout is over."""
        context = self.context
        return Settled(context.kube, self.envoy, context.clock, context.profile, context.reporter)

    def _prove(self, seconds: float) -> list[Proof]:
        hint = "Look at it with `devenv status` and `devenv request`."
        return prove_routes(self.context.reporter, self.prober, seconds, hint)

    # Adopted clusters

    def _forget_deleted_cluster(self) -> None:
        """Forget an adopted cluster that its owner has deleted."""
        context = self.context
        if context.is_adopted and not context.nodes():
            context.reporter.say(
                f"The adopted cluster {context.cluster} no longer exists; devenv forgets it."
            )
            context.records.remove(context.cluster)

    def _foreign_nodes(self) -> list[Node]:
        """With --adopt: return the nodes of another tool's cluster, if devenv can work with it."""
        if self.agree is None:
            return []
        adopting = Adopting(self.context, self.agree)
        foreign_nodes = adopting.foreign()
        if not foreign_nodes:
            return []
        adopting.reach(foreign_nodes)
        # A cluster that was adopted before is devenv's own again.
        if adopting.restored(foreign_nodes):
            return []
        return foreign_nodes

    # For `recover` and `doctor`

    def objects(self) -> list[Manifest]:
        """Return the profile's objects as `up` applies them.

        Raises DevenvError if they can't be read.
        """
        rendered = self._files.render(self._files.fetch_or_render)
        return list(chain(*rendered.sources.values()))

    def made_objects(self) -> list[Manifest]:
        """Return the profile's objects, after building the files that they come from.

        This needs no cluster.
        """
        self._files.check_checkout()
        self._files.folders.render_all()
        self.provider.provide((), self._profile.recipe_files)
        return self.objects()

    def put_back(self, objects: Sequence[Manifest], replaced: Sequence[Manifest]) -> None:
        """Load missing images and apply these objects again.

        Those in `replaced` lose the fields that others have set in them.
        """
        context = self.context
        applying = Applying(context)
        sources = self._images.provide()
        rendered = self._files.render(self._files.fetch_or_render)
        with step(context.reporter, _IMAGES) as note:
            Loading(context).run(sources, note)
        with step(context.reporter, _DEFINITIONS) as note:
            applying.definitions(rendered.definitions, note)
        with step(context.reporter, _PUT_BACK) as note:
            ids = applying.ids()
            for obj in objects:
                stamped_object = manifests.stamped(obj, ids)
                if obj in replaced:
                    context.kube.replace(stamped_object)
                else:
                    context.kube.apply(stamped_object)
            plural = "" if len(objects) == 1 else "s"
            note.append(f"{len(objects)} object{plural}")

    def renew_certificates(self) -> None:
        """Let the profile's certgen renew all of Envoy Gateway's certificates.

        Envoy Gateway and its proxy keep theirs until they are restarted. Raises DevenvError if the
        profile has no such Job, or if its Secrets don't come.
        """
        context = self.context
        ids = Applying(context).ids()
        certificates = Certificates(context.kube, context.clock)
        jobs = list(filter(is_certgen, self.objects()))
        if not jobs:
            raise DevenvError(
                "The profile's manifests have no Job that makes Envoy Gateway's certificates.",
                "Another tool made them.",
                "Renew all of them with it, then run `devenv restart`.",
            )
        for job in jobs:
            with step(context.reporter, RENEWAL) as note:
                certificates.renew(manifests.stamped(job, ids))
                note.append(f"{len(CERTIFICATES)} Secrets")

    # The tasks, which start as soon as those before them are done

    def _task(self, name: str, run: Callable[[list[str]], None], *dependencies: str) -> Task:
        return as_task(self.context.reporter, name, run, dependencies)

    def _tasks(self, making: Making, sources: SourcesByName, rendered: Rendered) -> list[Task]:
        """Return the tasks that create the cluster and apply everything."""
        context = self.context
        applying = Applying(context)
        loading = Loading(context)
        node_source = sources[context.profile.cluster.image]

        def define(note: list[str]) -> None:
            Adopting(context, lambda _: None).note_more(rendered)
            applying.definitions(rendered.definitions, note)

        return [
            self._task("cluster", lambda note: making.run(node_source, note)),
            self._task("images", lambda note: loading.run(sources, note)),
            self._task("api server", making.early),
            self._task("definitions", define, "api server"),
            *self._apply_tasks(applying, rendered),
            *self._gate_tasks(applying, rendered),
        ]

    def _apply_tasks(self, applying: Applying, rendered: Rendered) -> list[Task]:
        """Return a task for each source of manifests; it waits for definitions and components."""
        tasks = []
        for source in self._profile.manifests:
            if source.name in rendered.sources:
                run = applying.source(rendered.rest(source.name))
                name = _apply_task_name(source)
                task = self._task(name, run, "definitions", *source.after)
                tasks.append(task)
        return tasks

    def _gate_tasks(self, applying: Applying, rendered: Rendered) -> list[Task]:
        """Return a task for each component; it waits for what applies the component's object."""
        tasks = []
        for component in self._profile.components:
            apply_tasks = _apply_tasks_before(component, self._profile, rendered)
            run = applying.gate(component)
            task = self._task(component.name, run, *apply_tasks, *component.after)
            tasks.append(task)
        return tasks

    def _needs_only_start(self, nodes: Sequence[Node], sources: SourcesByName) -> bool:
        """Whether all nodes ended after the cluster was proven, and nothing has changed since."""
        if not all(map(has_ended, nodes)):
            return False
        record = self.context.record
        if record is None or not record.digest:
            return False
        return record.digest == self._digest(sources)

    def _start(self, making: Making, sources: SourcesByName) -> bool:
        """Start the nodes, and return whether nothing has to be applied.

        If a node had another image than devenv had loaded, its pods must be replaced. If the start
        fails, the next `up` applies everything.
        """
        applying = Applying(self.context)
        ids = applying.ids()
        tasks = self._start_tasks(making, sources, applying)
        self._run(tasks)
        return applying.ids() == ids

    def _start_tasks(
        self, making: Making, sources: SourcesByName, applying: Applying
    ) -> list[Task]:
        """Return the tasks that start the nodes and wait for every component."""
        loading = Loading(self.context)
        node_source = sources[self._profile.cluster.image]
        tasks = [
            self._task("cluster", lambda note: making.run(node_source, note)),
            self._task("images", lambda note: loading.run(sources, note)),
            self._task("pods", making.pods_started, "cluster"),
            self._task("proxy's connection", self._reconnect, "pods"),
        ]
        for component in self._profile.components:
            run = applying.gate(component)
            task = self._task(component.name, run, "pods", *component.after)
            tasks.append(task)
        return tasks

    def _reconnect(self, note: list[str]) -> None:
        context = self.context
        if not context.is_adopted:
            Reconnect(context.profile, context.kube, context.clock).run(note)

    def _run(self, tasks: list[Task]) -> None:
        """Run tasks side by side. Raises the first error, with what it may have come from."""
        start_time = self.context.clock.now()
        self.context.reporter.plan(tuple(task.name for task in tasks))
        try:
            run_all(tasks, on_failure=self.context.abandon)
        except DevenvError as error:
            EndedNodes(self.context).blame(start_time, error)
            self._offer_undo(error)
            raise
        except CycleError as error:
            # Raised before any task has begun.
            circle = map(str, error.args[1])
            raise DevenvError(
                "The profile's manifests and components wait for each other in a circle.",
                " → ".join(circle),
                "Nothing was changed.",
                Exit.USAGE,
            ) from error

    # Errors of a task

    def _offer_undo(self, error: DevenvError) -> None:
        """If an image runs that never was proven, name the command that returns to the last one."""
        context = self.context
        record = self.context.record
        if record and (names := unproven_names(record)):
            command = undo_command(context.cluster, context.profile, names)
            hint = f"`{command}` returns to the image that was proven before."
            error.next_step = f"{hint}\n{error.next_step}".strip()

    # Checks before anything changes

    def _check_host(self, *, exists: bool) -> None:
        """Refuse a host that is too small, before anything is downloaded or compiled.

        The same error names manifests and archives that can't be used, as far as they are on disk.
        """
        context = self.context
        profile = context.profile
        ports = HostPorts(context.cluster, context.host, context.containers, context.records)
        preflight = Preflight(context.host, context.engine, profile, ports)
        host_problem = _problem(lambda: preflight.check(exists=exists))
        if host_problem is None:
            return
        local_sources = [source for source in profile.manifests if source.path]
        problems = [host_problem, *self._archive_problems()]
        manifest_problem = _problem(lambda: self._files.render(self._files.locate, local_sources))
        if manifest_problem:
            problems.append(manifest_problem)
        if len(problems) > 1:
            raise self._refused(problems)
        raise host_problem

    def _check_files(self) -> Rendered:
        """Refuse manifests and archives that can't be used, all at once, before any change.

        Returns the manifests, without those of recipes whose files are yet to be built.
        """
        available_sources = self._files.available_sources()
        problems = self._archive_problems()
        rendered = None
        try:
            rendered = self._files.render(self._files.fetch, available_sources)
        except DevenvError as error:
            problems.append(error)
        if rendered is None or problems:
            raise self._refused(problems)
        self._check_patches(rendered)
        return rendered

    def _with_recipes(self, checked: Rendered) -> Rendered:
        """Return the manifests with those of recipes, once their files are built."""
        if not self._profile.recipe_files:
            return checked
        rendered = self._files.render(self._files.locate)
        self._check_patches(rendered)
        return rendered

    def _check_patches(self, rendered: Rendered) -> None:
        """Refuse patches whose result the API server would refuse. A running one is asked."""
        if self.schemas is None:
            return
        kube = self.context.kube if self._is_api_server_reachable() else None
        Refusals(self.schemas).check(rendered, kube)

    def _is_api_server_reachable(self) -> bool:
        """Whether the context leads to this cluster, and its API server is ready."""
        context = self.context
        nodes = context.nodes()
        if not are_running(nodes):
            return False
        leads_to_cluster = context.kube.server_port() in api_ports(nodes)
        return leads_to_cluster and context.kube.ready()

    def _archive_problems(self) -> list[DevenvError]:
        problem = _problem(lambda: self.provider.check(self._profile.images))
        return [problem] if problem else []

    def _refused(self, problems: list[DevenvError]) -> DevenvError:
        """Return one error for all problems of the profile's files."""
        name = self._profile.name
        reason = "\n".join(problem.why for problem in problems)
        # The lowest exit code: a wrong profile comes before a port that is taken.
        code = min(problem.exit_code for problem in problems)
        if code is not Exit.PREREQUISITE:
            what = f"The profile {name} names files that can't be used."
            return DevenvError(what, reason, "Nothing was changed.", code)
        what = f"The profile {name} names addresses that can't be reached."
        return DevenvError(what, reason, problems[-1].next_step, code)

    # Whether there is anything to do

    def _proofs_if_unchanged(self) -> list[Proof]:
        """Return the proofs if the profile is installed and works as it is, otherwise nothing."""
        if not self._is_installed() or self._has_lost_objects():
            return []
        if not self._has_only_open_gates():
            return []
        proofs = self.prober.probe(self._profile.requests)
        if not all(proof.ok for proof in proofs):
            return []
        return proofs

    def _is_installed(self) -> bool:
        """Whether the running cluster has just what the profile says now."""
        context = self.context
        record = self.context.record
        nodes = context.nodes()
        if record is None or not record.digest or not are_running(nodes):
            return False
        if context.replacing.is_open() or not self._files.has_all_files():
            return False
        sources = self._images.sources_without_work()
        if sources is None or record.digest != self._digest(sources):
            return False
        if not context.kube.ready():
            return False
        cluster_sources = [sources[image.name] for image in context.profile.cluster_images]
        return Loading(context).complete(cluster_sources)

    def _has_lost_objects(self) -> bool:
        """Whether an object of the profile is gone.

        Requests alone don't show it: Envoy serves a deleted route for a moment, and no request
        needs a limit or a right of a controller's.
        """
        context = self.context
        cache_file = declarations_file(context.host, context.cluster)
        declarations = Declarations(self._profile, self._files.locate, cache_file)
        missing = missing_objects(context.kube, declarations.names())
        if missing:
            shown = ", ".join(missing[:_SHOWN_OBJECTS])
            context.reporter.say(f"{counted(len(missing), 'object')} missing, such as {shown}.")
        return bool(missing)

    def _has_only_open_gates(self) -> bool:
        kube = self.context.kube
        for component in self._profile.components:
            if ready.missing(component, find(kube, component)):
                return False
        return self.settled.is_over()

    def _digest(self, sources: SourcesByName) -> str:
        """Return a checksum of everything that decides what is in the cluster.

        The node image does not count: nodes stay what they were created from.
        """
        node_image = self._profile.cluster.image
        names = sorted(sources.keys() - {node_image})
        ids = [self._images.image_id(sources[name]) for name in names]
        fingerprint = manifests.fingerprint(self._profile, self._files.locate)
        text = repr((ids, fingerprint))
        return sha256_of(text)


def _apply_task_name(source: ManifestSource) -> str:
    return f"apply {source.name}"


def _apply_tasks_before(component: Component, profile: Profile, rendered: Rendered) -> list[str]:
    """Return the names of the tasks that apply manifests before a component's gate.

    These are the sources that wait for no component, and the one that has the component's object.
    """
    task_names = []
    for source in profile.manifests:
        objects = rendered.sources.get(source.name)
        if objects is None:
            continue
        if not source.after or _has_object_of(component, objects):
            task_names.append(_apply_task_name(source))
    return task_names


def _has_object_of(component: Component, objects: Sequence[Manifest]) -> bool:
    resource = component.resource
    resource_key = (resource.kind, resource.namespace, resource.name)
    # A component may name another apiVersion of the same object.
    return any(manifests.key(obj)[1:] == resource_key for obj in objects)


def _problem(check: Callable[[], object]) -> DevenvError | None:
    """Return the error that a check raises, None if it raises none."""
    try:
        check()
    except DevenvError as error:
        return error
    return None
