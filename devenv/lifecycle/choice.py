"""Which profile a command uses for a cluster: the one asked for, else the one that it remembers, else the default."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devenv.errors import DevenvError, Exit
from devenv.lifecycle.record import Record, Records
from devenv.ports import Host
from devenv.profiles.load import find, load
from devenv.profiles.model import Profile
from devenv.profiles.settings import FILE, Settings, applied, read
from devenv.profiles.variant import PLAIN, Variant

# The only one that needs no AIBrix images.
DEFAULT = "offline"
AIBRIX = "aibrix"
Warn = Callable[[DevenvError], None]


@dataclass(frozen=True)
class Availability:
    """Whether a profile can be installed here, and why."""

    is_at_hand: bool
    why: str


AtHand = Callable[[Profile], Availability]


@dataclass(frozen=True)
class Choice:
    """A profile, the name to remember it by, its variant, and why it is this one."""

    profile: Profile
    name: str
    why: str
    variant: Variant = PLAIN


def choose(
    host: Host, cluster: str, requested_profile: str | None, folder: Path, variant: Variant = PLAIN,
    at_hand: AtHand | None = None, warn: Warn | None = None,
) -> Choice:  # fmt: skip
    """Return the cluster's profile. Raises DevenvError where it is wrong or not there.

    A variant that is asked for is AIBrix's, unless a profile is. `at_hand` tells whether AIBrix can be had, for a new
    cluster of which nothing was said; without it, the default is taken. `warn` gets what is wrong with the user's
    settings, which are then ignored: a command that only looks can do without them.
    """
    record = Records(host).read(cluster)
    if requested_profile:
        name, reason = requested_profile, "asked for"
    elif record and variant != PLAIN:
        _same_base(record, cluster)
        name, reason = record.profile, "asked for"
    elif record:
        name, reason = record.profile, f"the cluster {cluster} was made with it"
    elif variant != PLAIN:
        name, reason = AIBRIX, "what was asked for is AIBrix's"
    else:
        name, reason = _default(folder, at_hand)
    path = find(name, folder)
    remembered = name if path.parent == folder else str(path.resolve())
    if record and record.profile == remembered:
        variant = variant.over(record.variant)
    profile = applied(load(name, folder, variant), _settings(host, warn))
    return Choice(profile, remembered, reason, variant)


def _settings(host: Host, warn: Warn | None) -> Settings:
    try:
        return read(host.config_dir() / FILE)
    except DevenvError as error:
        if warn is None:
            raise
        warn(error)
        return Settings()


def _same_base(record: Record, cluster: str) -> None:
    """Refuse what is AIBrix's alone for a cluster that is not AIBrix's."""
    if record.base in {"", DEFAULT}:
        raise DevenvError(
            f"The cluster {cluster} was made with {DEFAULT}, and AIBrix was asked for.",
            "What the one has brought would stay among the other's.",
            f"Run `devenv down --name {cluster}` first, or choose another name with --name.",
            Exit.USAGE,
        )


def _default(folder: Path, at_hand: AtHand | None) -> tuple[str, str]:
    if at_hand is None:
        return DEFAULT, "the only one that needs no AIBrix images"
    availability = at_hand(load(AIBRIX, folder))
    return AIBRIX if availability.is_at_hand else DEFAULT, availability.why
