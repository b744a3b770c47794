"""The composition root: the one place where ports meet their adapters.

Each method imports what it makes: a command waits only for what it needs.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from devenv import data
from devenv.adapters.clock import SystemClock
from devenv.adapters.docker import DockerEngine, docker_environment
from devenv.adapters.host import LocalHost
from devenv.adapters.kube import ContextKube
from devenv.base.errors import DevenvError, Exit, NotReachableError
from devenv.base.image_names import ReturnNames
from devenv.ports.processes import Environment
from devenv.ui import console, progress, verbosity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from devenv.adapters.kind import KindProgram
    from devenv.cluster.adopt import Adoption
    from devenv.cluster.down import Down
    from devenv.cluster.kubeconfig import ClusterKubeconfig
    from devenv.cluster.kubectl import Kubectl
    from devenv.cluster.listing import Listing
    from devenv.cluster.pod_exec import PodExec
    from devenv.cluster.status import StatusReader
    from devenv.cluster.status_watch import StatusWatch
    from devenv.cluster.stop import Stop
    from devenv.cluster.versions import VersionReader
    from devenv.diagnosis.good import GoodFacts
    from devenv.disk.guard import Guard
    from devenv.disk.prune import Proposal as RoomProposal
    from devenv.disk.prune import Prune
    from devenv.disk.schedule import Job
    from devenv.disk.survey import Surveyor
    from devenv.e2e.run import SourceTestRun
    from devenv.facts.collect import Collector
    from devenv.facts.logs import LogLine, LogReader
    from devenv.facts.model import Declared, Facts, WasteFacts
    from devenv.gates.live import Prober
    from devenv.gates.series import Series
    from devenv.images.recipes.build import Builder
    from devenv.images.sources.inplace import InPlace
    from devenv.images.sources.provider import Provider
    from devenv.install.availability import Sources
    from devenv.install.downloads import Downloads
    from devenv.models.models import Models
    from devenv.ports.kube import Manifest
    from devenv.profiles.headers import Headers
    from devenv.profiles.model import Profile, PythonBase
    from devenv.profiles.variant import Variant
    from devenv.recovery.proposal import Proposal
    from devenv.recovery.recover import Recover
    from devenv.recovery.scheduled import Scheduled
    from devenv.reload.reload import Options, Reload
    from devenv.restart import Restart
    from devenv.session import Session
    from devenv.state.choice import Choice
    from devenv.state.ownership import Ownership
    from devenv.state.record import Records
    from devenv.up import Up
    from devenv.workstation.bugreport import BugReport, Contents
    from devenv.workstation.configuration import ConfigurationReader
    from devenv.workstation.purge import Purge
    from devenv.workstation.schedule import Schedule
    from devenv.workstation.setup import Setup

# Of a bug report: seconds for its facts, and lines of each container's log.
_LOOK, _LINES = 10.0, 2000


@dataclass
class World:
    """Everything that a command works with, made when it is first asked for."""

    images_folder: Path

    @cached_property
    def host(self) -> LocalHost:
        """This machine."""
        return LocalHost(self._show_program)

    def _show_program(self, argv: Sequence[str]) -> None:
        """Show a program that is about to be started, if the user wants to see everything."""
        if verbosity.is_verbose():
            self.reporter.say(progress.program_line(argv))

    @cached_property
    def clock(self) -> SystemClock:
        """Time."""
        return SystemClock()

    @cached_property
    def engine(self) -> DockerEngine:
        """The engine, its images and its containers."""
        return DockerEngine(self._tell)

    def _tell(self, text: str) -> None:
        """Say something; the reporter is made only now."""
        self.reporter.say(text)

    @cached_property
    def reporter(self) -> progress.Lines:
        """Who shows progress."""
        return progress.reporter(console.progress())

    @cached_property
    def builder(self) -> Builder:
        """Who builds images."""
        from devenv.images.recipes import recipe, toolchain
        from devenv.images.recipes.build import Builder
        from devenv.images.recipes.files import Files

        pin = toolchain.pin(data.root() / "images")
        book = recipe.load(self.images_folder, self.engine.info().architecture, pin.key)
        files = Files(self.host, book, toolchain.Toolchain(self.host, pin))
        return Builder(book, files, self.engine, self.engine, self.host, self.clock, self.reporter)

    @cached_property
    def kind(self) -> KindProgram:
        """The kind on PATH, else the one that devenv built."""
        from devenv.adapters.kind import KindProgram

        return KindProgram(self.host, self._find_kind, docker_environment)

    def _find_kind(self) -> Path | None:
        program = self.host.which("kind")
        if program:
            return program
        # Which one devenv would build depends on the engine's architecture.
        built_file = self.recipe_file("kind", "kind")
        return built_file if built_file.exists() else None

    def recipe_file(self, name: str, file: str) -> Path:
        """Where a recipe's file is, or will be."""
        return self.builder.files.path(self.builder.book.get(name), file)

    def choice(
        self,
        cluster: str,
        requested_profile: str | None,
        variant: Variant | None = None,
        *,
        is_new: bool = False,
        looking: bool = False,
    ) -> Choice:
        """Return the profile for a cluster; if it `is_new`, what can be installed here decides.

        `looking`: for a command that changes nothing; it warns of broken settings and ignores them.
        """
        from devenv.profiles.variant import PLAIN
        from devenv.state.choice import choose

        folder = data.root() / "profiles"
        at_hand = self._sources.availability if is_new else None
        warn = self._warn if looking else None
        return choose(
            self.host, cluster, requested_profile, folder, variant or PLAIN, at_hand, warn
        )

    @staticmethod
    def _warn(error: DevenvError) -> None:
        from devenv.ui import errors

        errors.warning(error, "This command ignores your settings.")

    def profile_of(self, cluster: str, requested_profile: str | None) -> Profile:
        """Return the profile for a cluster that exists: the requested one, or its own."""
        return self.choice(cluster, requested_profile).profile

    @property
    def _sources(self) -> Sources:
        from devenv.adapters.web import HttpWeb
        from devenv.install.availability import Sources

        return Sources(
            self.provider(), self.downloads, self.engine.registry_problem, HttpWeb().problem
        )

    def provider(self, in_place: InPlace | None = None) -> Provider:
        """Return who provides images: from the engine, an archive, a registry or a recipe.

        `in_place`: also builds them in a checkout.
        """
        from devenv.images.sources.provider import Provider

        return Provider(self.engine, self.builder, self.reporter, in_place)

    @property
    def downloads(self) -> Downloads:
        """Who fetches files by their address."""
        from devenv.adapters.web import HttpWeb
        from devenv.install.downloads import Downloads

        return Downloads(self.host, HttpWeb(), self.reporter)

    def in_place(self) -> InPlace:
        """Who builds images from the user's source code."""
        from devenv.images.recipes.toolchain import Toolchain, pin
        from devenv.images.sources.inplace import InPlace

        def toolchain(at_most: str) -> tuple[Toolchain, str]:
            chosen = pin(data.root() / "images").at_most(at_most)
            return Toolchain(self.host, chosen), self.engine.info().architecture

        return InPlace(self.host, self.engine, self.reporter, toolchain, self._python_base)

    def _python_base(self, base: PythonBase) -> str:
        """Bring the base of a Python program's image into the engine, and return its name there."""
        from devenv.profiles.model import ProfileImage

        image = ProfileImage(name="python", ref=base.ref, recipe=base.recipe)
        return self.provider().provide([image])[image.name].ref

    def mock_image(self) -> str:
        """Bring devenv's mock of a model server into the engine, and return its name there."""
        from devenv.models.objects import MOCK_IMAGE
        from devenv.profiles.model import ProfileImage

        image = ProfileImage(name="vllm-mock", ref=MOCK_IMAGE, recipe="vllm-mock")
        return self.provider().provide([image])[image.name].ref

    def check_kubeconfig(self) -> None:
        """Raise DevenvError if the kubeconfig is broken, or if kind could not write to it.

        This is checked before anything is created.
        """
        from devenv.adapters import kubeconfig

        kubeconfig.read()
        kubeconfig.refuse_unwritable()

    def session(self, cluster: str, profile: Profile, kube: ContextKube | None = None) -> Session:
        """Return what a service on a cluster needs.

        `kube`: another API server than the cluster's own.
        """
        from devenv.session import Session

        return Session(
            cluster=cluster,
            profile=profile,
            host=self.host,
            clock=self.clock,
            engine=self.engine,
            containers=self.engine,
            kube=kube or kube_of(cluster),
            reporter=self.reporter,
        )

    @property
    def records(self) -> Records:
        """What devenv remembers of its clusters."""
        from devenv.state.record import Records

        return Records(self.host)

    @property
    def ownership(self) -> Ownership:
        """Whose a cluster is."""
        from devenv.state.ownership import Ownership

        return Ownership(self.records, self.engine, self.engine)

    def prober(self, cluster: str, profile: Profile) -> Prober:
        """Who sends live requests."""
        from devenv.adapters.gateway import HttpGateway
        from devenv.gates.live import Prober

        return Prober(kube_of(cluster), HttpGateway(), self.clock, profile)

    def series(self, cluster: str, profile: Profile) -> Series:
        """Who keeps requests going."""
        from devenv.gates.series import Series

        return Series(self.prober(cluster, profile), self.clock, self.reporter)

    def rendered(self, name: str, variant: Variant) -> list[Manifest]:
        """Return a profile's manifests as `up` applies them."""
        # No cluster can have that name.
        up = self.up(".", self.choice(".", name, variant))
        return up.made_objects()

    def in_nodes(self, cluster: str, image: str) -> bool:
        """Whether every node of a cluster has an image of that name."""
        from devenv.images.nodes.image_import import in_every_node

        return in_every_node(self.engine, cluster, image)

    def models(self, cluster: str, profile: Profile, headers: Headers | None = None) -> Models:
        """`model`. Raises DevenvError if devenv has no such cluster. `headers`: of the requests."""
        from devenv.models.models import Models

        self.own(cluster)
        session = self.session(cluster, profile)
        return Models(session, lambda: self.prober(cluster, profile), headers or {})

    def own(self, cluster: str) -> ContextKube:
        """Return the API server of a cluster.

        Raises DevenvError unless devenv made the cluster, and it runs.
        """
        kube = kube_of(cluster)
        self.ownership.require_own(cluster, kube)
        return kube

    def up(
        self, cluster: str, choice: Choice, agree: Callable[[Adoption], None] | None = None
    ) -> Up:
        """`up`; with `agree`, also for a cluster that another tool made."""
        kube = kube_of(cluster)
        kube.prepare()
        from devenv.adapters.envoy import ForwardedEnvoy
        from devenv.adapters.gateway import HttpGateway
        from devenv.adapters.schemas import BuiltinSchemas
        from devenv.base.steps import Arrivals
        from devenv.base.wait import StoppableClock
        from devenv.gates.live import Prober
        from devenv.install.checkout import Kustomize
        from devenv.install.context import Context
        from devenv.up import Up

        session = self.session(cluster, choice.profile)
        context = Context(
            **vars(session) | {"clock": StoppableClock(self.clock)},
            profile_name=choice.name,
            variant=choice.variant,
            kind=self.kind,
            records=self.records,
            arrivals=Arrivals(),
        )
        prober = Prober(context.kube, HttpGateway(), context.clock, choice.profile)
        provider = self.provider(self.in_place())
        kustomize = Kustomize(self.host, self.reporter)
        return Up(
            context=context,
            prober=prober,
            provider=provider,
            downloads=self.downloads,
            kustomize=kustomize,
            manifests_folder=data.root() / "manifests",
            recipe_file=self.recipe_file,
            agree=agree,
            envoy=ForwardedEnvoy(kube),
            schemas=BuiltinSchemas(),
        )

    def down(self, cluster: str) -> Down:
        """`down`."""
        from devenv.cluster.down import Down

        return Down(
            cluster=cluster,
            host=self.host,
            clock=self.clock,
            engine=self.engine,
            containers=self.engine,
            kind=self.kind,
            kube=kube_of(cluster),
            provide_kind=lambda: self.provider().provide((), [("kind", "kind")]),
            reporter=self.reporter,
        )

    @cached_property
    def purge(self) -> Purge:
        """What `down --purge` removes."""
        from devenv.workstation.purge import Purge

        return Purge(
            self.host, self.clock, self.engine, self.engine, self.reporter, self._recipe_images
        )

    def _recipe_images(self, cluster: str) -> frozenset[str]:
        """Return the names of the images that recipes make for a cluster, and of their bases."""
        profile = self.choice(cluster, None).profile
        book = self.builder.book
        recipes = [image.recipe for image in profile.images if image.recipe]
        recipes += [manifest.recipe_file[0] for manifest in profile.manifests if manifest.recipe]
        return frozenset(book.tag(recipe) for recipe in book.closure(recipes) if recipe.spec.image)

    def surveyor(self, cluster: str, profile: Profile) -> Surveyor:
        """Return the service that finds everything that uses the disks."""
        from devenv.disk.history import History
        from devenv.disk.survey import Surveyor
        from devenv.install.named_images import named_or_unknown
        from devenv.state import needed_images
        from devenv.state.proven import returnable_images

        kube = kube_of(cluster)
        records = self.records
        nodes = partial(self.ownership.nodes, cluster)
        return Surveyor(
            session=self.session(cluster, profile),
            stock=self.engine,
            workload_images=lambda: named_or_unknown(kube, nodes, cluster),
            current=self._current,
            history=History(self.host, self.clock),
            profile_images=lambda: needed_images.profile_images(profile, records.read(cluster)),
            loaded=lambda: needed_images.loaded_images(records.all()),
            nodes=nodes,
            returnable=lambda: self._returnable(cluster),
            returnable_in_engine=lambda: returnable_images(records.all()),
        )

    def _returnable(self, cluster: str) -> ReturnNames:
        from devenv.state.needed_images import returnable_in_nodes
        from devenv.state.proven import ProvenImages

        records = self.records
        proven = ProvenImages(cluster, records, self.engine, self.clock, self.reporter)
        return returnable_in_nodes(proven, self.engine.nodes(cluster), records.read(cluster))

    def _current(self) -> tuple[frozenset[str], frozenset[Path]]:
        """Return what the recipes make as they are now; nothing if the engine does not answer."""
        from devenv.images.recipes.current import current_files, current_images

        try:
            builder = self.builder
        except NotReachableError:
            return frozenset(), frozenset()
        return current_images(builder), current_files(builder)

    def pruner(self, cluster: str, profile: Profile, *, caches: bool = False) -> Prune:
        """`prune`."""
        from devenv.disk.prune import Prune

        return Prune(self.surveyor(cluster, profile), self.reporter, caches)

    def guard(self, cluster: str, profile: Profile) -> Guard:
        """Who makes room before it is needed."""
        from devenv.disk.guard import Guard

        return Guard(self.pruner(cluster, profile), self._may_prune)

    def _may_prune(self, proposal: RoomProposal) -> bool:
        from devenv.ui.prune import confirm_first

        return confirm_first(proposal, self.reporter.say)

    @property
    def schedule(self) -> Schedule:
        """`schedule`."""
        from devenv.adapters.docker import address
        from devenv.workstation.backends import find_backends
        from devenv.workstation.schedule import Schedule

        backends = find_backends(self.host)

        def variables() -> Environment:
            """Return the schedule's environment, which is asked for only at installation."""
            return {"DOCKER_HOST": address()}

        return Schedule(self.host, self.clock, backends.available, backends.all, variables)

    def scheduled(self, job: Job) -> Scheduled:
        """One run of what is scheduled."""
        from devenv.diagnosis.diagnose import diagnose
        from devenv.disk.prune import SCHEDULE
        from devenv.recovery.scheduled import Scheduled

        choice = self.choice(job.cluster, job.profile)

        def repair() -> None:
            self.recover(job.cluster, choice, lambda _: None, SCHEDULE).run(120)

        return Scheduled(
            cluster=job.cluster,
            prune=self.pruner(job.cluster, choice.profile),
            containers=self.engine,
            diagnose=lambda: diagnose(self.facts(job.cluster, choice.profile, 10)),
            repair=repair if job.recover else None,
            tell=lambda report: self.schedule.keep(report.says),
        )

    def stop(self, cluster: str) -> Stop:
        """`stop`."""
        from devenv.cluster.stop import Stop

        return Stop(cluster, self.host, self.clock, self.engine, self.engine, self.reporter)

    def status(self, cluster: str, choice: Choice) -> StatusReader:
        """`status`."""
        from devenv.cluster.status import StatusReader

        return StatusReader(self.session(cluster, choice.profile))

    def status_watch(self, cluster: str, choice: Choice) -> StatusWatch:
        """`status --watch`."""
        from devenv.cluster.route_watch import RouteWatch
        from devenv.cluster.status_watch import StatusWatch

        routes = RouteWatch(self.prober(cluster, choice.profile))
        return StatusWatch(self.status(cluster, choice), routes)

    def listing(self) -> Listing:
        """`list`."""
        from devenv.cluster.listing import Listing

        return Listing(
            self.host, self.clock, self.engine, self.engine, self.engine, self._profile_url
        )

    def _profile_url(self, cluster: str) -> str:
        """Return the URL of the gateway by the cluster's profile, "" if that can't be read."""
        try:
            return self.choice(cluster, None, looking=True).profile.gateway.url
        except DevenvError:
            return ""

    def versions(self, cluster: str) -> VersionReader:
        """`version`."""
        from devenv.cluster.versions import VersionReader

        kube = kube_of(cluster)
        return VersionReader(
            cluster, self.clock, self.engine, self.engine, self.kind, kube, self.records
        )

    def configuration(
        self, cluster: str, profile: str | None, sources: tuple[str, str]
    ) -> ConfigurationReader:
        """`config view`. `sources`: what named the cluster and the profile."""
        import os

        from devenv.adapters.docker.address import address, address_origin
        from devenv.workstation.configuration import ConfigurationReader

        cluster_source, profile_source = sources
        return ConfigurationReader(
            host=self.host,
            cluster=cluster,
            cluster_source=cluster_source,
            profile_source=profile_source,
            choose=lambda: self._choice_for_look(cluster, profile),
            engine=lambda: (address(), address_origin()),
            environment=os.environ,
        )

    def _choice_for_look(self, cluster: str, profile: str | None) -> Choice:
        """Return the profile for a command that reports broken settings itself."""
        from devenv.state.choice import choose

        return choose(
            self.host, cluster, profile, data.root() / "profiles", warn=lambda _error: None
        )

    def bugreport(self, cluster: str, profile: str | None, sources: tuple[str, str]) -> BugReport:
        """`bugreport`. `sources`: what named the cluster and the profile."""
        from devenv.ui.configuration import configuration_shape
        from devenv.ui.diagnosis import plain_text
        from devenv.ui.versions import versions_shape
        from devenv.workstation.bugreport import BugReport, Part
        from devenv.workstation.bugreport_files import OwnFiles

        def read_versions() -> Contents:
            return {"versions.json": versions_shape(self.versions(cluster).read())}

        def read_configuration() -> Contents:
            configuration = self.configuration(cluster, profile, sources).read()
            return {"configuration.json": configuration_shape(configuration)}

        parts = (
            Part("versions.json", read_versions),
            Part("configuration.json", read_configuration),
            *OwnFiles(self.host, self.clock, cluster).parts,
        )
        return BugReport(
            cluster=cluster,
            clock=self.clock,
            profile=lambda: self._choice_for_look(cluster, profile).profile,
            facts=lambda used_profile: self.own_facts(cluster, used_profile, _LOOK),
            logs=lambda used_profile: self._recent_logs(cluster, used_profile),
            describe=lambda diagnosis: plain_text(diagnosis, everything=True),
            parts=parts,
        )

    def _recent_logs(self, cluster: str, profile: Profile) -> Iterator[LogLine]:
        """Yield the last lines of each container, and those before its last restart."""
        from devenv.facts.logs import LogRange

        return self.logs(cluster, profile).read((), LogRange(tail=_LINES))

    def kubeconfig(self, cluster: str) -> ClusterKubeconfig:
        """`kubeconfig`."""
        from devenv.cluster.kubeconfig import ClusterKubeconfig

        return ClusterKubeconfig(cluster, self.host, self.engine, self.ownership)

    def kubectl(self, cluster: str) -> Kubectl:
        """`kubectl`."""
        from devenv.cluster.kubectl import Kubectl

        kubeconfig = self.kubeconfig(cluster)
        return Kubectl(kubeconfig, self.host, self.engine, docker_environment, self._tell)

    def pod_exec(self, cluster: str, profile: Profile) -> PodExec:
        """`exec`. Raises DevenvError if devenv has no such cluster."""
        from devenv.cluster.pod_exec import PodExec

        session = self.session(cluster, profile, self.own(cluster))
        return PodExec(session, self.kubectl(cluster))

    def collector(
        self, cluster: str, profile: Profile, kube: ContextKube | None = None
    ) -> Collector:
        """Return the service that collects a cluster's facts.

        `kube`: another API server than the cluster's own.
        """
        from devenv.adapters.envoy import ForwardedEnvoy
        from devenv.facts.collect import Collector
        from devenv.state.needed_images import unproven_images

        kube = kube or kube_of(cluster)
        return Collector(
            session=self.session(cluster, profile, kube),
            envoy=ForwardedEnvoy(kube),
            requests=self.prober(cluster, profile),
            declared=lambda: self._declared(cluster, profile),
            returnable=lambda: unproven_images(self.records, cluster),
            stopped=lambda: self.records.stop_time(cluster),
            waste=lambda: self._waste(cluster, profile),
        )

    def _waste(self, cluster: str, profile: Profile) -> tuple[WasteFacts, ...]:
        """Return what goes first on a full disk, and whose it was."""
        from dataclasses import asdict

        from devenv.facts.model import WasteFacts

        waste = self.surveyor(cluster, profile).waste()
        return tuple(WasteFacts(**asdict(each)) for each in waste)

    def _declared(self, cluster: str, profile: Profile) -> tuple[Declared, ...] | None:
        """Return the objects in the profile's manifests, None if it has no manifests."""
        from devenv.install.checkout import Kustomize
        from devenv.install.declared import Declarations, declarations_file
        from devenv.install.manifest_files import ManifestFiles

        if not profile.manifests:
            return None
        kustomize = Kustomize(self.host, self.reporter)
        folder = data.root() / "manifests"
        files = ManifestFiles(profile, folder, self.downloads, kustomize, self.recipe_file)
        cache_file = declarations_file(self.host, cluster)
        return Declarations(profile, files.path, cache_file).read()

    def facts(self, cluster: str, profile: Profile, seconds: float, *, long: bool = False) -> Facts:
        """Return the facts of a cluster, redacted. `long`: also those of long requests."""
        from devenv.facts import files
        from devenv.gates import headers

        secrets = {s for live in profile.requests for s in headers.resolve(live).secrets}
        facts = self.collector(cluster, profile).collect(seconds, long=long)
        return files.clean(facts, secrets)

    def own_facts(
        self, cluster: str, profile: Profile, seconds: float, *, long: bool = False
    ) -> Facts:
        """Return the facts of a cluster, redacted. `long`: also those of long requests.

        Raises DevenvError if the cluster of that name is not devenv's, or is on another engine.
        """
        facts = self.facts(cluster, profile, seconds, long=long)
        if facts.engine and facts.knows("nodes"):
            self.ownership.refuse_foreign(cluster)
        return facts

    def facts_of_context(self, context: str, seconds: float) -> Facts:
        """Return the facts that the API server of any context gives, redacted.

        Raises DevenvError if the kubeconfig does not have the context.
        """
        from devenv.adapters.kubeconfig import NoContextError
        from devenv.facts import files
        from devenv.facts.anywhere import discovered

        kube = ContextKube(context, proxied=True)
        try:
            # A context that does not exist is a wrong call, not a finding.
            kube.settings("its address")
        except NoContextError as error:
            fix = "`kubectl config get-contexts` lists them."
            raise DevenvError(
                f"The kubeconfig has no context {context}.", error.why, fix, Exit.USAGE
            ) from error
        collector = self.collector(context, discovered(context, {}), kube)
        return files.clean(collector.collect_api(seconds, context))

    @property
    def good_facts(self) -> GoodFacts:
        """The facts of the last healthy `up`."""
        from devenv.diagnosis.good import GoodFacts

        return GoodFacts(self.host, self.reporter)

    def recover(
        self, cluster: str, choice: Choice, agree: Callable[[Proposal], None], who: str = "user"
    ) -> Recover:
        """`recover`. `who` agrees."""
        from devenv.adapters.envoy import ForwardedEnvoy
        from devenv.recovery.recover import Recover

        up = self.up(cluster, choice)
        return Recover(
            up=up,
            envoy=ForwardedEnvoy(kube_of(cluster)),
            prober=up.prober,
            prune=self.pruner(cluster, choice.profile, caches=who == "user"),
            facts=lambda seconds: self.facts(cluster, choice.profile, seconds),
            agree=agree,
            undo=lambda names: self._undo(cluster, choice.profile, names),
            who=who,
        )

    def _undo(self, cluster: str, profile: Profile, names: Sequence[str]) -> None:
        """Return to the images that were proven before. The caller holds the cluster's lock."""
        from devenv.reload.reload import Options

        self.reload(cluster, profile, Options()).undo_locked(names)

    def changes(self, paths: Sequence[Path]) -> Iterator[list[str]]:
        """Files that change, as they do."""
        from devenv.adapters.watcher import FileWatcher

        return FileWatcher().changes(paths)

    def reload(self, cluster: str, profile: Profile, options: Options) -> Reload:
        """`reload-image`."""
        from devenv.adapters.endpoint import LoopbackEndpoint
        from devenv.gates import headers
        from devenv.reload.push import Pusher
        from devenv.reload.reload import Reload

        kube = kube_of(cluster)
        if options.restart:
            headers.check(profile.requests)
            kube.prepare()
        return Reload(
            session=self.session(cluster, profile, kube),
            restart=self._restart(kube, profile),
            prober=self.prober(cluster, profile),
            pusher=Pusher(self.engine, LoopbackEndpoint(), self.host),
            in_place=self.in_place(),
            options=options,
        )

    def source_tests(self, cluster: str, profile: Profile, checkout: str) -> SourceTestRun:
        """`test-e2e`. Raises DevenvError if devenv has no such cluster."""
        from devenv.adapters.forwarding import LoopbackForwarding
        from devenv.e2e.run import SourceTestRun
        from devenv.images.recipes.toolchain import Toolchain, pin

        # A source that refuses newer compilers refuses them for its tests as well.
        limits = [image.go.at_most for image in profile.images if image.go and image.go.at_most]
        newest_compiler = limits[0] if limits else ""
        compiler = pin(data.root() / "images").at_most(newest_compiler)
        kube = self.own(cluster)
        return SourceTestRun(
            session=self.session(cluster, profile, kube),
            checkout=checkout,
            forwarding=LoopbackForwarding(kube),
            toolchain=Toolchain(self.host, compiler),
        )

    def restart(self, cluster: str, profile: Profile) -> Restart:
        """`restart`. Raises DevenvError if devenv has no such cluster."""
        return self._restart(self.own(cluster), profile)

    def _restart(self, kube: ContextKube, profile: Profile) -> Restart:
        from devenv.adapters.envoy import ForwardedEnvoy
        from devenv.restart import Restart

        return Restart(profile, kube, ForwardedEnvoy(kube), self.clock, self.reporter)

    def locked(self, cluster: str, wait: float) -> AbstractContextManager[None]:
        """The cluster's lock, waited for so many seconds."""
        from devenv.base.wait import locked

        return locked(self.host, self.clock, f"cluster-{cluster}", self.reporter.say, wait)

    def logs(self, cluster: str, profile: Profile) -> LogReader:
        """`logs`."""
        from devenv.facts.logs import LogReader

        self.ownership.require_running(cluster)
        return LogReader(kube_of(cluster), profile)

    def setup(self, choice: Choice, confirm: Callable[[Sequence[str]], bool]) -> Setup:
        """`setup`."""
        from pathlib import Path

        from devenv.adapters import runc_trimmed
        from devenv.workstation.setup import Setup

        wrapper = Path(runc_trimmed.__file__)
        return Setup(
            self.host,
            self.engine,
            lambda: self.builder,
            self.clock,
            self.reporter,
            choice.profile,
            wrapper,
            confirm,
        )


@contextmanager
def world(images_folder: Path | None = None) -> Iterator[World]:
    """Give the real world, and give the terminal back at the end.

    `images_folder`: where the recipes are; devenv's own if None.
    """
    instance = World(images_folder or data.root() / "images")
    try:
        yield instance
    finally:
        if "reporter" in vars(instance):
            instance.reporter.close()


def kube_of(cluster: str) -> ContextKube:
    """Return the API server of a kind cluster, by the context that kind gives it."""
    return ContextKube(f"kind-{cluster}")
