"""The user's own settings: what of a profile's is theirs to say, whatever the profile."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from devenv.errors import DevenvError, Exit
from devenv.profiles.base import Amount, AutoPrune, Model, Share
from devenv.profiles.load import places
from devenv.profiles.merge import merge
from devenv.profiles.model import Profile
from devenv.userfiles import read_yaml

FILE = "config.yaml"


class BudgetChange(Model):
    """What of a budget is said otherwise."""

    keep_free: Share | None = None
    max_use: Share | None = None
    headroom: Share | None = None


class BudgetChanges(Model):
    """By disk."""

    host: BudgetChange = BudgetChange()
    engine: BudgetChange = BudgetChange()
    node: BudgetChange = BudgetChange()


class Settings(Model):
    """config.yaml. What is not said is as the profile has it; `protect` is added to the profile's."""

    budgets: BudgetChanges = BudgetChanges()
    auto_prune: AutoPrune | None = None
    protect: tuple[str, ...] = ()
    # Hours.
    keep_newer: Amount | None = Field(default=None, ge=0, le=24 * 365)


def read(path: Path) -> Settings:
    """Return the settings in a file, none where there is no file. Raises DevenvError with all that is wrong and where."""
    try:
        document = read_yaml(path)
    except FileNotFoundError:
        return Settings()
    try:
        return Settings.model_validate(document.content or {})
    except ValidationError as error:
        what = f"The settings in {path} are wrong."
        fix = "Correct the file; nothing was changed."
        raise DevenvError(what, places(document, error, Settings), fix, Exit.USAGE) from error


def applied(profile: Profile, settings: Settings) -> Profile:
    """Return the profile as the user's settings make it."""
    changes: Mapping[str, Any] = settings.model_dump(exclude_none=True, exclude={"protect"})
    content = merge(profile.model_dump(by_alias=True), changes)
    return Profile.model_validate({**content, "protect": (*profile.protect, *settings.protect)})
