"""Where the manifests are that `up` has applied."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devenv.install.checkout import Kustomize
from devenv.install.downloads import Downloads
from devenv.install.kustomize_folders import Folders
from devenv.profiles.model import ManifestSource, Profile
from devenv.profiles.variant import PLAIN


@dataclass(frozen=True)
class ManifestFiles:
    """Finds a profile's manifest files; fetches and renders nothing.

    `folder`: devenv's own manifests. `recipe_file`: (recipe, file) → its path.
    """

    profile: Profile
    folder: Path
    downloads: Downloads
    kustomize: Kustomize
    recipe_file: Callable[[str, str], Path]

    def path(self, source: ManifestSource) -> Path:
        """Return a source's file, whether it exists or not."""
        if source.url:
            return self.downloads.path(source.url, source.sha256)
        if source.kustomize:
            return Folders(self.kustomize, self.profile, PLAIN, self.path).path(source)
        if source.path:
            return self.folder / source.path
        return self.recipe_file(*source.recipe_file)
