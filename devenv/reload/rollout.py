"""Makes workloads run the images that their nodes have, and proves that they do.

A reload and a return to an earlier image end in the same way. Workloads that do not run the
expected image are restarted in the profile's order, each gated before the next. Then every pod's
running image is compared with the one that its node got, and live requests prove the routes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from devenv.base.counting import counted
from devenv.base.errors import DevenvError
from devenv.base.image_names import IdsByName
from devenv.base.steps import step
from devenv.base.wait import Deadline, until
from devenv.facts.live import Proof
from devenv.gates.live import Prober
from devenv.gates.proving import REQUESTS, prove_routes
from devenv.install.manifests import images_note
from devenv.install.objects import names_of
from devenv.install.settled import ROLLOUTS, RolledOut
from devenv.ports.names import Names
from devenv.profiles.model import Component
from devenv.reload.expected import Expected, all_digests, is_stale
from devenv.reload.loose import LoosePods
from devenv.reload.users import NoCapacityError, Workload, Workloads
from devenv.restart import Restart, restart_step
from devenv.session import Session
from devenv.state.proven import ProvenImages
from devenv.state.record import Records

# Seconds for the live requests.
_PROOF = 60.0
# Seconds for the last old container to end.
_PODS = 60.0
# A step's name.
_COMPARISON = "compare running images"


@dataclass(frozen=True)
class Renewed:
    """The result of a rollout.

    `restarted`: names of workloads. `pods`: names of the pods whose running image was compared.
    """

    restarted: Names = ()
    pods: Names = ()
    proofs: tuple[Proof, ...] = ()


@dataclass(frozen=True)
class Rollout:
    """Rolls out the images in the nodes of one cluster.

    `replace_first` is asked whether old pods may end before new ones are ready, if the new ones
    fit on no node beside them.
    """

    session: Session
    restart: Restart
    prober: Prober
    replace_first: Callable[[DevenvError], bool] = lambda _: False

    @property
    def workloads(self) -> Workloads:
        """Finds and rolls out the workloads that use an image."""
        session = self.session
        return Workloads(session.kube, session.clock, session.profile)

    @property
    def loose_pods(self) -> LoosePods:
        """Finds pods that use an image and that no workload made."""
        session = self.session
        return LoosePods(session.cluster, session.kube, session.clock, session.reporter)

    @property
    def proven(self) -> ProvenImages:
        """The images that were proven in the cluster."""
        session = self.session
        records = Records(session.host)
        return ProvenImages(
            session.cluster,
            records,
            session.containers,
            session.clock,
            session.reporter,
        )

    def steps(self, workloads: Sequence[Workload]) -> Names:
        """Return the names of the steps of `run`, if all of these workloads are restarted."""
        if not workloads:
            return (REQUESTS,)
        return (*map(_step_name, workloads), ROLLOUTS, _COMPARISON, REQUESTS)

    def run(self, workloads: Sequence[Workload], expected: Expected) -> Renewed:
        """Restart the workloads that do not run the expected images, and prove all routes.

        So do AIBrix's own pods. Raises DevenvError at the first that fails, and LeftPodsError if a
        pod that nothing makes again still runs another image.
        """
        names: list[str] = []
        rollouts: list[RolledOut] = []
        for workload in workloads:
            if not self._stale_pods(workload, expected):
                self.session.reporter.skip(_step_name(workload))
                continue
            self._restart(workload, expected)
            names.append(workload.name)
            rollout = RolledOut.of(workload.kind, workload.obj, workload.component)
            rollouts.append(rollout)
        self.restart.settled.run(rollouts)
        image_names = set(all_digests(expected))
        names += self.loose_pods.replace(image_names, expected, self.proven.running_images)
        pods: Names = ()
        if workloads:
            pods = self._compare(workloads, expected)
        proofs = prove_routes(self.session.reporter, self.prober, _PROOF, "Run `devenv doctor`.")
        self.loose_pods.refuse_left(image_names, expected, self.proven.running_images)
        return Renewed(tuple(names), pods, tuple(proofs))

    def _restart(self, workload: Workload, expected: Expected) -> None:
        """Restart a workload and wait for its gate.

        Envoy Gateway would revert a change of its proxy's template, and its controller has more
        gates than a rollout: for these two the pods are deleted, as `devenv restart` does.
        """
        if component := _restarted_component(workload):
            self.restart.run([component])
        else:
            note = images_note(workload.obj, self._image_ids(expected))
            self._roll(workload, note)

    def _image_ids(self, expected: Expected) -> IdsByName:
        """Return what identifies each image by name, as `up` notes it in a pod template.

        So the next `up` has nothing to roll out.
        """
        session = self.session
        records = Records(session.host)
        recorded_ids = records.ids(session.cluster, session.profile)
        return {**all_digests(expected), **recorded_ids}

    def _roll(self, workload: Workload, note: str) -> None:
        """Replace the pods and wait. If new ones fit on no node, ask to end old ones first."""
        began = self.session.clock.now()
        with step(self.session.reporter, _step_name(workload)):
            self.workloads.roll(workload, note)
            try:
                self.workloads.await_rollout(workload, began)
            except NoCapacityError as error:
                if not self.replace_first(error):
                    raise
                with self.workloads.replacing_first(workload):
                    self.workloads.await_rollout(workload, began)

    def _stale_pods(self, workload: Workload, expected: Expected) -> list[str]:
        """Return the workload's pods on these nodes that do not run the expected images."""
        running_images = self.proven.running_images()
        pods = self.workloads.pods(workload, expected)
        spec = workload.pod_spec
        stale_pods = [pod for pod in pods if is_stale(spec, pod, running_images, expected)]
        return names_of(stale_pods)

    def _compare(self, workloads: Sequence[Workload], expected: Expected) -> Names:
        """Wait until every pod runs the expected images; return the pods' names.

        Raises DevenvError if one does not.
        """

        def find_stale_pods() -> str:
            stale_pods: list[str] = []
            for workload in workloads:
                stale_pods += self._stale_pods(workload, expected)
            return ", ".join(stale_pods)

        with step(self.session.reporter, _COMPARISON) as note:
            deadline = Deadline(self.session.clock, _PODS)
            what = "The expected image in every pod"
            until(what, find_stale_pods, deadline, "Run `devenv doctor`.")
            pods: list[str] = []
            for workload in workloads:
                pods += names_of(self.workloads.pods(workload, expected))
            note.append(f"it runs in {counted(len(pods), 'pod')}")
        return tuple(pods)


def _restarted_component(workload: Workload) -> Component | None:
    """Return the component that is restarted by deleting its pods, None if a rollout suffices."""
    if workload.made_by_gateway or workload.leads_gateway:
        return workload.component
    return None


def _step_name(workload: Workload) -> str:
    component = _restarted_component(workload)
    return restart_step(component.name if component else workload.name)
