"""What of a profile is chosen when a cluster is made: a version, options, and where its manifests come from.

A profile may have `versions` and `options`: changes by name, merged over it. `{version}` and `{tag}` in its texts stand for
the version and for the tag of its images.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devenv.errors import DevenvError, Exit
from devenv.profiles.merge import merge

# The profile's files as they are merged: from the one that extends none to the one that was named.
Layers = Sequence[Mapping[str, Any]]
# "versions" or "options", and the name of one.
Change = tuple[str, str]
LISTS = ("images", "manifests", "components", "requests")
_RELEASE = re.compile(r"v(\d+)\.(\d+)\.(\d+)(-[\w.]+)?")
# Options that stand for manifests from the user's own files, and for his own source
FILES, CHECKOUT = "files", "checkout"
# Stands for a path where only the rest is looked at.
ANY = "any"
# Folders of a checkout, in the order in which their objects count.
FOLDERS = ("kustomize_first", "kustomize")


@dataclass(frozen=True)
class Variant:
    """What was chosen; what is empty was not. Paths are absolute."""

    version: str = ""
    options: tuple[str, ...] = ()
    # Files and folders in the place of the release's.
    manifests: tuple[str, ...] = ()
    # A folder with the source.
    checkout: str = ""

    @property
    def everything(self) -> tuple[str, ...]:
        """The options, with those that follow from the rest."""
        return (
            *self.options,
            *([FILES] if self.manifests or self.checkout else []),
            *([CHECKOUT] if self.checkout else []),
        )

    def over(self, previous: "Variant") -> "Variant":
        """Return what was chosen before, with what is chosen now: what is not said again stays."""
        return Variant(
            self.version or previous.version,
            tuple(dict.fromkeys([*previous.options, *self.options])),
            self.manifests or previous.manifests,
            self.checkout or previous.checkout,
        )


PLAIN = Variant()


def merged(layers: Layers) -> Mapping[str, Any]:
    """Return the profile's content with its versions and options still to choose from."""
    content: Mapping[str, Any] = {}
    for layer in layers:
        content = merge(content, layer)
    return content


def varied(layers: Layers, variant: Variant, name: str) -> Mapping[str, Any]:
    """Return the profile's content as the variant makes it.

    What a profile says itself outranks the versions and options of the profiles that it extends.
    Raises DevenvError where it has no such version or option, or outranks all of an option.
    """
    whole = merged(layers)
    versions, options = whole.get("versions") or {}, whole.get("options") or {}
    _only_what_it_has(versions, options, variant, name)
    if not (versions or options):
        return _enabled(_own_words(whole))
    version = variant.version or _default(layers, variant)
    like = newer(versions, version) if version not in versions else ""
    if versions:
        _require(versions, like or version, name)
    changes = [("versions", like or version), *(("options", o) for o in variant.everything)]
    content = _layered(layers, whole, changes)
    _refuse_without_effect(layers, whole, changes, variant, name)
    words = {"version": version, "tag": str(content.get("tag") or version)} if versions else {}
    content = dict(merge(_spelt(content, words), _from_files(content, layers, variant)))
    released = content.pop("released", True)
    for key in FOLDERS:
        content.pop(key, None)
    if not (released or variant.manifests or variant.checkout):
        fix = "Give its source with --checkout, or its manifests with --manifests."
        raise DevenvError(f"There is no release {version}.", next_step=fix, exit_code=Exit.USAGE)
    content = _without_missing(content, variant.checkout)
    return _enabled({**content, **words, **({"like": like} if like else {})})


def _own_words(content: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in content.items() if key not in {"versions", "options"}}


def _default(layers: Layers, variant: Variant) -> str:
    """Return the version that the last profile names which names one, "" where none does."""
    for layer in reversed(layers):
        checkout = (layer.get("options") or {}).get(CHECKOUT) or {}
        version = (checkout.get("version") if variant.checkout else None) or layer.get("version")
        if version:
            return str(version)
    return ""


def _layered(
    layers: Layers, whole: Mapping[str, Any], changes: Sequence[Change]
) -> Mapping[str, Any]:
    """Merge each profile's own words, its changes for what was chosen, then the next one."""
    content: Mapping[str, Any] = {}
    for layer in layers:
        content = merge(content, _own_words(layer))
        for part, chosen in changes:
            # What a later profile has taken back (null) is missing in the whole.
            merged_change = (whole.get(part) or {}).get(chosen) or {}
            change = (layer.get(part) or {}).get(chosen) or {}
            content = merge(
                content, {key: value for key, value in change.items() if key in merged_change}
            )
    return content


