"""Where devenv's data files are: at the top of a checkout, under devenv/_data in a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def root() -> Path:
    """Return the folder that holds profiles/, manifests/ and images/."""
    packed = _PACKAGE / "_data"
    if packed.is_dir():
        return packed
    return _PACKAGE.parent
