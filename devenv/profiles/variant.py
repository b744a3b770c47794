"""What is chosen when a cluster is created: version, options, source of manifests, port.

A profile may have `versions` and `options`: changes by name, merged over it. In its texts,
`{version}` and `{tag}` stand for the version and for the tag of its images.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from devenv.base.errors import DevenvError, Exit
from devenv.base.json_types import JsonObject
from devenv.ports.names import Names
from devenv.profiles.merge import merge

# The content of a profile, or of a part of it.
Content = Mapping[str, Any]
# The contents of the profile's files: from the one that extends none to the one that was named.
Layers = Sequence[Content]
# "versions" or "options", and the name of one.
Change = tuple[str, str]
LISTS = ("images", "manifests", "components", "requests")
_RELEASE = re.compile(r"v(\d+)\.(\d+)\.(\d+)(-[\w.]+)?")
# Options that follow from --manifests and --checkout, and can't be named.
FILES, CHECKOUT = "files", "checkout"
_IMPLIED_OPTIONS = {FILES, CHECKOUT}
# Stands for a path if only the rest is checked.
ANY = "any"
# Folders of a checkout, in the order in which their objects count.
FOLDERS = ("kustomize_first", "kustomize")


@dataclass(frozen=True)
class Variant:
    """What was chosen; a field that is empty was not. Paths are absolute."""

    version: str = ""
    options: Names = ()
    # Files and folders in the place of the release's.
    manifests: tuple[str, ...] = ()
    # A folder with the source code.
    checkout: str = ""
    # The gateway's port on the host, 0 for the profile's own.
    port: int = 0

    @property
    def chooses_aibrix(self) -> bool:
        """Whether it chooses what only AIBrix's profiles have."""
        return replace(self, port=0) != Variant()

    @property
    def has_own_manifests(self) -> bool:
        """Whether manifests come from the user's files or checkout, not from a release."""
        return bool(self.manifests or self.checkout)

    @property
    def everything(self) -> Names:
        """The options, with those that follow from the rest."""
        options = list(self.options)
        if self.has_own_manifests:
            options.append(FILES)
        if self.checkout:
            options.append(CHECKOUT)
        return tuple(options)

    def over(self, previous: "Variant") -> "Variant":
        """Return this choice on top of a previous one, which fills in what is empty."""
        return Variant(
            self.version or previous.version,
            tuple(dict.fromkeys([*previous.options, *self.options])),
            self.manifests or previous.manifests,
            self.checkout or previous.checkout,
            self.port or previous.port,
        )


PLAIN = Variant()


def merged(layers: Layers) -> Content:
    """Return the profile's content with its versions and options still to choose from."""
    content: Content = {}
    for layer in layers:
        content = merge(content, layer)
    return content


def varied(layers: Layers, variant: Variant, name: str) -> Content:
    """Return the profile's content as the variant makes it.

    A profile's own content outranks the versions and options of the profiles that it extends.
    Raises DevenvError if the profile has no such version or option, or leaves nothing of an option.
    """
    merged_content = merged(layers)
    versions, options = _choices(merged_content, "versions"), _choices(merged_content, "options")
    _refuse_unknown_choices(versions, options, variant, name)
    if not versions and not options:
        return _enabled(_own_content(merged_content))
    version = variant.version or _default_version(layers, variant)
    like = "" if version in versions else newer(versions, version)
    listed_version = like or version
    _require_version(versions, listed_version, name)
    changes = [("versions", listed_version)]
    changes += [("options", option) for option in variant.everything]
    content = _with_changes(layers, merged_content, changes)
    _refuse_without_effect(layers, merged_content, changes, variant, name)
    words = _version_words(content, version) if versions else {}
    file_changes = _changes_for_files(content, layers, variant)
    content = _filled_in(content, words)
    content = merge(content, file_changes)
    content = _without_choices(content, version, variant)
    content = _without_missing(content, variant.checkout)
    content = {**content, **words}
    if like:
        content["like"] = like
    return _enabled(content)


def _version_words(content: Content, version: str) -> dict[str, str]:
    """Return what `{version}` and `{tag}` stand for; these are keys of the profile, too."""
    tag = content.get("tag") or version
    return {"version": version, "tag": str(tag)}


