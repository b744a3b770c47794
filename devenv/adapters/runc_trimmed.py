"""runc for a host that withholds a capability.

`docker run --privileged` asks for all capabilities; this asks only for those that the host grants.

`devenv setup` copies this file beside the engine's configuration if it starts the engine itself on
such a host. The file imports nothing of devenv, since the engine runs it.
"""

import os
import sys

# Capabilities by their number, as in linux/capability.h.
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
    lines = status.splitlines()
    bounding_set = next(line.split()[1] for line in lines if line.startswith("CapBnd"))
    bits = int(bounding_set, 16)
    return {f"CAP_{name}" for number, name in enumerate(NAMES) if bits >> number & 1}


def trim(path: str, granted: set[str]) -> None:
    """Take the capabilities that are not granted, and all limits, out of an OCI spec.

    The spec is that of a container, or of one more process in it.
    """
    # The engine calls runc several times for each `docker exec`, and few calls read a spec.
    import json  # noqa: PLC0415

    with open(path) as file:  # noqa: PTH123 - pathlib takes longer to import than all else here
        spec = json.load(file)
    process = spec.get("process", spec)
    capabilities = process.get("capabilities") or {}
    for kind, names in capabilities.items():
        capabilities[kind] = [name for name in names if name in granted]
    process.pop("rlimits", None)
    with open(path, "w") as file:  # noqa: PTH123
        json.dump(spec, file)


def spec_of(argv: list[str]) -> str:
    """Return the path of the spec that this call of runc reads, "" if it reads none."""
    if "create" in argv or "run" in argv:
        bundle = "."
        if "--bundle" in argv:
            bundle = argv[argv.index("--bundle") + 1]
        return f"{bundle}/config.json"
    if "exec" in argv and "--process" in argv:
        return argv[argv.index("--process") + 1]
    return ""


def main() -> None:
    """Trim, then become runc."""
    if spec := spec_of(sys.argv[1:]):
        with open("/proc/self/status") as status:  # noqa: PTH123
            trim(spec, available(status.read()))
    # By its name alone, so that PATH finds the one that the engine would have run.
    os.execvp("runc", ["runc", *sys.argv[1:]])  # noqa: S607


if __name__ == "__main__":
    main()
