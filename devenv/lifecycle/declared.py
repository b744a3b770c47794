"""What the profile's manifests declare, kept beside their fingerprint.

A look at a cluster need not read 2 MB of YAML again.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from devenv.errors import DevenvError
from devenv.facts.model import Declared
from devenv.folders import write_private
from devenv.lifecycle import manifests
from devenv.profiles.base import Model
from devenv.profiles.model import Profile


class _Kept(Model):
    fingerprint: str
    declared: tuple[Declared, ...]


@dataclass(frozen=True)
class Declarations:
    """Reads one cluster's manifests, as they were last applied. `file` is where the result is kept."""

    profile: Profile
    locate: manifests.Locate
    file: Path

    def read(self) -> tuple[Declared, ...]:
        """Return what they declare; where `prune` has removed them, what they last declared.

        Raises DevenvError where neither is on this machine any more.
        """
        entry = self._kept()
        try:
            fingerprint = manifests.fingerprint(self.profile, self.locate)
        except OSError as error:
            if entry:
                return entry.declared
            what = "They are not on this machine any more."
            raise DevenvError(what, str(error), "`devenv up` brings them.") from error
        if entry and entry.fingerprint == fingerprint:
            return entry.declared
        declared = manifests.declared(manifests.render(self.profile, self.locate))
        # On a full disk it is read again next time.
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            entry = _Kept(fingerprint=fingerprint, declared=declared)
            write_private(self.file, entry.model_dump_json())
        return declared

    def _kept(self) -> _Kept | None:
        try:
            return _Kept.model_validate_json(self.file.read_text())
        except (OSError, ValidationError):
            # Not kept yet, or by another version.
            return None
