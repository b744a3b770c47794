"""The schedulers that can run the daily job on this machine."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from devenv.disk.schedule import Backend, Cron, Launchd, Systemd
from devenv.ports.host import Host


@dataclass(frozen=True)
class Backends:
    """Where devenv can have its schedule run.

    `available`: those that work now, the best first. `all`: also those that may have worked when
    the schedule was installed.
    """

    available: list[Backend]
    all: list[Backend]


def find_backends(host: Host) -> Backends:
    """Find launchd, systemd and cron."""
    home = Path.home()
    units = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "systemd" / "user"
    launchd = Launchd(host, home / "Library" / "LaunchAgents", os.getuid())
    systemd = Systemd(host, units)
    cron = Cron(host, host.state_dir())
    backends = Backends([], [launchd, systemd])
    if sys.platform == "darwin":
        backends.available.append(launchd)
    elif _runs_systemd(host):
        backends.available.append(systemd)
    if host.which("crontab"):
        backends.available.append(cron)
        backends.all.append(cron)
    return backends


def _runs_systemd(host: Host) -> bool:
    if not host.which("systemctl"):
        return False
    return host.run(["systemctl", "--user", "show-environment"]).code == 0
