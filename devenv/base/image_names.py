"""Image references, as containerd spells them, and maps with names of images."""

from collections.abc import Mapping
from typing import TypeAlias

# Image ID → a name of the image.
NamesById: TypeAlias = Mapping[str, str]
# Image name → the engine's ID of the image.
IdsByName: TypeAlias = Mapping[str, str]
# Image name → the digest of the image's config.
DigestsByName: TypeAlias = Mapping[str, str]
# Name under which nodes keep a superseded image → the name to which it can return.
ReturnNames: TypeAlias = Mapping[str, str]


def normalise(ref: str) -> str:
    """Return a reference as containerd spells it: redis → docker.io/library/redis:latest."""
    name, at_sign, digest = ref.partition("@")
    name = _with_registry(name)
    if not at_sign and not _has_tag(name):
        name += ":latest"
    return name + at_sign + digest


def _with_registry(name: str) -> str:
    """Add the registry and the folder that Docker leaves out."""
    if name.startswith(("docker.io/", "index.docker.io/")):
        name = name.removeprefix("index.").removeprefix("docker.io/")
    host, slash, path = name.partition("/")
    if not slash:
        return f"docker.io/library/{name}"
    if "." in host or ":" in host or host == "localhost":
        return name
    return f"docker.io/{host}/{path}"


def _has_tag(name: str) -> bool:
    """Whether a name ends with a tag. A colon before the last slash is that of a port."""
    return ":" in name.rpartition("/")[2]


def tag_of(ref: str) -> str:
    """Return the tag of a reference, "" if it has none."""
    name = ref.partition("@")[0]
    return name.rpartition(":")[2] if _has_tag(name) else ""
