"""runc for a host that withholds a capability: `docker run --privileged` asks for all of them, this asks for what there is.

`devenv setup` copies this file beside the engine's configuration where it starts the engine itself and needs it. It
stands alone: the engine runs it, not devenv. Capability names and numbers are those of linux/capability.h.
"""

import json
import os
import sys
from pathlib import Path

NAMES = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
]


def available(status: str) -> set[str]:
    """Return the capabilities that /proc/self/status grants at most."""
    bounding = int(
        next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd")), 16
    )
    return {f"CAP_{name}" for number, name in enumerate(NAMES) if bounding >> number & 1}


def trim(path: Path, have: set[str]) -> None:
    """Take out of an OCI spec, or of one process's, what this host cannot give."""
    spec = json.loads(path.read_text())
    process = spec.get("process", spec)
    capabilities = process.get("capabilities") or {}
    for kind, names in capabilities.items():
        capabilities[kind] = [name for name in names if name in have]
    process.pop("rlimits", None)
    path.write_text(json.dumps(spec))


def spec_of(argv: list[str]) -> Path | None:
    """Return the spec that this call of runc reads, None where it reads none."""
    if "create" in argv or "run" in argv:
        bundle = argv[argv.index("--bundle") + 1] if "--bundle" in argv else "."
        return Path(bundle) / "config.json"
    if "exec" in argv and "--process" in argv:
        return Path(argv[argv.index("--process") + 1])
    return None


def main() -> None:
    """Trim, then become runc."""
    if spec := spec_of(sys.argv[1:]):
        trim(spec, available(Path("/proc/self/status").read_text()))
    os.execvp("runc", ["runc", *sys.argv[1:]])  # noqa: S607 - whichever the engine would have run


if __name__ == "__main__":
    main()