def _refuse_without_effect(
    layers: Layers, whole: Mapping[str, Any], changes: Sequence[Change], variant: Variant, name: str
) -> None:
    """Refuse an option that was asked for, and that the profile's own words make of no effect."""
    content = _layered(layers, whole, changes)
    for option in variant.options:
        change = whole["options"][option] or {}
        others = [c for c in changes if c != ("options", option)]
        # Where the profile says the same as the option, all is as it was asked for.
        if merge(content, change) != content and _layered(layers, whole, others) == content:
            keys = ", ".join(change)
            what = (
                f"The profile {name} leaves nothing of the option {option}: it has its own {keys}."
            )
            fix = f"Leave the option out, or say in the profile what it should change: options: {{{option}: …}}."
            raise DevenvError(what, "", fix, Exit.USAGE)


def variants(content: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Variant]]:
    """Yield every choice that the profile leaves, one at a time, with the keys under which its change stands."""
    yield (), PLAIN
    for version in content.get("versions") or {}:
        yield ("versions", version), Variant(version=version)
    for option in content.get("options") or {}:
        chosen = {FILES: Variant(manifests=(ANY,)), CHECKOUT: Variant(checkout=ANY)}
        yield ("options", option), chosen.get(option, Variant(options=(option,)))


def newer(versions: Iterable[str], version: str) -> str:
    """Return the newest release that is known, where the version is a newer one; else ""."""
    releases = [(_number(v), v) for v in versions if _number(v)]
    newest = max(releases, default=((), ""))
    return newest[1] if _number(version) > newest[0] else ""


def _number(version: str) -> tuple[int, ...]:
    match = _RELEASE.fullmatch(version)
    return tuple(map(int, match.groups()[:3])) if match else ()


def _require(versions: Mapping[str, Any], version: str, name: str) -> None:
    if version not in versions:
        what = (
            f"The profile {name} has no version {version}."
            if version
            else f"The profile {name} does not name a version."
        )
        fix = f"Choose one of {', '.join(versions)}, or a newer release."
        raise DevenvError(what, next_step=fix, exit_code=Exit.USAGE)


def _only_what_it_has(
    versions: Mapping[str, Any], options: Mapping[str, Any], variant: Variant, name: str
) -> None:
    problems = []
    if variant.version and not versions:
        problems.append(f"it has no versions, so not {variant.version} either")
    inner = {FILES, CHECKOUT}
    problems += [
        f"it has no option {o}; there are: {_own(options)}"
        for o in variant.options
        if o not in options or o in inner
    ]
    choices = [("files", variant.manifests, FILES), ("a checkout", variant.checkout, CHECKOUT)]
    problems += [
        f"its manifests can't come from {what}"
        for what, given, o in choices
        if given and o not in options
    ]
    if problems:
        what = f"The profile {name} has not what was asked for."
        raise DevenvError(
            what,
            "\n".join(problems),
            f"`devenv profile show {name}` shows what it has.",
            Exit.USAGE,
        )


def _own(options: Mapping[str, Any]) -> str:
    return ", ".join(o for o in options if o not in {FILES, CHECKOUT}) or "none"


def _from_files(content: Mapping[str, Any], layers: Layers, variant: Variant) -> Mapping[str, Any]:
    """Return what changes where manifests come from files: the release's sources give way, their patches stay."""
    if not (variant.manifests or variant.checkout):
        return {}
    released = _of_the_release(layers)
    fetched = [
        m for m in entries(content, "manifests") if m.get("url") and m.get("name") in released
    ]
    patches = [p for m in fetched for p in m.get("patches") or ()]
    change: dict[str, Any] = {"manifests": [{"name": m["name"], "enabled": False} for m in fetched]}
    file_sources: list[dict[str, Any]] = [{"path": path} for path in variant.manifests]
    if variant.checkout and not file_sources:
        folders = dict.fromkeys(
            [*(content.get("kustomize_first") or ()), *(content.get("kustomize") or ())]
        )
        file_sources = [{"kustomize": f"{variant.checkout}/{folder}"} for folder in folders]
    change["manifests"] += [
        {"name": f"file {n}", "patches": patches, **source}
        for n, source in enumerate(file_sources, 1)
    ]
    if variant.checkout:
        images = [i for i in entries(content, "images") if i.get("from_checkout") and i.get("name")]
        # One with a folder of its own keeps it.
        built = [i for i in images if not i.get("build_in")]
        change["images"] = [{"name": i["name"], "build_in": variant.checkout} for i in built]
        sources = [m for m in entries(content, "manifests") if _folder_of_checkout(m)]
        change["manifests"] += [_in_checkout(m, variant.checkout) for m in sources]
    return change


