"""`reload-image --undo`: return nodes and workloads to the last other image that was proven."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from devenv.base.errors import DevenvError, Exit
from devenv.base.image_names import IdsByName, normalise
from devenv.base.steps import step
from devenv.install.context import node_names
from devenv.ports.containers import Node
from devenv.ports.engine import Engine
from devenv.profiles.model import Profile
from devenv.reload.expected import Expected
from devenv.reload.finder import find_profile_image
from devenv.reload.rollout import Renewed, Rollout
from devenv.reload.users import find_unused
from devenv.state.proven import ProvenImages, Return, short
from devenv.state.record import ProvenImage

# A step's name.
_RETURN = "return to the old image"


@dataclass(frozen=True)
class Returned:
    """The result of a return.

    `images`: name → the image that it has again. `seconds`: from the command to the proof.
    """

    cluster: str
    images: Mapping[str, ProvenImage]
    renewed: Renewed
    seconds: float


@dataclass(frozen=True)
class Undo:
    """Returns some of a cluster's images to earlier ones."""

    rollout: Rollout
    engine: Engine

    def plan(self, nodes: Sequence[Node], names: Sequence[str]) -> list[Return]:
        """Return what would be done. Raises DevenvError if any of it can't be, with all reasons."""
        workloads = self.rollout.workloads.using(names)
        loose_pods = self.rollout.loose_pods.using(names)
        unused_names = find_unused(names, [*workloads, *loose_pods])
        if unused_names:
            names_text = ", ".join(unused_names)
            what = f"No workload uses {names_text}."
            fix = "`devenv status` lists the workloads."
            raise DevenvError(what, "Nothing was changed.", fix, Exit.USAGE)
        return self.rollout.proven.returns(nodes, names)

    def run(self, nodes: Sequence[Node], names: Sequence[str]) -> Returned:
        """Return to the earlier images. The caller holds the cluster's lock.

        If the run is killed, the next one finishes it, or `up` does.
        """
        rollout, proven = self.rollout, self.rollout.proven
        began = rollout.session.clock.monotonic()
        returns = self.plan(nodes, names)
        workloads = rollout.workloads.using(names)
        reporter = rollout.session.reporter
        reporter.plan((_RETURN, *rollout.steps(workloads)))
        with step(reporter, _RETURN) as note:
            proven.begin(returns, self._engine_ids(names))
            note.append(short_ids(returns))
        renewed = rollout.run(workloads, _expected_digests(returns))
        proven.prove(nodes, names)
        seconds = rollout.session.clock.monotonic() - began
        proven.forget_superseded(node_names(nodes))
        images = {image_return.name: image_return.image for image_return in returns}
        return Returned(rollout.session.cluster, images, renewed, seconds)

    def _engine_ids(self, names: Sequence[str]) -> IdsByName:
        """Return the ID of the engine's image for each of these names that the profile has."""
        ids = {}
        for profile_image in self.rollout.session.profile.images:
            name = normalise(profile_image.ref)
            if name not in names:
                continue
            image = self.engine.image(profile_image.ref)
            if image:
                ids[name] = image.id
        return ids


def _expected_digests(returns: Sequence[Return]) -> Expected:
    """Return what the pods must run after a return: node → name → config digest."""
    digests: dict[str, dict[str, str]] = {}
    for image_return in returns:
        node_digests = digests.setdefault(image_return.node.name, {})
        node_digests[image_return.name] = image_return.image.digest
    return digests


def short_ids(returns: Sequence[Return]) -> str:
    """Return the IDs of the images to return to, as Docker shows them, each once."""
    ids = {short(image_return.image) for image_return in returns}
    return ", ".join(sorted(ids))


def names_in_nodes(profile: Profile, image_names: Sequence[str]) -> list[str]:
    """Return what the nodes call these images. Each may be given by its name in the profile."""
    names = []
    for image_name in image_names:
        profile_image = find_profile_image(profile, image_name)
        ref = profile_image.ref if profile_image else image_name
        names.append(normalise(ref))
    return names


def returnable(proven: ProvenImages, nodes: Sequence[Node], names: Sequence[str]) -> list[Return]:
    """Return what a return would do, or nothing if part of it is impossible."""
    try:
        return proven.returns(nodes, names)
    except DevenvError:
        return []
