"""Downloads."""

from pathlib import Path
from typing import Protocol

from devenv.ports.progress import Progress


class Web(Protocol):
    """Downloads by address."""

    def fetch(self, url: str, target: Path, progress: Progress) -> None:
        """Write what an address gives to `target`.

        `progress` gets the bytes so far, and the bytes in all or 0 if that is unknown. Raises
        DevenvError if there is nothing at the address or `target` can't be written, and
        NotReachableError if no server answers.
        """
