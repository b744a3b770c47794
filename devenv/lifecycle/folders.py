"""The kustomize folders of a profile, rendered without what devenv has itself."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from devenv.errors import DevenvError, Exit
from devenv.lifecycle.checkout import Kustomize, Replacements
from devenv.profiles.model import ManifestSource, Profile
from devenv.profiles.variant import Variant

_RENDER = "`kubectl kustomize FOLDER > FILE`"


@dataclass(frozen=True)
class Folders:
    """Renders the folders of a profile, each into a file."""

    kustomize: Kustomize
    profile: Profile
    variant: Variant
    # Gives the file of another source, made or fetched where it is not there yet.
    file: Callable[[ManifestSource], Path]

    def path(self, source: ManifestSource) -> Path:
        """Where a folder's manifests are, or will be."""
        return self.kustomize.path(source.kustomize, self._replacements)

    def render_all(self) -> None:
        """Render every folder anew: what it stands on may have changed. Raises DevenvError."""
        sources = [source for source in self.profile.manifests if source.kustomize]
        # Those that need a file of devenv's own come last: it may have to be compiled.
        for source in sorted(sources, key=self._needs_files):
            self.render(source)

    def render(self, source: ManifestSource) -> Path:
        """Render one folder. Raises DevenvError, with the ways round an unreachable address."""
        try:
            return self.kustomize.render(source.kustomize, self._replacements)
        except DevenvError as error:
            if error.exit_code is Exit.PREREQUISITE and not error.next_step:
                error.next_step = self._ways_round(source)
            raise

    @property
    def _replacements(self) -> Replacements:
        sources = self.profile.manifests
        return {a: partial(self.file, source) for source in sources for a in source.replaces}

    def _needs_files(self, source: ManifestSource) -> bool:
        return bool(self.kustomize.replaced(source.kustomize, self._replacements))

    def _ways_round(self, source: ManifestSource) -> str:
        """Say what can be done about a folder that names what can't be reached."""
        checkout = self.variant.checkout
        if not (checkout and source.kustomize.startswith(f"{checkout}/")):
            entry = f"{{name: {source.name}, kustomize: null, path: FILE}}"
            place = f"name the file in the profile: manifests: [{entry}]"
            return f"Run {_RENDER} where the network allows it, and {place}."
        folders = " and ".join(m.kustomize for m in self.profile.manifests if m.kustomize)
        full = " Without --full fewer folders are needed." if "full" in self.variant.options else ""
        return (
            f"Run {_RENDER} for {folders} where the network allows it, and name the files with"
            f" --manifests FILE, once for each.{full}"
            f" `kustomize_first: []` in a profile that extends {self.profile.base} leaves out what"
            " comes before AIBrix's own objects. `--profile offline` needs no address."
        )
