"""Render a profile's kustomize folders, with devenv's own files in place of some addresses."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from devenv.base.errors import DevenvError, Exit
from devenv.install.checkout import Kustomize, Replacements
from devenv.profiles.model import ManifestSource, Profile
from devenv.profiles.variant import Variant

_RENDER_COMMAND = "`kubectl kustomize FOLDER > FILE`"


@dataclass(frozen=True)
class Folders:
    """Renders the folders of a profile, each into a file."""

    kustomize: Kustomize
    profile: Profile
    variant: Variant
    # Returns the file of another source, after making or fetching it if need be.
    file: Callable[[ManifestSource], Path]

    def path(self, source: ManifestSource) -> Path:
        """Where a folder's manifests are, or will be."""
        return self.kustomize.path(source.kustomize, self._replacements)

    def render_all(self) -> None:
        """Render every folder, even if it was rendered before: its bases may have changed.

        Raises DevenvError.
        """
        sources = [source for source in self.profile.manifests if source.kustomize]
        # Folders that need one of devenv's own files come last: it may have to be compiled.
        for source in sorted(sources, key=self._needs_files):
            self.render(source)

    def render(self, source: ManifestSource) -> Path:
        """Render one folder.

        Raises DevenvError, which says how to do without an unreachable address.
        """
        try:
            return self.kustomize.render(source.kustomize, self._replacements)
        except DevenvError as error:
            if error.exit_code is Exit.PREREQUISITE and not error.next_step:
                error.next_step = self._workaround(source)
            raise

    @property
    def _replacements(self) -> Replacements:
        replacements: dict[str, Callable[[], Path]] = {}
        for source in self.profile.manifests:
            replacements |= dict.fromkeys(source.replaces, partial(self.file, source))
        return replacements

    def _needs_files(self, source: ManifestSource) -> bool:
        return bool(self.kustomize.replaced(source.kustomize, self._replacements))

    def _workaround(self, source: ManifestSource) -> str:
        """Say what can be done about a folder that names an unreachable address."""
        checkout = self.variant.checkout
        if not (checkout and source.kustomize.startswith(f"{checkout}/")):
            entry = f"{{name: {source.name}, kustomize: null, path: FILE}}"
            place = f"name the file in the profile: manifests: [{entry}]"
            return f"Run {_RENDER_COMMAND} where the network allows it, and {place}."
        folders = " and ".join(m.kustomize for m in self.profile.manifests if m.kustomize)
        without_full = ""
        if "full" in self.variant.options:
            without_full = " Without --full fewer folders are needed."
        return (
            f"Run {_RENDER_COMMAND} for {folders} where the network allows it, and pass the files"
            f" with --manifests FILE, once for each.{without_full}"
            f" `kustomize_first: []` in a profile that extends {self.profile.base} leaves out what"
            " comes before AIBrix's own objects. `--profile offline` needs no address."
        )
