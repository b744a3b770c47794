"""`reload-image --undo`: the nodes and their workloads return to the last other image that was proven in this cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from devenv.errors import DevenvError, Exit
from devenv.images.load import normalise
from devenv.lifecycle.proven import ProvenImages, Return, short
from devenv.lifecycle.record import ProvenImage
from devenv.lifecycle.steps import step
from devenv.ports import Engine, Node
from devenv.profiles.model import Profile
from devenv.reload.plan import called
from devenv.reload.rollout import Renewed, Rollout


@dataclass(frozen=True)
class Returned:
    """What a return came to. `images`: name → the image that it has again; `seconds`: from the command to the proof."""

    cluster: str
    images: Mapping[str, ProvenImage]
    renewed: Renewed
    seconds: float


@dataclass(frozen=True)
class Undo:
    """Returns some of a cluster's images."""

    rollout: Rollout
    engine: Engine

    def plan(self, nodes: Sequence[Node], names: Sequence[str]) -> list[Return]:
        """Return what would be done. Raises DevenvError, before anything changes, with all that can't be."""
        users = self.rollout.users.of(names)
        unused = [name for name in names if not any(name in user.images for user in users)]
        if unused:
            what = f"No workload uses {', '.join(unused)}."
            raise DevenvError(
                what, "Nothing was changed.", "`devenv status` lists the workloads.", Exit.USAGE
            )
        return self.rollout.proven.returns(nodes, names)

    def run(self, nodes: Sequence[Node], names: Sequence[str]) -> Returned:
        """Return to the earlier images. Who calls holds the cluster's lock.

        A run that is killed is finished by the next one, and by `up`.
        """
        began = self.rollout.clock.monotonic()
        returns = self.plan(nodes, names)
        with step(self.rollout.reporter, "return to the old image") as note:
            self.rollout.proven.begin(returns, self._engine_ids(names))
            note.append(", ".join(sorted({short(image_return.image) for image_return in returns})))
        expected: dict[str, dict[str, str]] = {}
        for image_return in returns:
            expected.setdefault(image_return.node.name, {})[image_return.name] = (
                image_return.image.digest
            )
        renewed = self.rollout.run(self.rollout.users.of(names), expected)
        self.rollout.proven.prove(nodes, names)
        seconds = self.rollout.clock.monotonic() - began
        self.rollout.proven.forget_superseded([node.name for node in nodes])
        images = {image_return.name: image_return.image for image_return in returns}
        return Returned(self.rollout.cluster, images, renewed, seconds)

    def _engine_ids(self, names: Sequence[str]) -> dict[str, str]:
        """Return the ID of what the engine has now for the profile's images among these names."""
        refs = [i.ref for i in self.rollout.profile.images if normalise(i.ref) in names]
        images = [(normalise(ref), self.engine.image(ref)) for ref in refs]
        return {name: image.id for name, image in images if image}


def names_in_nodes(profile: Profile, image_names: Sequence[str]) -> list[str]:
    """Return what the nodes call these images, each of which may be called by its name in the profile."""
    images = [(ref, called(profile, ref)) for ref in image_names]
    return [normalise(image.ref if image else ref) for ref, image in images]


def returnable(proven: ProvenImages, nodes: Sequence[Node], names: Sequence[str]) -> list[Return]:
    """Return what could be returned; nothing where that is not all of it."""
    try:
        return proven.returns(nodes, names)
    except DevenvError:
        return []
