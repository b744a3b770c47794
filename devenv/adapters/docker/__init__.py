"""The Docker engine, through its API. Docker's own client library lives here and nowhere else."""

from devenv.adapters.docker.address import address, docker_environment
from devenv.adapters.docker.build import BuildCalls
from devenv.adapters.docker.containers import ContainerCalls
from devenv.adapters.docker.images import ImageCalls
from devenv.adapters.docker.inventory import InventoryCalls

__all__ = ["DockerEngine", "address", "docker_environment"]


class DockerEngine(ImageCalls, BuildCalls, InventoryCalls, ContainerCalls):
    """The engine at `address()`: the ports Engine, Stock and Containers in one object.

    Its base classes share one connection, and each has the calls of one subject.
    """
