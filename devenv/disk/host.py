"""What devenv itself keeps on this machine: files that nothing will use again, and caches that can be made anew."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from devenv.disk.plan import Thing, Worth
from devenv.errors import DevenvError
from devenv.ports import Host

# Seconds that the log of a build is of use.
_LOGS = 7 * 86400.0
# Seconds.
_DU = 20.0
# Seconds in which a file that is being written may stand still.
_UNDER_WAY = 3600.0
# Folders of the cache whose loss costs time and network only.
AGAIN = (
    "go-build",
    "go-mod",
    "downloads",
    "python",
)


@dataclass(frozen=True)
class HostStock:
    """Looks into devenv's own folders."""

    host: Host

    def things(
        self, current: frozenset[Path], current_time: float, newer: float, *, caches: bool
    ) -> list[Thing]:
        """Return what may go. `current`: files that the recipes make now. `newer`: seconds. `caches`: whether those may go."""
        cache = self.host.cache_dir()
        stale = [
            *_leftovers(cache, current_time),
            *_outdated(cache / "built", current, current_time - newer),
        ]
        stale += [
            p
            for p in (cache / "logs").glob("*")
            if p.is_file() and current_time - p.stat().st_mtime > max(_LOGS, newer)
        ]
        stale = [p for p in stale if _really_in(cache, p)]
        cache_folders = [
            p for p in (cache / name for name in AGAIN) if p.is_dir() and _really_in(cache, p)
        ]
        sizes = self._sizes([*stale, *cache_folders])
        reason = "" if caches else "devenv's caches go with --caches"
        things = [_thing(p, Worth.STALE, sizes.get(p, 0)) for p in stale]
        things += [_thing(p, Worth.CACHE, sizes.get(p, 0), reason) for p in cache_folders]
        return [t for t in things if t.size]

    def own(self) -> list[tuple[str, int]]:
        """Return devenv's own folders with their bytes, the largest first."""
        sizes = self._sizes([*sorted(self.host.cache_dir().iterdir()), self.host.state_dir()])
        return sorted(((str(p), size) for p, size in sizes.items()), key=lambda s: -s[1])

    def _sizes(self, paths: Sequence[Path]) -> dict[Path, int]:
        """Return the bytes below each path. Go's caches have 170,000 files: du needs 0.7 s for them, Python 3 s."""
        if not paths:
            return {}
        try:
            result = self.host.run(["du", "-sk", *map(str, paths)], timeout=_DU)
        except DevenvError:
            # Too slow, or not there: then nobody knows.
            return {}
        pairs = (line.split("\t", 1) for line in result.output.splitlines() if "\t" in line)
        return {Path(path): int(size) * 1024 for size, path in pairs if size.isdigit()}


def _leftovers(cache: Path, current_time: float) -> Iterator[Path]:
    """Give what a killed run has left: it works in folders and files that are named so."""
    for pattern in (
        "built/*/work-*",
        "toolchain/work-*",
        "downloads/work-*",
        "kustomize/work-*",
        "in-place/work-*",
        "python/work-*",
    ):
        for path in cache.glob(pattern):
            if current_time - path.lstat().st_mtime > _UNDER_WAY:
                yield path


def _outdated(built: Path, current: frozenset[Path], cutoff: float) -> Iterator[Path]:
    """Give the folders built/RECIPE/KEY of keys that no recipe has any more."""
    keys = {p.parent for p in current}
    # Another folder's recipes are not ours to judge.
    for recipe in {key.parent for key in keys if key.is_relative_to(built)}:
        yield from (
            p
            for p in recipe.glob("*")
            if p.is_dir() and p not in keys and p.lstat().st_mtime < cutoff
        )


def _really_in(cache: Path, path: Path) -> bool:
    """Whether a path has no link on its way: what lies elsewhere may be somebody else's."""
    return path.resolve() == cache.resolve() / path.relative_to(cache)


def _thing(path: Path, worth: Worth, size: int, reason: str = "") -> Thing:
    return Thing(str(path), worth, {str(path): size}, path.lstat().st_mtime, reason, id=str(path))