def _choices(content: Content, part: str) -> Content:
    """Return the versions or the options, by name."""
    return content.get(part) or {}


def _own_content(content: Content) -> Content:
    return {key: value for key, value in content.items() if key not in {"versions", "options"}}


def _without_choices(content: Content, version: str, variant: Variant) -> Content:
    """Return the content without the keys that only choose.

    Raises DevenvError if the version is not released, and nothing else gives its manifests.
    """
    remaining = dict(content)
    is_released = remaining.pop("released", True)
    for key in FOLDERS:
        remaining.pop(key, None)
    if not is_released and not variant.has_own_manifests:
        raise DevenvError(
            f"The release {version} does not exist.",
            next_step="Give its source with --checkout, or its manifests with --manifests.",
            exit_code=Exit.USAGE,
        )
    return remaining


# Versions and options


def _default_version(layers: Layers, variant: Variant) -> str:
    """Return the version that the last profile names which names one, "" if none does."""
    for layer in reversed(layers):
        checkout_change = _change(layer, ("options", CHECKOUT))
        checkout_version = checkout_change.get("version")
        if variant.checkout and checkout_version:
            return str(checkout_version)
        if layer.get("version"):
            return str(layer["version"])
    return ""


def _change(content: Content, change: Change) -> Content:
    """Return what a version or an option changes, nothing if the content does not have it."""
    part, name = change
    return _choices(content, part).get(name) or {}


def _with_changes(layers: Layers, merged_content: Content, changes: Sequence[Change]) -> Content:
    """Merge each profile's own content, then its changes for what was chosen, then the next one."""
    content: Content = {}
    for layer in layers:
        content = merge(content, _own_content(layer))
        for change in changes:
            layer_change = _valid_change(layer, merged_content, change)
            content = merge(content, layer_change)
    return content


def _valid_change(layer: Content, merged_content: Content, change: Change) -> Content:
    """Return what a layer's version or option changes, without keys that were taken back.

    A key that a later profile has taken back (null) is missing in the merged content.
    """
    valid_keys = _change(merged_content, change).keys()
    layer_change = _change(layer, change)
    return {key: value for key, value in layer_change.items() if key in valid_keys}


def _refuse_without_effect(
    layers: Layers,
    merged_content: Content,
    changes: Sequence[Change],
    variant: Variant,
    name: str,
) -> None:
    """Refuse an option that was asked for, if the profile's own content leaves nothing of it."""
    content = _with_changes(layers, merged_content, changes)
    for option in variant.options:
        change = merged_content["options"][option] or {}
        # If the profile says the same as the option, everything is as it was asked for.
        if merge(content, change) == content:
            continue
        other_changes = [other for other in changes if other != ("options", option)]
        content_without = _with_changes(layers, merged_content, other_changes)
        if content_without == content:
            keys = ", ".join(change)
            raise DevenvError(
                f"The profile {name} leaves nothing of the option {option}: it has its own {keys}.",
                "",
                "Leave the option out, or say in the profile what it should change:"
                f" options: {{{option}: …}}.",
                Exit.USAGE,
            )


def variants(content: Content) -> Iterator[tuple[tuple[str, ...], Variant]]:
    """Yield every choice that the profile leaves, one at a time, after the keys of its change."""
    yield (), PLAIN
    for version in _choices(content, "versions"):
        yield ("versions", version), Variant(version=version)
    implied_variants = {FILES: Variant(manifests=(ANY,)), CHECKOUT: Variant(checkout=ANY)}
    for option in _choices(content, "options"):
        variant = implied_variants.get(option) or Variant(options=(option,))
        yield ("options", option), variant


def newer(versions: Iterable[str], version: str) -> str:
    """Return the newest of the versions, if `version` is a newer release; else ""."""
    releases = filter(_release_numbers, versions)
    newest = max(releases, key=lambda release: (_release_numbers(release), release), default="")
    is_newer = _release_numbers(version) > _release_numbers(newest)
    return newest if is_newer else ""


