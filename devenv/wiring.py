"""The composition root: the one place where ports meet their adapters."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from devenv import data
from devenv.adapters.clock import SystemClock
from devenv.adapters.engine import DockerEngine
from devenv.adapters.gateway import HttpGateway
from devenv.adapters.host import LocalHost
from devenv.adapters.kind import KindProgram
from devenv.images import recipe, toolchain
from devenv.images.build import Builder
from devenv.images.files import Files
from devenv.ui import console, progress


@dataclass(frozen=True)
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
        return DockerEngine()

    @cached_property
    def gateway(self) -> HttpGateway:
        """The gateway's clients."""
        return HttpGateway()

    @cached_property
    def reporter(self) -> progress.Lines:
        """Who shows progress."""
        return progress.reporter(console.progress())

    @cached_property
    def builder(self) -> Builder:
        """Who builds images."""
        pin = toolchain.pin(data.root() / "images")
        book = recipe.load(self.images_folder, self.engine.info().architecture, pin.key)
        files = Files(self.host, book, toolchain.Toolchain(self.host, pin))
        return Builder(book, files, self.engine, self.engine, self.host, self.clock, self.reporter)

    @cached_property
    def kind(self) -> KindProgram:
        """The kind on PATH, else the one that devenv built."""
        return KindProgram(self.host, self.find_kind)

    def find_kind(self) -> Path | None:
        """Where kind is, None where there is none."""
        if found := self.host.which("kind"):
            return found
        book = self.builder.book
        built = self.builder.files.path(book.get("kind"), "kind")
        return built if built.exists() else None


def world(images_folder: Path | None = None) -> World:
    """Return the real world, with recipes from `images_folder`, devenv's own unless told."""
    return World(images_folder or data.root() / "images")
