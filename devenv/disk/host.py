"""Lists what devenv itself keeps on the host: files of no more use, and caches."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devenv.base.errors import DevenvError
from devenv.disk.plan import Thing, Worth
from devenv.ports.host import Host

# Seconds that the log of a build is of use.
_LOG_LIFETIME = 7 * 86400.0
# Seconds.
_DU_TIMEOUT = 20.0
# Seconds without a change, after which a file is no longer being written.
_ABANDONED_AFTER = 3600.0
# Folders of the cache. Making them again costs only time and network.
CACHE_FOLDERS = ("go-build", "go-mod", "downloads", "python")
# Where devenv works under temporary names. A killed run leaves these behind.
_WORK_FOLDERS = (
    "built/*/work-*",
    "toolchain/work-*",
    "downloads/work-*",
    "kustomize/work-*",
    "in-place/work-*",
    "python/work-*",
)


@dataclass(frozen=True)
class HostStock:
    """Looks into devenv's own folders."""

    host: Host

    def things(
        self,
        current_files: frozenset[Path],
        current_time: float,
        minimum_age: float,
        *,
        caches: bool,
    ) -> list[Thing]:
        """Return the stale files and the caches.

        `current_files`: those that the recipes make now. `minimum_age`: younger files stay, in
        seconds. `caches`: whether caches may go.
        """
        cache = self.host.cache_dir()
        log_age = max(_LOG_LIFETIME, minimum_age)
        candidates = [
            *_abandoned_work(cache, current_time - _ABANDONED_AFTER),
            *_outdated_builds(cache / "built", current_files, current_time - minimum_age),
            *_old_logs(cache / "logs", current_time - log_age),
        ]
        stale_paths = [path for path in candidates if _is_really_in(cache, path)]
        cache_paths = list(_cache_folders(cache))
        # One call, so that du counts files below two of the paths once.
        sizes = self._sizes([*stale_paths, *cache_paths])
        reason = "" if caches else "devenv's caches go with --caches"
        return [
            *_things(stale_paths, sizes, Worth.STALE),
            *_things(cache_paths, sizes, Worth.CACHE, reason),
        ]

    def own(self) -> list[tuple[str, int]]:
        """Return devenv's own folders with their bytes, the largest first."""
        cache_folders = sorted(self.host.cache_dir().iterdir())
        sizes = self._sizes([*cache_folders, self.host.state_dir()])
        largest_first = sorted(sizes, key=lambda path: -sizes[path])
        return [(str(path), sizes[path]) for path in largest_first]

    def _sizes(self, paths: Sequence[Path]) -> dict[Path, int]:
        """Return the bytes below each path, nothing if du is too slow or missing.

        Go's caches have 170,000 files. du needs 0.7 s for them, Python 3 s.
        """
        if not paths:
            return {}
        try:
            result = self.host.run(["du", "-sk", *map(str, paths)], timeout=_DU_TIMEOUT)
        except DevenvError:
            return {}
        sizes = {}
        for line in result.output.splitlines():
            size, tab, path = line.partition("\t")
            if tab and size.isdigit():
                sizes[Path(path)] = int(size) * 1024
        return sizes


def _abandoned_work(cache: Path, cutoff: float) -> Iterator[Path]:
    """Give what a killed run has left, if it has not changed since `cutoff`."""
    for pattern in _WORK_FOLDERS:
        for path in cache.glob(pattern):
            if path.lstat().st_mtime < cutoff:
                yield path


def _outdated_builds(built: Path, current_files: Iterable[Path], cutoff: float) -> Iterator[Path]:
    """Give the folders built/RECIPE/KEY whose key no recipe has any more.

    Only recipes that devenv knows are looked at: another checkout may have recipes of its own.
    """
    current_keys = {file.parent for file in current_files}
    recipes = {key.parent for key in current_keys if key.is_relative_to(built)}
    for recipe in recipes:
        for path in recipe.glob("*"):
            if path.is_dir() and path not in current_keys and path.lstat().st_mtime < cutoff:
                yield path


def _old_logs(folder: Path, cutoff: float) -> Iterator[Path]:
    for path in folder.glob("*"):
        if path.is_file() and path.stat().st_mtime < cutoff:
            yield path


def _cache_folders(cache: Path) -> Iterator[Path]:
    for name in CACHE_FOLDERS:
        path = cache / name
        if path.is_dir() and _is_really_in(cache, path):
            yield path


def _is_really_in(cache: Path, path: Path) -> bool:
    """Whether no link leads out of the cache: files elsewhere may not be devenv's."""
    return path.resolve() == cache.resolve() / path.relative_to(cache)


def _things(
    paths: Iterable[Path], sizes: Mapping[Path, int], worth: Worth, reason: str = ""
) -> Iterator[Thing]:
    """Give a thing for each path that takes space. `reason`: why it must stay."""
    for path in paths:
        if size := sizes.get(path, 0):
            name = str(path)
            yield Thing(
                name=name,
                worth=worth,
                parts={name: size},
                used=path.lstat().st_mtime,
                kept=reason,
                id=name,
            )
