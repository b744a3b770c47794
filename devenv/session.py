"""What every service on a cluster needs: the cluster, its profile, and the ports that reach it."""

from dataclasses import dataclass

from devenv.ports.clock import Clock
from devenv.ports.containers import Containers
from devenv.ports.engine import Engine
from devenv.ports.host import Host
from devenv.ports.kube import Kube
from devenv.ports.reporter import Reporter
from devenv.profiles.model import Profile


@dataclass(frozen=True, kw_only=True)
class Session:
    """One cluster with its profile, and the ports. `kube` is the cluster's own API server."""

    cluster: str
    profile: Profile
    host: Host
    clock: Clock
    engine: Engine
    containers: Containers
    kube: Kube
    reporter: Reporter
