"""What the profile `offline` declares, as far as its manifests are in the repository."""

from devenv import data
from devenv.install import manifests
from devenv.profiles.load import load


def declared_offline():
    profile = load("offline", data.root() / "profiles")
    folder = data.root() / "manifests"
    own_sources = [source for source in profile.manifests if source.path]
    rendered = manifests.render(profile, lambda source: folder / source.path, own_sources)
    return manifests.declared(rendered)
