"""`list`: all of devenv's clusters."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from devenv.base.json_types import JsonObject
from devenv.cluster.listing import ListedCluster
from devenv.profiles.quantities import show
from devenv.ui.console import print_line
from devenv.ui.marks import NOTE
from devenv.ui.render import Report, shapes
from devenv.ui.table import print_table
from devenv.ui.times import age

_HEADINGS = ("NAME", "PROFILE", "VERSION", "STATE", "URL", "AGE", "SIZE")
_NUMBERS = {"AGE", "SIZE"}
# What stands for nothing, and for what is unknown.
_NOTHING, _UNKNOWN = "-", "?"


def clusters(listed_clusters: Sequence[ListedCluster]) -> Report:
    """Report the clusters."""

    def text(out: Console) -> None:
        if not listed_clusters:
            out.print("devenv has no clusters. Create one with `devenv up`.")
            return
        print_table(out, _HEADINGS, list(map(_row, listed_clusters)), _NUMBERS)
        for cluster in listed_clusters:
            if cluster.problem:
                _print_problem(out, cluster)

    return Report("clusters", lambda: shapes(cluster_shape, listed_clusters), text)


def _row(cluster: ListedCluster) -> tuple[str, ...]:
    return (
        cluster.name,
        # A profile is a name, or the path of a file.
        Path(cluster.profile).name or _NOTHING,
        cluster.version or _NOTHING,
        cluster.state,
        cluster.url or _NOTHING,
        _age(cluster),
        _UNKNOWN if cluster.size is None else show(cluster.size),
    )


def _age(cluster: ListedCluster) -> str:
    if not cluster.created:
        return _UNKNOWN
    return age(cluster.age)


def _print_problem(out: Console, cluster: ListedCluster) -> None:
    first_line, *other_lines = cluster.problem.splitlines()
    print_line(out, f"{NOTE} {escape(cluster.name)}: {escape(first_line)}")
    for line in other_lines:
        print_line(out, f"  {escape(line)}")


def cluster_shape(cluster: ListedCluster) -> JsonObject:
    """Shape of one cluster in `list`. `created` is in seconds since 1970, `age` in seconds."""
    return {
        "name": cluster.name,
        "profile": cluster.profile,
        "version": cluster.version,
        "state": cluster.state,
        "url": cluster.url,
        "created": int(cluster.created),
        "age": int(cluster.age),
        "size": cluster.size,
        "changing": cluster.changing,
        "problem": cluster.problem,
    }