def _in_checkout(entry: Mapping[str, Any], checkout: str) -> Mapping[str, Any]:
    return {"name": entry["name"], "kustomize": str(Path(checkout, entry["kustomize"]))}


def _folder_of_checkout(entry: Mapping[str, Any]) -> bool:
    """Whether a source of manifests is a folder of the checkout."""
    is_named_folder = isinstance(entry.get("kustomize"), str) and entry.get("name")
    return bool(is_named_folder and entry.get("from_checkout"))


def _without_missing(content: Mapping[str, Any], checkout: str) -> Mapping[str, Any]:
    """Remove what the checkout lacks, and note it under `left_out`.

    Without a checkout, remove every entry that needs a path in it.
    """
    changed: dict[str, Any] = dict(content)
    left_out: list[str] = []
    for part in LISTS:
        missing_entries = [e for e in entries(content, part) if _on(e) and _is_missing(e, checkout)]
        for entry in missing_entries:
            path = _wanted_path(entry).removeprefix(f"{checkout}/")
            left_out.append(f"{part}.{entry['name']}: {path}")
        if missing_entries:
            present_entries = [e for e in content[part] if e not in missing_entries]
            changed[part] = [*present_entries, *({**e, "enabled": False} for e in missing_entries)]
    return {**changed, "left_out": left_out} if left_out and checkout else changed


def _is_missing(entry: Mapping[str, Any], checkout: str) -> bool:
    path = _wanted_path(entry)
    return bool(path) and not (checkout and Path(checkout, path).exists())


def _wanted_path(entry: Mapping[str, Any]) -> str:
    """Return the path in the checkout without which an entry does not count, "" for any other."""
    path = entry.get("only_with") if entry.get("name") else ""
    if not path and _folder_of_checkout(entry):
        path = entry["kustomize"]
    return path if isinstance(path, str) else ""


def _of_the_release(layers: Layers) -> set[str]:
    """Return the names of the manifests that belong to versions: none of the user's own."""
    names: set[str] = set()
    for layer in layers:
        names |= {m["name"] for m in entries(layer, "manifests") if isinstance(m.get("name"), str)}
        if layer.get("versions"):
            return names
    return names


def _spelt(value: Any, words: Mapping[str, str]) -> Any:
    """Return a value with the words put in wherever a text has their names in braces."""
    if isinstance(value, Mapping):
        return {k: _spelt(v, words) for k, v in value.items()}
    if isinstance(value, list):
        return [_spelt(v, words) for v in value]
    if isinstance(value, str):
        for word, meaning in words.items():
            # `${version}` is a variable of a request's header
            value = meaning.join(re.split(rf"(?<!\$)\{{{word}\}}", value))
    return value


def _enabled(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the content without what is not enabled, and without mention of it in what comes after it."""
    off = {
        part: {e.get("name") for e in entries(content, part) if e.get("enabled") is False}
        for part in LISTS
    }
    enabled_content = dict(content)
    for part in LISTS:
        if isinstance(content.get(part), list):
            enabled_content[part] = [
                _forgetting(e, off["components"]) for e in content[part] if _on(e)
            ]
    return enabled_content


def entries(content: Mapping[str, Any], part: str) -> list[Mapping[str, Any]]:
    """Return the maps in one of the lists."""
    items = content.get(part)
    return [e for e in items if isinstance(e, Mapping)] if isinstance(items, list) else []


def _on(entry: Any) -> bool:
    return not (isinstance(entry, Mapping) and entry.get("enabled") is False)


def _forgetting(entry: Any, gone: set[Any]) -> Any:
    if gone and isinstance(entry, Mapping) and isinstance(entry.get("after"), list):
        return {**entry, "after": [a for a in entry["after"] if a not in gone]}
    return entry
