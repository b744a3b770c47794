"""Lines in logs that mean something, each with the code that explains it."""

import re

SIGNATURES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), code)
    for pattern, code in (
        (r"Failed to create Wasm cache directory|failed to start wasm cache", "DE401"),
        (r"wasm cache is not initialized", "DE401"),
        (r"no space left on device", "DE201"),
        (r"too many open files|inotify", "DE108"),
        (r"exec format error", "DE309"),
        (r"EnvoyPatchPolicy is disabled", "DE404"),
        (r"unable to find xds resources|failed to (?:build|generate) .*patch", "DE403"),
        (
            r"failed to create (?:new|or update) infra|failed to create or update deployment",
            "DE407",
        ),
        (r"gRPC config for \S+ rejected", "DE411"),
        (r"\[ext_proc\].*no healthy upstream", "DE304"),
        (r"model \S+ does not exist", "DE505"),
        (r"delayed connect error: 111|remote_connection_failure", "DE506"),
        (r"redis at \S+: dial|dial tcp \S+:6379", "DE303"),
        (r"lookup \S+ on \S+:53: (?:read udp|no such host|.*timeout)", "DE305"),
        (r"RefNotPermitted", "DE504"),
        (r"BackendNotFound", "DE502"),
        (r"leader election lost|failed to renew lease \S*aibrix-controller-manager", "DE702"),
        (r"failed calling webhook", "DE701"),
        (r"Failed to create httproute|httproutes\S* \S+-router\S* not found", "DE503"),
        (r"failed to parse model port", "DE506"),
        (
            r"rayclusters\.ray\.io\S* (?:is missing|not found)|no matches for kind \"RayCluster\"",
            "DE302",
        ),
        (r"redis\.exceptions\.ConnectionError", "DE303"),
        (r"deprecat.*match", "DE901"),
    )
)


def signature(line: str) -> str:
    """Return the code of the first signature that a line has, "" if it has none."""
    for pattern, code in SIGNATURES:
        if pattern.search(line):
            return code
    return ""
