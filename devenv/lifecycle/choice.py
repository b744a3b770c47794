"""Which profile a command uses for a cluster: the one asked for, else the one that it remembers, else the default."""

from dataclasses import dataclass
from pathlib import Path

from devenv.lifecycle.record import Records
from devenv.ports import Host
from devenv.profiles.load import load
from devenv.profiles.model import Profile
from devenv.profiles.settings import FILE, applied, read

DEFAULT = "offline"


@dataclass(frozen=True)
class Choice:
    """A profile, the name to remember it by, and why it is this one."""

    profile: Profile
    name: str
    why: str


def choose(host: Host, cluster: str, asked: str | None, folder: Path) -> Choice:
    """Return the cluster's profile. Raises DevenvError where it is wrong or not there."""
    record = Records(host).read(cluster)
    if asked:
        name, why = asked, "asked for"
    elif record:
        name, why = record.profile, f"the cluster {cluster} was made with it"
    else:
        name, why = DEFAULT, "the only one that needs no AIBrix images"
    own = Path(name)
    remembered = str(own.resolve()) if own.suffix in {".yaml", ".yml"} and own.is_file() else name
    return Choice(applied(load(name, folder), read(host.config_dir() / FILE)), remembered, why)
