"""The cluster itself: made by kind, started where it was stopped, or made anew where kind did not finish it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from devenv.errors import DevenvError, Exit
from devenv.images.sources import Source
from devenv.lifecycle import manifests
from devenv.lifecycle.adopt import remember
from devenv.lifecycle.context import Context
from devenv.lifecycle.record import Record
from devenv.lifecycle.steps import step
from devenv.wait import Deadline, until

_API = 180.0  # seconds for the API server of a cluster that kind has made, or that was just started


@dataclass
class Making:
    """Brings the cluster's nodes and its API server up."""

    context: Context
    started: bool = False  # whether a node that was stopped had to be started

    def same_config(self) -> None:
        """Refuse what kind cannot do: change nodes and ports of a cluster that is there."""
        at = self.context
        record = at.records.read(at.cluster)
        if record and record.adopted:
            return  # its ports are looked at when it is adopted
        if record and record.made and record.config != manifests.kind_config(at.profile):
            raise DevenvError(
                f"The profile has other nodes or ports than the cluster {at.cluster} was made with.",
                "kind can't change them afterwards.",
                f"Run `devenv down --name {at.cluster}` first, or choose another name with --name.",
                Exit.USAGE,
            )

    def discard_half_made(self) -> None:
        """A cluster that kind did not finish is of no use to anybody, and nobody has used it."""
        at = self.context
        record = at.records.read(at.cluster)
        if record and not record.made and at.nodes():
            with step(at.reporter, "remove what a cut-off run left"):
                at.kind.delete(at.cluster, lambda _: None)

    def run(self, source: Source, note: list[str]) -> None:
        """Return when the API server answers, and the record knows the nodes."""
        at = self.context
        if nodes := at.nodes():
            stopped = [n for n in nodes if n.status != "running"]
            for node in stopped:
                at.containers.start(node.name)
            self.started = bool(stopped)
            note.append(f"{len(stopped)} nodes started" if stopped else "is there")
        else:
            self._create(source)
            note.append(f"created by kind {at.kind.version()}")
        self._await_api(created=not nodes)
        made = tuple(n.id for n in at.nodes())
        remember(at, lambda record: replace(record, nodes=made, made=True, digest=""))

    def _create(self, source: Source) -> None:
        at = self.context
        config, engine = manifests.kind_config(at.profile), at.engine.info().id
        at.records.write(Record(at.cluster, at.profile_name, engine, config, at.clock.now()))
        try:
            at.kind.create(at.cluster, config, source.ref, self._detail("cluster"))
        except DevenvError:
            if not at.nodes():  # kind has tidied up, so there is nothing to remember
                at.records.remove(at.cluster)
            raise

    def _detail(self, name: str) -> Callable[[str], None]:
        return lambda line: self.context.reporter.detail(name, line.strip(" •✓"))

    def _await_api(self, *, created: bool) -> None:
        at = self.context
        if not created and not at.kube.ready():
            at.kind.export_kubeconfig(at.cluster, lambda _: None)  # its context may be missing, or its port another
        look = f"Look at it: docker logs {at.cluster}-control-plane"
        until("The API server", lambda: "" if at.kube.ready() else "an answer from it", Deadline(at.clock, _API), look)
