"""Errors about a cluster that does not exist, or does not run."""

from devenv.base.errors import DevenvError, Exit
from devenv.state.record import Records


def no_cluster(cluster: str, records: Records) -> DevenvError:
    """Return the error of every command that needs an existing cluster (exit code 2)."""
    clusters = sorted(record.cluster for record in records.all())
    available = ", ".join(clusters) or "none"
    what = f"The cluster {cluster} does not exist. Clusters: {available}."
    fix = f"Create it with `devenv up --name {cluster}`, or choose another with --name."
    return DevenvError(what, "Nothing was changed.", fix, Exit.USAGE)


def not_running(cluster: str) -> DevenvError:
    """Return the error of a command that needs a running cluster."""
    fix = f"Start it with `devenv up --name {cluster}`."
    return DevenvError(f"The cluster {cluster} is not running.", "", fix, Exit.FAILED)
