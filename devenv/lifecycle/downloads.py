"""Files by address, kept by their sum: what was fetched once is not fetched again.

Where nobody has published a sum, the one of the first download is recorded, and required ever after.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from pydantic import TypeAdapter

from devenv.errors import DevenvError, Exit
from devenv.folders import work_folder, write_private
from devenv.lifecycle.steps import step
from devenv.ports import Host, Reporter, Web
from devenv.userfiles import read_state

# In the configuration's folder: address → sha256.
_LOCK_FILE = "downloads.lock"
_SUMS = TypeAdapter(dict[str, str])
_guard = Lock()


@dataclass(frozen=True)
class Downloads:
    """Fetches what is missing."""

    host: Host
    web: Web
    reporter: Reporter

    def path(self, url: str, sha256: str) -> Path:
        """Where the file of that address and sum is, or will be; without a sum, that of the one that is recorded."""
        return (
            self.host.cache_dir() / "downloads" / (sha256 or self._recorded().get(url) or "not-yet")
        )

    def fetch(
        self, url: str, sha256: str, check: Callable[[Path], object] = lambda _: None
    ) -> Path:
        """Return the file at the address. Raises DevenvError where it can't be had, or is another than recorded.

        `check` raises where a file is not what it should be: such a one is not recorded. A portal's page comes with 200, too.
        """
        expected_sum = sha256 or self._recorded().get(url, "")
        path = self.path(url, expected_sum)
        if expected_sum and path.exists() and _sum(path) == expected_sum:
            return path
        name = f"download {url.rsplit('/', 1)[-1]}"
        with step(self.reporter, name) as note, work_folder(path.parent) as work:
            part = work / "part"
            self.web.fetch(
                url,
                part,
                lambda completed, total: self.reporter.update(name, completed, total, "B"),
            )
            actual_sum = _sum(part)
            if expected_sum and actual_sum != expected_sum:
                raise self._another(url, expected_sum, actual_sum, given=bool(sha256))
            if not expected_sum:
                check(part)
                self._record(url, actual_sum)
                note.append(f"sha256 {actual_sum[:12]}… recorded")
            path = self.path(url, actual_sum)
            part.replace(path)
        return path

    def _another(self, url: str, expected_sum: str, actual_sum: str, *, given: bool) -> DevenvError:
        reason = f"Recorded: sha256 {expected_sum}\nFound:    sha256 {actual_sum}"
        where = "in the profile" if given else f"in {self._file}, or remove its line there"
        fix = f"If it was changed on purpose, and you trust the change, record the new sum {where}."
        return DevenvError(f"{url} is not the file that was recorded.", reason, fix, Exit.USAGE)

    @property
    def _file(self) -> Path:
        return self.host.config_dir() / _LOCK_FILE

    def _recorded(self) -> dict[str, str]:
        """Return the sums that are recorded. Raises DevenvError where they can't be read: nothing would be required then."""
        try:
            return _SUMS.validate_python(read_state(self._file))
        except FileNotFoundError:
            return {}
        except (DevenvError, ValueError) as error:
            reason = (
                error.why
                if isinstance(error, DevenvError)
                else f"{self._file}: it is not a map of addresses to checksums."
            )
            fix = "Correct it, or remove it: devenv then trusts the next download of each address."
            raise DevenvError(f"{self._file} can't be read.", reason, fix, Exit.USAGE) from error

    def _record(self, url: str, actual_sum: str) -> None:
        with _guard:
            sums = {**self._recorded(), url: actual_sum}
            try:
                self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_private(self._file, json.dumps(sums, indent=1, sort_keys=True) + "\n")
            except OSError as error:
                raise DevenvError(
                    f"{self._file} can't be written.", str(error), "Is the disk full?"
                ) from error


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