def _release_numbers(version: str) -> tuple[int, ...]:
    """Return the three numbers of a release, nothing for another version."""
    match = _RELEASE.fullmatch(version)
    if match is None:
        return ()
    major, minor, patch, _ = match.groups()
    return int(major), int(minor), int(patch)


def _require_version(versions: Content, version: str, name: str) -> None:
    """Raise DevenvError if the profile has versions, but not this one."""
    if not versions or version in versions:
        return
    what = f"The profile {name} does not name a version."
    if version:
        what = f"The profile {name} has no version {version}."
    available = ", ".join(versions)
    fix = f"Choose one of {available}, or a newer release."
    raise DevenvError(what, next_step=fix, exit_code=Exit.USAGE)


def _refuse_unknown_choices(
    versions: Content, options: Content, variant: Variant, name: str
) -> None:
    """Raise DevenvError if the profile does not have what was chosen."""
    problems = []
    if variant.version and not versions:
        problems.append(f"it has no versions, so not {variant.version} either")
    problems += _unknown_option_problems(options, variant.options)
    if variant.manifests and FILES not in options:
        problems.append("its manifests can't come from files")
    if variant.checkout and CHECKOUT not in options:
        problems.append("its manifests can't come from a checkout")
    if problems:
        raise DevenvError(
            f"The profile {name} does not have what you asked for.",
            "\n".join(problems),
            f"`devenv profile show {name}` shows what it has.",
            Exit.USAGE,
        )


def _unknown_option_problems(options: Content, chosen_options: Iterable[str]) -> list[str]:
    """Return a line for each chosen option that the profile lacks."""
    own_options = [option for option in options if option not in _IMPLIED_OPTIONS]
    available = ", ".join(own_options) or "none"
    return [
        f"it has no option {option}; available options: {available}"
        for option in chosen_options
        if option not in own_options
    ]


# Manifests from files and from a checkout


def _changes_for_files(content: Content, layers: Layers, variant: Variant) -> Content:
    """Return the changes if manifests come from files: they replace the release's sources."""
    if not variant.has_own_manifests:
        return {}
    release_sources = _release_sources(content, layers)
    disabled_sources = [{"name": source["name"], "enabled": False} for source in release_sources]
    own_sources = _own_sources(content, variant, release_sources)
    manifests = [*disabled_sources, *own_sources]
    if not variant.checkout:
        return {"manifests": manifests}
    checkout_sources = filter(_is_checkout_folder, entries(content, "manifests"))
    manifests += [_in_checkout(source, variant.checkout) for source in checkout_sources]
    return {"manifests": manifests, "images": _built_images(content, variant.checkout)}


def _release_sources(content: Content, layers: Layers) -> list[Content]:
    """Return the sources of the release's manifests, which are downloaded."""
    names = _release_manifests(layers)
    sources = entries(content, "manifests")
    return [source for source in sources if source.get("url") and source.get("name") in names]


def _release_manifests(layers: Layers) -> set[str]:
    """Return the names of the manifests that belong to versions: none of the user's own."""
    names = set()
    for layer in layers:
        for entry in entries(layer, "manifests"):
            name = entry.get("name")
            if isinstance(name, str):
                names.add(name)
        if layer.get("versions"):
            break
    return names


def _own_sources(
    content: Content, variant: Variant, release_sources: Sequence[Content]
) -> list[Content]:
    """Return the sources in the place of the release's, with the patches of those."""
    patches: list[Any] = []
    for source in release_sources:
        patches += source.get("patches") or ()
    places = _own_places(content, variant)
    return [
        {"name": f"file {number}", "patches": patches, **place}
        for number, place in enumerate(places, 1)
    ]


def _own_places(content: Content, variant: Variant) -> list[Content]:
    """Return where the sources are: the user's files and folders, else the checkout's folders."""
    if variant.manifests:
        return [{"path": path} for path in variant.manifests]
    folders: list[str] = []
    for key in FOLDERS:
        folders += content.get(key) or ()
    unique_folders = dict.fromkeys(folders)
    return [{"kustomize": f"{variant.checkout}/{folder}"} for folder in unique_folders]


