"""`version`: what has which version."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from devenv.base.json_types import JsonObject
from devenv.cluster.versions import (
    ENGINE,
    ENVOY_GATEWAY,
    KIND,
    KUBERNETES,
    ClusterVersions,
    Versions,
)
from devenv.ui.console import print_line
from devenv.ui.render import Report


def versions(versions: Versions) -> Report:
    """Report the versions; what did not answer is called that."""

    def text(out: Console) -> None:
        rows = {
            "devenv": versions.devenv,
            "Python": versions.python,
            "kind": _shown(versions, KIND, versions.kind),
            "Docker engine": _shown(versions, ENGINE, versions.engine),
        }
        _print_rows(out, rows)
        if versions.cluster:
            out.print(f"The cluster {escape(versions.cluster.name)}:")
            _print_rows(out, _cluster_rows(versions, versions.cluster))

    return Report("version", lambda: versions_shape(versions), text)


def _print_rows(out: Console, rows: dict[str, str]) -> None:
    for name, version in rows.items():
        print_line(out, f"{name:<13}  {escape(version)}")


def _shown(versions: Versions, key: str, version: str) -> str:
    if key in versions.no_answer:
        return "no answer"
    return version or "not installed"


def _cluster_rows(versions: Versions, cluster: ClusterVersions) -> dict[str, str]:
    profile = Path(cluster.profile).name
    aibrix = cluster.aibrix or f"not in the profile {profile}"
    if cluster.checkout:
        aibrix += f", from {cluster.checkout}"
    return {
        "Kubernetes": _shown(versions, KUBERNETES, cluster.kubernetes),
        "Envoy Gateway": _shown(versions, ENVOY_GATEWAY, cluster.envoy_gateway),
        "AIBrix": aibrix,
    }


def versions_shape(versions: Versions) -> JsonObject:
    """Shape of `version`.

    What is unknown or absent is ""; `no_answer` has the keys of the former.
    """
    cluster = None
    if versions.cluster:
        cluster = {
            "name": versions.cluster.name,
            "profile": versions.cluster.profile,
            KUBERNETES: versions.cluster.kubernetes,
            ENVOY_GATEWAY: versions.cluster.envoy_gateway,
            "aibrix": versions.cluster.aibrix,
            "checkout": versions.cluster.checkout,
        }
    return {
        "devenv": versions.devenv,
        "python": versions.python,
        KIND: versions.kind,
        ENGINE: versions.engine,
        "cluster": cluster,
        "no_answer": list(versions.no_answer),
    }
