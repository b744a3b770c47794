"""Files by address, cached by their checksum: a file is fetched only once.

If the profile gives no checksum, that of the first download is recorded, and required from then on.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from pydantic import TypeAdapter

from devenv.base.atomic import work_folder, write_private
from devenv.base.errors import DevenvError, Exit
from devenv.base.steps import step
from devenv.base.userfiles import read_state
from devenv.ports.host import Host
from devenv.ports.reporter import Reporter
from devenv.ports.web import Web

# In devenv's configuration folder: address → sha256.
_LOCK_FILE = "downloads.lock"
_CHECKSUMS = TypeAdapter(dict[str, str])
_guard = Lock()


@dataclass(frozen=True)
class Downloads:
    """Fetches files that are not cached yet."""

    host: Host
    web: Web
    reporter: Reporter

    def path(self, url: str, sha256: str) -> Path:
        """Where the file of that address is, or will be.

        Without a checksum, the recorded one counts.
        """
        name = sha256 or self._recorded_checksums().get(url) or "not-yet"
        return self.host.cache_dir() / "downloads" / name

    def fetch(
        self, url: str, sha256: str, check: Callable[[Path], object] = lambda _: None
    ) -> Path:
        """Return the file at the address.

        `check` raises if a file is not what it should be, such as a portal's page that comes with
        status 200: its checksum is not recorded. Raises DevenvError if the file can't be fetched,
        or is not the one that was recorded.
        """
        expected_checksum = sha256 or self._recorded_checksums().get(url, "")
        path = self.path(url, expected_checksum)
        if expected_checksum and path.exists() and _checksum(path) == expected_checksum:
            return path
        file_name = url.rsplit("/", 1)[-1]
        name = f"download {file_name}"
        with step(self.reporter, name) as note, work_folder(path.parent) as work:
            part = work / "part"
            self._download(url, part, name)
            checksum = _checksum(part)
            if not expected_checksum:
                check(part)
                self._record(url, checksum)
                note.append(f"sha256 {checksum[:12]}… recorded")
            elif checksum != expected_checksum:
                raise self._mismatch(url, expected_checksum, checksum, in_profile=bool(sha256))
            path = self.path(url, checksum)
            part.replace(path)
        return path

    def _download(self, url: str, target: Path, step_name: str) -> None:
        def show_progress(completed: int, total: int) -> None:
            self.reporter.update(step_name, completed, total, "B")

        self.web.fetch(url, target, show_progress)

    def _mismatch(self, url: str, expected: str, actual: str, *, in_profile: bool) -> DevenvError:
        """Return the error for a file that changed at its address, and where to accept that."""
        reason = f"Recorded: sha256 {expected}\nFound:    sha256 {actual}"
        place = f"in {self._file}, or remove its line there"
        if in_profile:
            place = "in the profile"
        fix = f"If you trust the changed file, record its new checksum {place}."
        return DevenvError(f"{url} is not the file that was recorded.", reason, fix, Exit.USAGE)

    @property
    def _file(self) -> Path:
        return self.host.config_dir() / _LOCK_FILE

    def _recorded_checksums(self) -> dict[str, str]:
        """Return the recorded checksums by address, {} before the first one is recorded.

        Raises DevenvError if the file can't be read: otherwise any download would be accepted.
        """
        try:
            return _CHECKSUMS.validate_python(read_state(self._file))
        except FileNotFoundError:
            return {}
        except DevenvError as error:
            raise self._unreadable(error.why) from error
        except ValueError as error:
            reason = f"{self._file}: it must be a map of addresses to checksums."
            raise self._unreadable(reason) from error

    def _unreadable(self, reason: str) -> DevenvError:
        fix = "Correct it, or remove it; devenv then trusts the next download of each address."
        return DevenvError(f"{self._file} can't be read.", reason, fix, Exit.USAGE)

    def _record(self, url: str, checksum: str) -> None:
        """Note a file's checksum for the next time. Raises DevenvError if that can't be written."""
        with _guard:
            checksums = {**self._recorded_checksums(), url: checksum}
            try:
                self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                text = json.dumps(checksums, indent=1, sort_keys=True)
                write_private(self._file, f"{text}\n")
            except OSError as error:
                what = f"{self._file} can't be written."
                raise DevenvError(what, str(error), "Is the disk full?") from error


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
