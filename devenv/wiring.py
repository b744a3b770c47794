"""The composition root: the one place where ports meet their adapters.

Each method imports what it makes: a command waits only for what it needs.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from devenv import DEFAULT_CLUSTER, data
from devenv.adapters.clock import SystemClock
from devenv.adapters.engine import DockerEngine, environment
from devenv.adapters.host import LocalHost
from devenv.adapters.kube import ContextKube
from devenv.errors import DevenvError, Exit, NotReachableError
from devenv.ui import console, progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from devenv.adapters.kind import KindProgram
    from devenv.disk.guard import Guard
    from devenv.disk.prune import Proposal as RoomProposal
    from devenv.disk.prune import Prune
    from devenv.disk.schedule import Job
    from devenv.disk.survey import Surveyor
    from devenv.e2e.run import SourceTestRun
    from devenv.facts.collect import Collector
    from devenv.facts.logs import LogReader
    from devenv.facts.model import Declared, Facts, WasteFacts
    from devenv.gates.live import Prober
    from devenv.images.build import Builder
    from devenv.images.inplace import InPlace
    from devenv.lifecycle.adopt import Adoption
    from devenv.lifecycle.choice import Availability, Choice
    from devenv.lifecycle.down import Down
    from devenv.lifecycle.downloads import Downloads
    from devenv.lifecycle.models import Models
    from devenv.lifecycle.purge import Purge
    from devenv.lifecycle.restart import Restart
    from devenv.lifecycle.schedule import Schedule
    from devenv.lifecycle.setup import Setup
    from devenv.lifecycle.status import StatusReader
    from devenv.lifecycle.stop import Stop
    from devenv.lifecycle.up import Up
    from devenv.ports import Node
    from devenv.profiles.headers import Headers
    from devenv.profiles.model import LiveRequest, ManifestSource, Profile, PythonBase
    from devenv.profiles.variant import Variant
    from devenv.recovery.recover import Proposal, Recover
    from devenv.recovery.scheduled import Scheduled
    from devenv.reload.reload import Options, Reload


@dataclass
class World:
    """Everything that a command works with, made when it is first asked for."""

    images_folder: Path

    @cached_property
    def host(self) -> LocalHost:
        """This machine."""
        return LocalHost()

    @cached_property
    def clock(self) -> SystemClock:
        """Time."""
        return SystemClock()

    @cached_property
    def engine(self) -> DockerEngine:
        """The engine, its images and its containers."""
        return DockerEngine(self._tell)

    def _tell(self, text: str) -> None:
        """Make a reporter only where there is something to say."""
        self.reporter.say(text)

    @cached_property
    def reporter(self) -> progress.Lines:
        """Who shows progress."""
        return progress.reporter(console.progress())

    @cached_property
    def builder(self) -> Builder:
        """Who builds images."""
        from devenv.images import recipe, toolchain
        from devenv.images.build import Builder
        from devenv.images.files import Files

        pin = toolchain.pin(data.root() / "images")
        book = recipe.load(self.images_folder, self.engine.info().architecture, pin.key)
        files = Files(self.host, book, toolchain.Toolchain(self.host, pin))
        return Builder(book, files, self.engine, self.engine, self.host, self.clock, self.reporter)

    @cached_property
    def kind(self) -> KindProgram:
        """The kind on PATH, else the one that devenv built."""
        from devenv.adapters.kind import KindProgram

        return KindProgram(self.host, self._find_kind, environment)

    def _find_kind(self) -> Path | None:
        built = self.recipe_file("kind", "kind")
        return self.host.which("kind") or (built if built.exists() else None)

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
        """The profile for a cluster; where it `is_new`, what can be installed here decides.

        `looking`: for a command that changes nothing; broken settings are told, and left out.
        """
        from devenv.lifecycle.choice import choose
        from devenv.profiles.variant import PLAIN

        folder = data.root() / "profiles"
        at_hand, warn = (self._at_hand if is_new else None), (self._warn if looking else None)
        return choose(
            self.host, cluster, requested_profile, folder, variant or PLAIN, at_hand, warn
        )

    @staticmethod
    def _warn(error: DevenvError) -> None:
        from devenv.ui import reports

        reports.warning(error, "This command ignores your settings.")

    def _at_hand(self, profile: Profile) -> Availability:
        """Whether a profile can be installed here: all of it is at hand, or its registries answer."""
        from devenv.adapters.web import HttpWeb
        from devenv.images.sources import Provider
        from devenv.lifecycle.choice import Availability

        urls = [m for m in profile.manifests if m.url]
        has_manifests = all(self.downloads.path(m.url, m.sha256).exists() for m in urls)
        if has_manifests and Provider(self.engine, self.builder, self.reporter).obtainable(
            profile.images
        ):
            return Availability(is_at_hand=True, why="its images and manifests are at hand")
        if problem := self._registry_problem(profile):
            return Availability(
                is_at_hand=False, why=f"AIBrix's images are not at hand, and {problem}"
            )
        if not has_manifests and (problem := HttpWeb().problem(urls[0].url)):
            return Availability(
                is_at_hand=False, why=f"AIBrix's manifests are not at hand, and {problem}"
            )
        return Availability(is_at_hand=True, why="a registry answers")

    def _registry_problem(self, profile: Profile) -> str:
        """Return why an image that only a registry has can't be pulled, and the way out; "" where all can.

        One image of each registry is asked for.
        """
        from devenv.images.registry import Failure, registry_of

        refs = {registry_of(i.ref): i.ref for i in profile.images if not i.recipe}
        if not refs:
            return "no registry has them"
        for ref in refs.values():
            if words := self.engine.registry_problem(ref):
                failure = Failure(ref, words)
                return f"{failure.sentence}. {failure.way_out.rstrip('.')}"
        return ""

    @property
    def downloads(self) -> Downloads:
        """Who fetches files by their address."""
        from devenv.adapters.web import HttpWeb
        from devenv.lifecycle.downloads import Downloads

        return Downloads(self.host, HttpWeb(), self.reporter)

    def in_place(self) -> InPlace:
        """Who builds images from somebody's own source."""
        from devenv.images.inplace import InPlace
        from devenv.images.toolchain import Toolchain, pin

        def toolchain(at_most: str) -> tuple[Toolchain, str]:
            chosen = pin(data.root() / "images").at_most(at_most)
            return Toolchain(self.host, chosen), self.engine.info().architecture

        return InPlace(self.host, self.engine, self.reporter, toolchain, self._python_base)

    def _python_base(self, base: PythonBase) -> str:
        """Bring the base of a Python program's image into the engine, and return its name there."""
        from devenv.images.sources import Provider
        from devenv.profiles.model import ProfileImage

        image = ProfileImage(name="python", ref=base.ref, recipe=base.recipe)
        return Provider(self.engine, self.builder, self.reporter).provide([image])[image.name].ref

    def check_kubeconfig(self) -> None:
        """Raise DevenvError where the kubeconfig is broken, or kind could not write to it, before anything is made."""
        from devenv.adapters import kubeconfig

        kubeconfig.read()
        kubeconfig.refuse_unwritable()

    def require(self, cluster: str) -> None:
        """Raise DevenvError where there is no such cluster of devenv's, or none of its nodes runs."""
        from devenv.lifecycle.record import Records, own_nodes

        nodes = own_nodes(Records(self.host), self.engine, self.engine, cluster)
        if not any(n.status == "running" for n in nodes):
            what = (
                f"The cluster {cluster} is not running."
                if nodes
                else f"There is no cluster {cluster}."
            )
            raise DevenvError(
                what, next_step=f"Run `devenv up --name {cluster}`.", exit_code=Exit.FAILED
            )

    def refuse_unknown(self, cluster: str) -> None:
        """Raise DevenvError where somebody names a cluster that devenv does not know, for a command that needs none."""
        from devenv.lifecycle.record import Records

        clusters = [r.cluster for r in Records(self.host).all()]
        if cluster in {DEFAULT_CLUSTER, *clusters}:
            return
        with suppress(NotReachableError):
            if not self.engine.nodes(cluster):
                fix = f"`devenv up --name {cluster}` makes it. devenv's clusters: {', '.join(clusters) or 'none'}."
                raise DevenvError(
                    f"There is no cluster {cluster}.", "Nothing was changed.", fix, Exit.USAGE
                )

    def _refuse_others(self, cluster: str) -> None:
        """Raise DevenvError if a kind cluster of that name is not devenv's, or not on this engine."""
        from devenv.lifecycle.record import Records, own_nodes

        try:
            own_nodes(Records(self.host), self.engine, self.engine, cluster)
        except NotReachableError:
            # The facts tell.
            return
        except DevenvError as error:
            fix = f"Run `devenv doctor --context kind-{cluster}` to look at it through its API server alone."
            error.next_step = f"{error.next_step} {fix}".strip()
            raise

    def prober(self, cluster: str, profile: Profile) -> Prober:
        """Who sends live requests."""
        from devenv.adapters.gateway import HttpGateway
        from devenv.gates.live import Prober

        return Prober(ContextKube(f"kind-{cluster}"), HttpGateway(), self.clock, profile)

    def rendered(self, name: str, variant: Variant) -> str:
        """Return a profile's manifests as `up` applies them, as YAML."""
        import yaml

        # Of no cluster: none can have that name.
        up = self.up(".", self.choice(".", name, variant))
        return yaml.safe_dump_all(up.made_objects(), sort_keys=False, width=120, allow_unicode=True)

    def in_nodes(self, cluster: str, image: str) -> bool:
        """Whether every node of a cluster has an image of that name."""
        from devenv.images.load import normalise, present

        return all(
            normalise(image) in present(self.engine, node.name)
            for node in self.engine.nodes(cluster)
        )

    def models(self, cluster: str, profile: Profile, headers: Headers | None = None) -> Models:
        """`model`. Raises DevenvError where there is no such cluster of devenv's. `headers`: of the requests."""
        from devenv.lifecycle.models import Models

        kube = self.own(cluster)
        return Models(
            cluster,
            profile,
            kube,
            self.clock,
            self.reporter,
            lambda: self.prober(cluster, profile),
            headers or {},
        )

    def own(self, cluster: str) -> ContextKube:
        """Return the API server of a running cluster of devenv's. Raises DevenvError where it is none."""
        from devenv.lifecycle.record import own_context

        self.require(cluster)
        kube = ContextKube(f"kind-{cluster}")
        own_context(kube, self.engine.nodes(cluster), cluster)
        return kube

    def up(
        self, cluster: str, choice: Choice, agree: Callable[[Adoption], None] | None = None
    ) -> Up:
        """`up`; with `agree`, also of a cluster that somebody else made."""
        kube = ContextKube(f"kind-{cluster}")
        kube.prepare()
        from devenv.adapters.envoy import ForwardedEnvoy
        from devenv.adapters.gateway import HttpGateway
        from devenv.adapters.schemas import BuiltinSchemas
        from devenv.gates.live import Prober
        from devenv.images.sources import Provider
        from devenv.lifecycle.checkout import Kustomize
        from devenv.lifecycle.context import Context
        from devenv.lifecycle.record import Records
        from devenv.lifecycle.steps import Arrivals
        from devenv.lifecycle.up import Up
        from devenv.wait import StoppableClock

        context = Context(
            cluster=cluster,
            profile=choice.profile,
            profile_name=choice.name,
            variant=choice.variant,
            host=self.host,
            clock=StoppableClock(self.clock),
            engine=self.engine,
            containers=self.engine,
            kind=self.kind,
            kube=kube,
            reporter=self.reporter,
            records=Records(self.host),
            arrivals=Arrivals(),
        )
        prober = Prober(context.kube, HttpGateway(), context.clock, choice.profile)
        provider = Provider(self.engine, self.builder, self.reporter, self.in_place())
        kustomize = Kustomize(self.host, self.reporter)
        folder, envoy = data.root() / "manifests", ForwardedEnvoy(kube)
        return Up(
            context, prober, provider, self.downloads, kustomize, folder, self.recipe_file, agree,
            envoy=envoy, schemas=BuiltinSchemas(),
        )  # fmt: skip

    def down(self, cluster: str) -> Down:
        """`down`."""
        from devenv.images.sources import Provider
        from devenv.lifecycle.down import Down

        provider = Provider(self.engine, self.builder, self.reporter)
        return Down(
            cluster=cluster,
            host=self.host,
            clock=self.clock,
            engine=self.engine,
            containers=self.engine,
            kind=self.kind,
            kube=ContextKube(f"kind-{cluster}"),
            provide_kind=lambda: provider.provide((), [("kind", "kind")]),
            reporter=self.reporter,
        )

    @cached_property
    def purge(self) -> Purge:
        """What `down --purge` removes."""
        from devenv.lifecycle.purge import Purge

        return Purge(
            self.host, self.clock, self.engine, self.engine, self.reporter, self._recipe_images
        )

    def _recipe_images(self, cluster: str) -> frozenset[str]:
        """Return the names of the images that recipes make for a cluster, with those that they stand on."""
        profile, book = self.choice(cluster, None).profile, self.builder.book
        recipes = [image.recipe for image in profile.images if image.recipe]
        recipes += [manifest.recipe_file[0] for manifest in profile.manifests if manifest.recipe]
        return frozenset(book.tag(recipe) for recipe in book.closure(recipes) if recipe.spec.image)

    def surveyor(self, cluster: str, profile: Profile) -> Surveyor:
        """Who looks at all that takes room."""
        from devenv.disk.history import History
        from devenv.disk.survey import Surveyor
        from devenv.images.load import normalise
        from devenv.images.stamp import own_ref
        from devenv.lifecycle.named import named_or_unknown
        from devenv.lifecycle.proven import returnable_images
        from devenv.lifecycle.record import Records, own_nodes

        kube, records = ContextKube(f"kind-{cluster}"), Records(self.host)

        def nodes() -> list[Node]:
            return own_nodes(records, self.engine, self.engine, cluster)

        def refs(profile: Profile) -> list[str]:
            return [ref for image in profile.images for ref in (image.ref, own_ref(image)) if ref]

        def held() -> tuple[str, ...]:
            record = records.read(cluster)
            return record.held if record else ()

        return Surveyor(
            cluster=cluster,
            profile=profile,
            host=self.host,
            clock=self.clock,
            stock=self.engine,
            containers=self.engine,
            named=lambda: named_or_unknown(kube, nodes, cluster),
            current=self._current,
            history=History(self.host, self.clock),
            wanted=lambda: frozenset([*map(normalise, refs(profile)), *held()]),
            loaded=lambda: frozenset(
                name
                for record in records.all()
                for names in record.loaded.values()
                for name in names
            ),
            nodes=nodes,
            returnable=lambda: self._returnable(cluster),
            returnable_in_engine=lambda: returnable_images(records.all()),
        )

    def _returnable(self, cluster: str) -> dict[str, str]:
        """Return the names under which a cluster's nodes keep images to return to, with the names to return."""
        from devenv.images.innode import kept_name
        from devenv.lifecycle.proven import ProvenImages
        from devenv.lifecycle.record import Records

        records = Records(self.host)
        proven = ProvenImages(cluster, records, self.engine, self.clock, self.reporter)
        targets = [proven.targets(node) for node in self.engine.nodes(cluster)]
        returnable_names = {
            kept_name(image.digest): name for images in targets for name, image in images.items()
        }
        record = records.read(cluster)
        # A load that was killed is undone with what the nodes had before.
        for images in record.loading.values() if record else ():
            returnable_names |= {
                kept_name(previous_image.digest): name
                for name, previous_image in images.items()
                if previous_image.digest
            }
        return returnable_names

    def _current(self) -> tuple[frozenset[str], frozenset[Path]]:
        """What devenv's recipes make as they are now: images by name, and files."""
        try:
            builder = self.builder
        except NotReachableError:
            return frozenset(), frozenset()
        recipes = builder.book.recipes.values()
        names = frozenset(builder.book.tag(r) for r in recipes if r.spec.image)
        return names, frozenset(
            builder.files.path(r, file) for r in recipes for file in r.spec.files
        )

    def pruner(self, cluster: str, profile: Profile, *, caches: bool = False) -> Prune:
        """`prune`."""
        from devenv.disk.prune import Prune

        return Prune(self.surveyor(cluster, profile), self.reporter, caches)

    def guard(self, cluster: str, profile: Profile) -> Guard:
        """Who makes room before it is needed."""
        from devenv.disk.guard import Guard

        return Guard(self.pruner(cluster, profile), self._may_prune)

    def _may_prune(self, proposal: RoomProposal) -> bool:
        from devenv.ui import disk, prompts

        disk.proposal(proposal)
        if not console.interactive():
            self.reporter.say(
                "Nobody can be asked here: run `devenv prune`, or say `auto_prune: yes` in config.yaml."
            )
        return prompts.confirmed("Remove all of this first?")

    @property
    def schedule(self) -> Schedule:
        """`schedule`."""
        import os
        import sys
        from pathlib import Path

        from devenv.adapters.engine import address
        from devenv.disk.schedule import Backend, Cron, Launchd, Systemd
        from devenv.lifecycle.schedule import Schedule

        home = Path.home()
        units = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "systemd" / "user"
        launchd = Launchd(self.host, home / "Library" / "LaunchAgents", os.getuid())
        systemd, cron = Systemd(self.host, units), Cron(self.host, self.host.state_dir())
        available: list[Backend] = [launchd] if sys.platform == "darwin" else []
        if (
            not available
            and self.host.which("systemctl")
            and self.host.run(["systemctl", "--user", "show-environment"]).code == 0
        ):
            available.append(systemd)
        backends: list[Backend] = [launchd, systemd]
        if self.host.which("crontab"):
            available.append(cron)
            backends.append(cron)
        return Schedule(
            self.host, self.clock, available, backends, lambda: {"DOCKER_HOST": address()}
        )

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
        from devenv.lifecycle.stop import Stop

        return Stop(cluster, self.host, self.clock, self.engine, self.engine, self.reporter)

    def status(self, cluster: str, choice: Choice) -> StatusReader:
        """`status`."""
        from devenv.lifecycle.status import StatusReader

        return StatusReader(
            cluster,
            choice.profile,
            self.host,
            self.engine,
            self.engine,
            ContextKube(f"kind-{cluster}"),
        )

    def collector(self, cluster: str, profile: Profile) -> Collector:
        """Who collects the facts of a cluster."""
        from devenv.adapters.envoy import ForwardedEnvoy
        from devenv.facts.collect import Collector

        kube = ContextKube(f"kind-{cluster}")
        return Collector(
            cluster=cluster,
            profile=profile,
            host=self.host,
            clock=self.clock,
            engine=self.engine,
            containers=self.engine,
            kube=kube,
            envoy=ForwardedEnvoy(kube),
            requests=self.prober(cluster, profile),
            declared=lambda: self._declared(cluster, profile),
            returnable=lambda: self._unproven(cluster),
            stopped=lambda: self._stopped(cluster),
            waste=lambda: self._waste(cluster, profile),
        )

    def _waste(self, cluster: str, profile: Profile) -> tuple[WasteFacts, ...]:
        """Return what goes first on a full disk, and whose it was."""
        from dataclasses import asdict

        from devenv.facts.model import WasteFacts

        return tuple(WasteFacts(**asdict(w)) for w in self.surveyor(cluster, profile).waste())

    def _stopped(self, cluster: str) -> float:
        """Return when `devenv stop` had stopped a cluster, in seconds since 1970; 0 where it has not."""
        from devenv.lifecycle.record import Records

        record = Records(self.host).read(cluster)
        return record.stopped if record else 0.0

    def _unproven(self, cluster: str) -> tuple[str, ...]:
        """Return the names under which nodes have an image that was not proven, beside one to return to."""
        from devenv.lifecycle.proven import unproven_names
        from devenv.lifecycle.record import Records

        record = Records(self.host).read(cluster)
        return tuple(unproven_names(record)) if record else ()

    def _declared(self, cluster: str, profile: Profile) -> tuple[Declared, ...] | None:
        """Return what the profile's manifests have; None for a cluster that devenv has no manifests of."""
        from devenv.lifecycle.declared import Declarations

        if not profile.manifests:
            return None
        cache_file = self.host.cache_dir() / "declared" / f"{cluster}.json"
        return Declarations(profile, partial(self._manifest, profile), cache_file).read()

    def _manifest(self, profile: Profile, source: ManifestSource) -> Path:
        """Where a manifest is that `up` has applied; nothing is fetched or rendered."""
        from devenv.lifecycle.checkout import Kustomize
        from devenv.lifecycle.folders import Folders
        from devenv.profiles.variant import PLAIN

        if source.url:
            return self.downloads.path(source.url, source.sha256)
        if source.kustomize:
            return Folders(
                Kustomize(self.host, self.reporter),
                profile,
                PLAIN,
                partial(self._manifest, profile),
            ).path(source)
        return (
            data.root() / "manifests" / source.path
            if source.path
            else self.recipe_file(*source.recipe_file)
        )

    def facts(self, cluster: str, profile: Profile, seconds: float) -> Facts:
        """Return the facts of a cluster, redacted."""
        from devenv.facts import files
        from devenv.gates import headers

        secrets = {s for live in profile.requests for s in headers.resolve(live).secrets}
        return files.clean(self.collector(cluster, profile).collect(seconds), secrets)

    def own_facts(self, cluster: str, profile: Profile, seconds: float) -> Facts:
        """Return the facts of a cluster. Raises DevenvError where one of that name is not devenv's, or not on this engine."""
        facts = self.facts(cluster, profile, seconds)
        if facts.engine and facts.knows("nodes"):
            self._refuse_others(cluster)
        return facts

    def facts_of_context(self, context: str, seconds: float) -> Facts:
        """Return what the API server of any context tells, redacted. Raises DevenvError where there is no such context."""
        from devenv.adapters.kubeconfig import NoContextError
        from devenv.facts import files
        from devenv.facts.anywhere import discovered

        kube = ContextKube(context, proxied=True)
        try:
            # A context that is not there is a wrong call, not a finding.
            kube.settings("its address")
        except NoContextError as error:
            fix = "`kubectl config get-contexts` lists them."
            raise DevenvError(
                f"The kubeconfig has no context {context}.", error.why, fix, Exit.USAGE
            ) from error
        collector = self.collector(context, discovered(context, {}))
        return files.clean(replace(collector, kube=kube).collect_api(seconds, context))

    def good_file(self, cluster: str) -> Path:
        """Where the look at the last healthy `up` of a cluster is."""
        return self.host.state_dir() / "good" / f"{cluster}.json"

    def keep_good(self, cluster: str, profile: Profile) -> None:
        """Keep a look at the cluster as the good one, if it is healthy. Nothing is lost where it can't be kept."""
        from devenv.diagnosis.diagnose import diagnose
        from devenv.facts import files

        try:
            facts = self.facts(cluster, profile, 10)
            if diagnose(facts).healthy:
                target = self.good_file(cluster)
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                files.write(facts, target)
        except (DevenvError, OSError) as error:
            self.reporter.say(f"No good look was kept: {error}")

    def recover(
        self, cluster: str, choice: Choice, agree: Callable[[Proposal], None], who: str = "user"
    ) -> Recover:
        """`recover`. `who` agrees."""
        from devenv.adapters.envoy import ForwardedEnvoy
        from devenv.recovery.recover import Recover

        up = self.up(cluster, choice)
        return Recover(
            up=up,
            envoy=ForwardedEnvoy(ContextKube(f"kind-{cluster}")),
            prober=up.prober,
            prune=self.pruner(cluster, choice.profile, caches=who == "user"),
            facts=lambda seconds: self.facts(cluster, choice.profile, seconds),
            agree=agree,
            undo=lambda names: self._undo(cluster, choice.profile, names),
            who=who,
        )

    def _undo(self, cluster: str, profile: Profile, names: Sequence[str]) -> None:
        """Return to the images that were proven before; who calls holds the cluster's lock."""
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

        kube = ContextKube(f"kind-{cluster}")
        if options.restart:
            headers.check(profile.requests)
            kube.prepare()
        return Reload(
            cluster=cluster,
            profile=profile,
            host=self.host,
            clock=self.clock,
            engine=self.engine,
            containers=self.engine,
            kube=kube,
            reporter=self.reporter,
            restart=self._restart(kube, profile),
            prober=self.prober(cluster, profile),
            pusher=Pusher(self.engine, LoopbackEndpoint(), self.host),
            in_place=self.in_place(),
            options=options,
        )

    def source_tests(self, cluster: str, profile: Profile, checkout: str) -> SourceTestRun:
        """`test-e2e`. Raises DevenvError where there is no such cluster of devenv's."""
        from devenv.adapters.forwarding import LoopbackForwarding
        from devenv.e2e.run import SourceTestRun
        from devenv.images.toolchain import Toolchain, pin

        # A source that refuses newer compilers refuses them for its tests as well.
        limits = [i.go.at_most for i in profile.images if i.go and i.go.at_most]
        compiler = pin(data.root() / "images").at_most(limits[0] if limits else "")
        kube = self.own(cluster)
        return SourceTestRun(
            cluster=cluster,
            profile=profile,
            checkout=checkout,
            host=self.host,
            clock=self.clock,
            kube=kube,
            reporter=self.reporter,
            forwarding=LoopbackForwarding(kube),
            toolchain=Toolchain(self.host, compiler),
        )

    def restart(self, cluster: str, profile: Profile) -> Restart:
        """`restart`. Raises DevenvError where there is no such cluster of devenv's."""
        from devenv.lifecycle.record import own_context

        self.require(cluster)
        kube = ContextKube(f"kind-{cluster}")
        own_context(kube, self.engine.nodes(cluster), cluster)
        return self._restart(kube, profile)

    def _restart(self, kube: ContextKube, profile: Profile) -> Restart:
        from devenv.adapters.envoy import ForwardedEnvoy
        from devenv.lifecycle.restart import Restart

        return Restart(profile, kube, ForwardedEnvoy(kube), self.clock, self.reporter)

    def locked(self, cluster: str, wait: float) -> AbstractContextManager[None]:
        """The cluster's lock, waited for so many seconds."""
        from devenv.wait import locked

        return locked(self.host, self.clock, f"cluster-{cluster}", self.reporter.say, wait)

    def logs(self, cluster: str, profile: Profile) -> LogReader:
        """`logs`."""
        from devenv.facts.logs import LogReader

        self.require(cluster)
        return LogReader(ContextKube(f"kind-{cluster}"), profile)

    def setup(self, choice: Choice, confirm: Callable[[Sequence[str]], bool]) -> Setup:
        """`setup`."""
        from pathlib import Path

        from devenv.adapters import runc_trimmed
        from devenv.lifecycle.setup import Setup

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
    """Give the real world, with recipes from `images_folder`, devenv's own unless told; then give the terminal back."""
    instance = World(images_folder or data.root() / "images")
    try:
        yield instance
    finally:
        if "reporter" in vars(instance):
            instance.reporter.close()


def live_request(
    profile: Profile,
    route: str,
    model: str | None,
    strategy: str,
    headers: Headers,
    *,
    stream: bool,
) -> LiveRequest:
    """Return a request as a user asks for it: without headers, with those of the profile's requests to the model.

    Raises DevenvError where the profile has no such route, or a header can't be sent.
    """
    from devenv.gates.headers import check
    from devenv.profiles.model import LiveRequest, Route

    kind = Route(route)
    if kind is Route.MODELS:
        profile_request = next((r for r in profile.requests if r.route is kind), None)
        if profile_request is None:
            fix = "AIBrix's metadata service answers it, in a cluster that is made with `devenv up --with metadata-service`."
            raise DevenvError(
                f"The profile {profile.name} has no request for the list of models.",
                "",
                fix,
                Exit.USAGE,
            )
        live = profile_request.model_copy(update={"headers": headers or profile_request.headers})
    else:
        model_name = model or profile.requests[0].model
        live = LiveRequest(
            name=route, route=kind, model=model_name, strategy=strategy, stream=stream, anonymous=True,
            headers=headers or profile.headers_of(model_name),
        )  # fmt: skip
    check([live])
    return live
