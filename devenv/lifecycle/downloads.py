"""Files by address, kept by their sum: what was fetched once is not fetched again."""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from devenv.errors import DevenvError, Exit
from devenv.lifecycle.steps import step
from devenv.ports import Host, Reporter, Web


@dataclass(frozen=True)
class Downloads:
    """Fetches what is missing."""

    host: Host
    web: Web
    reporter: Reporter

    def path(self, sha256: str) -> Path:
        """Where the file of that sum is, or will be."""
        return self.host.cache_dir() / "downloads" / sha256

    def fetch(self, url: str, sha256: str) -> Path:
        """Return the file at the address. Raises DevenvError where it can't be had, or is another than recorded."""
        path = self.path(sha256)
        if path.exists() and _sum(path) == sha256:
            return path
        path.parent.mkdir(exist_ok=True)
        name = f"download {url.rsplit('/', 1)[-1]}"
        with step(self.reporter, name), tempfile.TemporaryDirectory(prefix="work-", dir=path.parent) as work:
            part = Path(work) / "part"
            self.web.fetch(url, part, lambda done, total: self.reporter.update(name, done, total, "B"))
            if (found := _sum(part)) != sha256:
                why = f"Recorded: sha256 {sha256}\nFound:    sha256 {found}"
                fix = "If it was changed on purpose, and you trust the change, record the new sum in the profile."
                raise DevenvError(f"{url} is not the file that was recorded.", why, fix, Exit.USAGE)
            part.replace(path)
        return path


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
