"""Which profile a command uses for a cluster.

That is the requested one, else the one that the cluster was made with, else the default.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devenv.base.errors import DevenvError, Exit
from devenv.ports.host import Host
from devenv.profiles.files import find
from devenv.profiles.load import load
from devenv.profiles.model import Profile
from devenv.profiles.settings import FILE, Settings, applied, read
from devenv.profiles.variant import PLAIN, Variant
from devenv.state.record import Record, Records

# The only profile that needs no AIBrix images.
DEFAULT = "offline"
AIBRIX = "aibrix"
Warn = Callable[[DevenvError], None]


@dataclass(frozen=True)
class Availability:
    """Whether a profile can be installed on this host, and why."""

    is_at_hand: bool
    reason: str


AtHand = Callable[[Profile], Availability]


@dataclass(frozen=True)
class Choice:
    """A profile, the name to remember it by, its variant, and why it was chosen."""

    profile: Profile
    name: str
    reason: str
    variant: Variant = PLAIN


def choose(
    host: Host,
    cluster: str,
    requested_profile: str | None,
    folder: Path,
    variant: Variant = PLAIN,
    at_hand: AtHand | None = None,
    warn: Warn | None = None,
) -> Choice:
    """Choose the cluster's profile. Raises DevenvError if it is wrong or does not exist.

    `folder`: where devenv's own profiles are. `variant`: what the user requested besides; it means
    AIBrix unless a profile is requested too.
    `at_hand` tells whether AIBrix can be installed; it is asked for a new cluster if the user
    requested nothing. Without it, the default is taken.
    `warn` gets what is wrong with the user's settings, which are then ignored: a command that only
    reads can do without them.
    """
    record = Records(host).read(cluster)
    if requested_profile:
        name, reason = requested_profile, "requested"
    elif record:
        name, reason = _remembered(record, variant)
    elif variant.chooses_aibrix:
        name, reason = AIBRIX, "the requested options are AIBrix's"
    else:
        name, reason = _default(folder, at_hand)
    path = find(name, folder)
    remembered_name = name if path.parent == folder else str(path.resolve())
    if record and record.profile == remembered_name:
        variant = variant.over(record.variant)
    profile = load(name, folder, variant)
    settings = _settings(host, warn)
    return Choice(applied(profile, settings), remembered_name, reason, variant)


def _settings(host: Host, warn: Warn | None) -> Settings:
    """Return the user's settings; with `warn`, broken ones are reported and ignored."""
    try:
        return read(host.config_dir() / FILE)
    except DevenvError as error:
        if warn is None:
            raise
        warn(error)
        return Settings()


def _remembered(record: Record, variant: Variant) -> tuple[str, str]:
    """Return the name of the profile that the cluster was made with, and why it is used."""
    if not variant.chooses_aibrix:
        return record.profile, f"the cluster {record.cluster} was made with it"
    _refuse_aibrix(record)
    return record.profile, "requested"


def _refuse_aibrix(record: Record) -> None:
    """Raise DevenvError if the cluster was made with the default profile, and AIBrix is requested.

    A record of an older devenv does not name the base.
    """
    if record.base in {"", DEFAULT}:
        raise DevenvError(
            f"The cluster {record.cluster} was made with {DEFAULT}, and AIBrix was requested.",
            "What the one profile installed would stay among the objects of the other.",
            f"Run `devenv down --name {record.cluster}` first, or choose another name with --name.",
            Exit.USAGE,
        )


def _default(folder: Path, at_hand: AtHand | None) -> tuple[str, str]:
    """Return the profile for a new cluster if the user requested nothing, and why it is used."""
    if at_hand is None:
        return DEFAULT, "the only one that needs no AIBrix images"
    availability = at_hand(load(AIBRIX, folder))
    if availability.is_at_hand:
        return AIBRIX, availability.reason
    return DEFAULT, availability.reason
