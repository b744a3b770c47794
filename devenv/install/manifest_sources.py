"""The manifests of `up`: the files that they come from, and what is checked of them beforehand."""

from dataclasses import dataclass
from pathlib import Path

from devenv import name_flag
from devenv.base.errors import DevenvError, Exit
from devenv.images.sources.provider import Provider
from devenv.install import checkout, manifests
from devenv.install.context import Context
from devenv.install.kustomize_folders import Folders
from devenv.install.manifest_files import ManifestFiles
from devenv.install.manifests import Locate, Rendered
from devenv.profiles.model import ManifestSource, Profile


@dataclass(frozen=True)
class ManifestSources:
    """Finds, fetches, builds and renders the manifests of one cluster's profile."""

    context: Context
    provider: Provider
    files: ManifestFiles

    @property
    def _profile(self) -> Profile:
        return self.context.profile

    def render(self, locate: Locate, only: list[ManifestSource] | None = None) -> Rendered:
        """Render the manifests of all sources, or of some.

        `locate` returns a source's file: `locate` itself does nothing for it, the functions below
        make or fetch a missing one. Raises DevenvError with every problem.
        """
        return manifests.render(self._profile, locate, only)

    def available_sources(self) -> list[ManifestSource] | None:
        """Return the sources except for recipes whose files are yet to be built, None for all."""
        sources = self._profile.manifests
        available = [source for source in sources if not self._must_be_built(source)]
        if len(available) == len(sources):
            return None
        return available

    def has_all_files(self) -> bool:
        """Whether nothing has to be downloaded, built or rendered."""
        return all(self.locate(source).exists() for source in self._profile.manifests)

    def locate(self, source: ManifestSource) -> Path:
        """Return where a source's file or folder is, or will be."""
        return self.files.path(source)

    def fetch(self, source: ManifestSource) -> Path:
        """Return a source's file, after downloading it if need be."""
        if not source.url:
            return self.locate(source)
        try:
            return self.files.downloads.fetch(source.url, source.sha256, manifests.read)
        except DevenvError as error:
            profile = self._profile
            # A version that the profile does not know may be a typing error.
            if profile.like:
                question = f"Is there a release {profile.version}?"
                error.next_step = f"{question} {error.next_step}".strip()
            raise

    def fetch_or_render(self, source: ManifestSource) -> Path:
        """Return a source's file or folder; if it was lost, it is downloaded or rendered again."""
        if source.kustomize and not self.locate(source).exists():
            return self.folders.render(source)
        return self.fetch(source)

    def _built_or_fetched(self, source: ManifestSource) -> Path:
        """Return a source's file, after building or downloading it if need be."""
        if self._must_be_built(source):
            self.provider.provide((), [source.recipe_file])
        return self.fetch(source)

    def _must_be_built(self, source: ManifestSource) -> bool:
        """Whether a source is a recipe's file that does not exist yet."""
        return bool(source.recipe) and not self.locate(source).exists()

    @property
    def folders(self) -> Folders:
        """The sources that are kustomize folders."""
        kustomize, variant = self.files.kustomize, self.context.variant
        return Folders(kustomize, self._profile, variant, self._built_or_fetched)

    # The checkout

    def is_checkout_lost(self) -> bool:
        """Whether the cluster's checkout is gone, while everything rendered from it exists."""
        folder = self.context.variant.checkout
        if not folder or Path(folder).exists():
            return False
        return not any(map(self._is_lost_folder, self._profile.manifests))

    def _is_lost_folder(self, source: ManifestSource) -> bool:
        """Whether a source is a kustomize folder whose rendered file does not exist."""
        return bool(source.kustomize) and not self.locate(source).exists()

    def report_lost_checkout(self) -> None:
        """Say that the checkout is gone, and what the cluster keeps."""
        self.context.reporter.say(
            f"The checkout {self.context.variant.checkout} is gone."
            " The cluster keeps what was installed from it."
            f" If you moved it: `devenv up --checkout PATH{name_flag(self.context.cluster)}`."
        )

    def check_checkout(self) -> None:
        """Raise DevenvError with everything that keeps a checkout from being used."""
        folder = self.context.variant.checkout
        profile = self._profile
        problems = checkout.problems(folder, profile) if folder else []
        if problems:
            raise DevenvError(
                "The checkout can't be used.",
                "\n".join(problems),
                "Nothing was changed.",
                Exit.USAGE,
            )
        if not folder and profile.tests:
            raise DevenvError(
                f"The profile {profile.name} needs a checkout: its tests come from there.",
                "Nothing was changed.",
                "Pass --checkout PATH.",
                Exit.USAGE,
            )