def _built_images(content: Content, checkout: str) -> list[Content]:
    """Return changes that let images be built in the checkout."""
    changes: list[Content] = []
    for image in entries(content, "images"):
        is_of_checkout = image.get("from_checkout") and image.get("name")
        # One with a folder of its own keeps it.
        if is_of_checkout and not image.get("build_in"):
            changes.append({"name": image["name"], "build_in": checkout})
    return changes


def _in_checkout(source: Content, checkout: str) -> Content:
    folder = Path(checkout, source["kustomize"])
    return {"name": source["name"], "kustomize": str(folder)}


def _is_checkout_folder(source: Content) -> bool:
    """Whether a source of manifests is a folder of the checkout."""
    if not isinstance(source.get("kustomize"), str) or not source.get("name"):
        return False
    return bool(source.get("from_checkout"))


def _without_missing(content: Content, checkout: str) -> Content:
    """Disable the entries whose path the checkout lacks, and note them under `left_out`.

    Without a checkout, disable every entry that needs a path in it, and note none.
    """
    changed: JsonObject = dict(content)
    left_out: list[str] = []
    for part in LISTS:
        missing_entries = [
            entry for entry in entries(content, part) if _is_missing(entry, checkout)
        ]
        for entry in missing_entries:
            path = _needed_path(entry).removeprefix(f"{checkout}/")
            left_out.append(f"{part}.{entry['name']}: {path}")
        if missing_entries:
            changed[part] = _with_disabled(content[part], missing_entries)
    if left_out and checkout:
        changed["left_out"] = left_out
    return changed


def _with_disabled(items: Sequence[Any], disabled_entries: Sequence[Content]) -> list[Any]:
    """Return the items of a list, the disabled ones at its end."""
    enabled_items = [item for item in items if item not in disabled_entries]
    return enabled_items + [{**entry, "enabled": False} for entry in disabled_entries]


def _is_missing(entry: Content, checkout: str) -> bool:
    path = _needed_path(entry)
    if not path or not _is_enabled(entry):
        return False
    return not checkout or not Path(checkout, path).exists()


def _needed_path(entry: Content) -> str:
    """Return the path in the checkout without which an entry does not count, "" for any other."""
    path = entry.get("only_with") if entry.get("name") else ""
    if not path and _is_checkout_folder(entry):
        path = entry["kustomize"]
    return path if isinstance(path, str) else ""


# The content's values


def _filled_in(value: Any, words: Mapping[str, str]) -> Any:
    """Return a value with the words filled in wherever a text has their names in braces."""
    if isinstance(value, Mapping):
        return {key: _filled_in(inner, words) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled_in(item, words) for item in value]
    if isinstance(value, str):
        for word, meaning in words.items():
            # `${version}` is a variable of a request's header.
            pattern = rf"(?<!\$)\{{{word}\}}"
            value = meaning.join(re.split(pattern, value))
    return value


def _enabled(content: Content) -> Content:
    """Return the content without disabled entries, and without mentions of disabled components."""
    components = entries(content, "components")
    disabled = {entry.get("name") for entry in components if not _is_enabled(entry)}
    enabled_content = dict(content)
    for part in LISTS:
        if isinstance(content.get(part), list):
            enabled_entries = filter(_is_enabled, content[part])
            enabled_content[part] = [_without_waits(entry, disabled) for entry in enabled_entries]
    return enabled_content


def _is_enabled(entry: Any) -> bool:
    return not isinstance(entry, Mapping) or entry.get("enabled") is not False


def _without_waits(entry: Any, disabled: set[Any]) -> Any:
    """Return an entry that does not wait for disabled components."""
    if not disabled or not isinstance(entry, Mapping):
        return entry
    components = entry.get("after")
    if not isinstance(components, list):
        return entry
    enabled_components = [name for name in components if name not in disabled]
    return {**entry, "after": enabled_components}


def entries(content: Content, part: str) -> list[Content]:
    """Return the maps in one of the lists."""
    items = content.get(part)
    if not isinstance(items, list):
        return []
    return [item for item in items if isinstance(item, Mapping)]


def item_names(content: Content, part: str) -> list[str]:
    """Return the names of the items in one of the lists."""
    return [str(entry["name"]) for entry in entries(content, part) if entry.get("name")]
