"""Whether a profile can be installed here: all of it is at hand, or its registries answer."""

from collections.abc import Callable
from dataclasses import dataclass

from devenv.images.sources.provider import Provider
from devenv.images.sources.registry import Failure, registry_of
from devenv.install.downloads import Downloads
from devenv.profiles.model import ManifestSource, Profile
from devenv.state.choice import Availability


@dataclass(frozen=True)
class Sources:
    """Where a profile's images and manifests may come from.

    `registry_problem` returns why a registry refuses an image, in the engine's words;
    `address_problem` why an address can't be reached. Both return "" if nothing is wrong.
    """

    provider: Provider
    downloads: Downloads
    registry_problem: Callable[[str], str]
    address_problem: Callable[[str], str]

    def availability(self, profile: Profile) -> Availability:
        """Return whether the profile can be installed here, and why."""
        missing_manifests = self._missing_manifests(profile)
        if not missing_manifests and self.provider.obtainable(profile.images):
            return Availability(is_at_hand=True, reason="its images and manifests are at hand")
        if problem := self._registry_problem(profile):
            reason = f"AIBrix's images are not at hand, and {problem}"
            return Availability(is_at_hand=False, reason=reason)
        if missing_manifests and (problem := self.address_problem(missing_manifests[0].url)):
            reason = f"AIBrix's manifests are not at hand, and {problem}"
            return Availability(is_at_hand=False, reason=reason)
        return Availability(is_at_hand=True, reason="a registry answers")

    def _missing_manifests(self, profile: Profile) -> list[ManifestSource]:
        """Return the sources that have an address, or none if all of them are downloaded."""
        sources = [source for source in profile.manifests if source.url]
        if all(map(self._is_downloaded, sources)):
            return []
        return sources

    def _is_downloaded(self, source: ManifestSource) -> bool:
        return self.downloads.path(source.url, source.sha256).exists()

    def _registry_problem(self, profile: Profile) -> str:
        """Return why an image that only a registry has can't be pulled, "" if all can.

        Says what to do, too. Asks for one image of each registry.
        """
        refs_by_registry: dict[str, str] = {}
        for image in profile.images:
            if not image.recipe:
                registry = registry_of(image.ref)
                refs_by_registry[registry] = image.ref
        if not refs_by_registry:
            return "no registry has them"
        for ref in refs_by_registry.values():
            if words := self.registry_problem(ref):
                failure = Failure(ref, words)
                way_out = failure.way_out.rstrip(".")
                return f"{failure.sentence}. {way_out}"
        return ""
