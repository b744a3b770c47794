"""The user's own settings, which come before those of any profile."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from devenv.base.errors import DevenvError, Exit
from devenv.base.userfiles import read_yaml
from devenv.profiles.base import Amount, AutoPrune, Model, Share
from devenv.profiles.merge import merge
from devenv.profiles.model import Profile
from devenv.profiles.places import FIX, describe_errors

FILE = "config.yaml"


class BudgetChange(Model):
    """Changes to one disk's budget. What is not set stays as the profile has it."""

    keep_free: Share | None = None
    max_use: Share | None = None
    headroom: Share | None = None


class BudgetChanges(Model):
    """Changes to the budgets, by disk."""

    host: BudgetChange = BudgetChange()
    engine: BudgetChange = BudgetChange()
    node: BudgetChange = BudgetChange()


class Settings(Model):
    """config.yaml. What is not set stays as the profile has it; `protect` adds to the profile's."""

    budgets: BudgetChanges = BudgetChanges()
    auto_prune: AutoPrune | None = None
    protect: tuple[str, ...] = ()
    # Hours.
    keep_newer: Amount | None = Field(default=None, ge=0, le=24 * 365)


def read(path: Path) -> Settings:
    """Return the settings in a file, empty ones if the file does not exist.

    Raises DevenvError with everything that is wrong, and where.
    """
    try:
        document = read_yaml(path)
    except FileNotFoundError:
        return Settings()
    try:
        return Settings.model_validate(document.content or {})
    except ValidationError as error:
        what = f"The settings in {path} have errors."
        reason = describe_errors(document, error, Settings)
        raise DevenvError(what, reason, FIX, Exit.USAGE) from error


def applied(profile: Profile, settings: Settings) -> Profile:
    """Return the profile with the user's settings."""
    changes: Mapping[str, Any] = settings.model_dump(exclude_none=True, exclude={"protect"})
    content = merge(profile.model_dump(by_alias=True), changes)
    protected_names = (*profile.protect, *settings.protect)
    return Profile.model_validate({**content, "protect": protected_names})
