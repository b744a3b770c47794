"""The image that `model add` serves a model with."""

from typing import TYPE_CHECKING

import click

from devenv.base.errors import DevenvError, Exit

if TYPE_CHECKING:
    from devenv.profiles.model import Profile
    from devenv.wiring import World


def check_name(image: str) -> None:
    """Raise UsageError if this is neither an image's name nor its ID."""
    from devenv.profiles.references import is_image_id, is_reference

    if not (is_reference(image) or is_image_id(image)):
        raise click.UsageError(f"{image!r} is not a valid image name.")


def image_id(world: "World", image: str) -> str:
    """Return the image's ID in the engine, "" if the engine does not have it."""
    engine_image = world.engine.image(image)
    if engine_image is None:
        return ""
    return engine_image.id


def bring_image(
    world: "World", cluster: str, profile: "Profile", image: str, wait: float, *, in_engine: bool
) -> None:
    """Load an image of the engine into the nodes. Raises DevenvError if neither has it."""
    from devenv.reload.reload import Options

    if in_engine:
        world.reload(cluster, profile, Options(restart=False)).run([(image, "")], wait)
    elif not world.in_nodes(cluster, image):
        raise _no_image(image)


def bring_mock(world: "World", cluster: str, profile: "Profile", wait: float) -> None:
    """Load devenv's mock into the nodes if they lack it: a profile may bring a mock of its own."""
    from devenv.models.objects import MOCK_IMAGE
    from devenv.reload.reload import Options

    if not world.in_nodes(cluster, MOCK_IMAGE):
        ref = world.mock_image()
        world.reload(cluster, profile, Options(restart=False)).run([(ref, MOCK_IMAGE)], wait)


def _no_image(image: str) -> DevenvError:
    fix = (
        "Build or pull it first; `docker images` lists the engine's images. "
        "For a mock, leave out --image."
    )
    what = f"Neither the engine nor the nodes have the image {image}."
    return DevenvError(what, "", fix, Exit.USAGE)
