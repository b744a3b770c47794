"""`profile show`, `validate` and `init`: a profile, its manifests, and what was checked or written.

The text of a profile and of manifests is YAML, to be saved as a file.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape

from devenv.base.counting import counted
from devenv.base.json_types import JsonObject
from devenv.profiles.load import to_json, to_yaml
from devenv.profiles.model import Profile
from devenv.ui import console
from devenv.ui.render import Report


def profile(profile: Profile) -> Report:
    """Report a profile as devenv uses it."""

    def text(_out: Console) -> None:
        console.document(to_yaml(profile).rstrip("\n"))

    return Report("profile", lambda: to_json(profile), text)


def manifests(objects: Sequence[Any]) -> Report:
    """Report manifests, as `up` applies them."""

    def text(_out: Console) -> None:
        content = yaml.safe_dump_all(objects, sort_keys=False, width=120, allow_unicode=True)
        console.document(content.rstrip("\n"))

    return Report("manifests", lambda: list(objects), text)


def validated(name: str, profile: Profile, new_names: Sequence[str]) -> Report:
    """Report a valid profile. `new_names`: what it adds to the one that it extends."""

    def text(out: Console) -> None:
        images = counted(len(profile.images), "image")
        components = counted(len(profile.components), "component")
        requests = counted(len(profile.requests), "request")
        counts = f"{images}, {components}, {requests}"
        console.print_line(out, f"{escape(name)} is valid: {counts}.")
        if new_names:
            console.print_line(out, f"New names: {escape(', '.join(new_names))}.")

    return Report("profile-validation", lambda: validated_shape(name, profile, new_names), text)


def validated_shape(name: str, profile: Profile, new_names: Sequence[str]) -> JsonObject:
    """Shape of `profile validate`. An invalid profile is an error instead."""
    return {
        "profile": name,
        "valid": True,
        "images": len(profile.images),
        "components": len(profile.components),
        "requests": len(profile.requests),
        "new_names": list(new_names),
    }


def written(file: Path, base: str, host_port: int) -> Report:
    """Report a profile that was written, and how to use it."""

    def text(out: Console) -> None:
        command = f"devenv up --name {file.stem} --profile {file}"
        console.print_line(out, escape(f"Wrote {file}. Use it with: {command}"))

    content = {"file": str(file), "extends": base, "host_port": host_port}
    return Report("profile-init", lambda: content, text)
