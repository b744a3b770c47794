"""What runs in a node, asked through the engine: units of systemd, and the control plane's pods.

Kubernetes can't tell of its own parts when they are down. A first, cheap look goes with every look
at a node. The second one, at journals, containers and logs, is for nodes in trouble.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from devenv.facts.model import StaticPodFacts, UnitFacts

UNITS = ("kubelet", "containerd")
# Each static pod → what only a node that is to run it has. kubeadm writes both.
STATIC_PODS: Mapping[str, str] = {
    "etcd": "/etc/kubernetes/pki/etcd",
    "kube-apiserver": "/etc/kubernetes/admin.conf",
    "kube-controller-manager": "/etc/kubernetes/controller-manager.conf",
    "kube-scheduler": "/etc/kubernetes/scheduler.conf",
}
MANIFESTS = "/etc/kubernetes/manifests"
# What kind gives kubeadm, and leaves in the node.
KUBEADM_CONFIG = "/kind/kubeadm.conf"
# Each static pod → the phase of `kubeadm init` that writes its manifest.
_PHASES: Mapping[str, tuple[str, ...]] = {
    "etcd": ("etcd", "local"),
    "kube-apiserver": ("control-plane", "apiserver"),
    "kube-controller-manager": ("control-plane", "controller-manager"),
    "kube-scheduler": ("control-plane", "scheduler"),
}
# Seconds for which kubeadm and kind write manifests after the first file.
_WRITING_SECONDS = 60.0
_MARK = "=== "
# Prints the node's time, its units, and when each file of the control plane was written.
LOOK = (
    f"echo; echo '{_MARK}time'; date +%s;"
    f" echo '{_MARK}units';"
    f" timeout 2 systemctl show {' '.join(UNITS)} --property=Id,ActiveState,SubState,Result"
    " --property=NRestarts,ExecMainStatus,ActiveEnterTimestamp,InactiveEnterTimestamp;"
    f" echo '{_MARK}files';"
    f" stat --format='%Y %n' {KUBEADM_CONFIG} {' '.join(STATIC_PODS.values())}"
    f" {MANIFESTS} {MANIFESTS}/* 2>/dev/null;"
    f" echo '{_MARK}end'"
)
_NAMES = "|".join(STATIC_PODS)
# A line for each container: name, attempt, state, exit code, start, end.
_TEMPLATE = (
    "{{.status.metadata.name}} {{.status.metadata.attempt}} {{.status.state}}"
    " {{.status.exitCode}} {{.status.startedAt}} {{.status.finishedAt}}"
)
_COLUMNS = 6
# Containers that are inspected, the newest first: two of each static pod at most are there.
_LOOKED_AT = 8
# Printed if containerd tells which containers there are.
_LISTED = "listed"
# Static pod → where it tells its health, without a certificate, in kubeadm's own manifests. The
# others renew leases.
_HEALTH: Mapping[str, str] = {
    "etcd": "http://127.0.0.1:2381/health",
    "kube-apiserver": "https://127.0.0.1:6443/livez",
}
# Seconds in which health is told.
HEALTH_SECONDS = 2
# curl's exit code → whether the health was told in time.
_ANSWERS = {"0": True, "28": False}
# Of the last two runs of each static pod, whose logs the kubelet keeps whatever containerd does.
_LOGS = "/var/log/pods/kube-system_{name}-*/{name}/*.log"
_JOURNAL = (
    "timeout 2 journalctl --unit={name} --lines=15 --no-pager --quiet --output=short-iso --utc"
)
CLOSE_LOOK = " ".join([
    *(f"echo '{_MARK}journal {name}'; {_JOURNAL.format(name=name)};" for name in UNITS),
    f"echo '{_MARK}containers';",
    f"if ids=$(timeout 2 crictl ps --all --quiet --name '^({_NAMES})$'); then echo {_LISTED};",
    f"for id in $(echo $ids | cut --delimiter=' ' --fields=1-{_LOOKED_AT}); do",
    f"timeout 2 crictl inspect --output go-template --template '{_TEMPLATE}' $id; echo;",
    "done; fi;",
    f"echo '{_MARK}health';",
    *(
        f"{{ curl --silent --insecure --output /dev/null --max-time {HEALTH_SECONDS} {url};"
        f' echo "{name} $?"; }} &'
        for name, url in _HEALTH.items()
    ),
    "wait;",
    *(
        f"echo '{_MARK}log {name}';"
        f" ls -tr {_LOGS.format(name=name)} 2>/dev/null | tail --lines=2"
        " | xargs --no-run-if-empty tail --quiet --lines=15;"
        for name in STATIC_PODS
    ),
    f"echo '{_MARK}end'",
])  # fmt: skip
# How containerd writes a line into a log: time, stream, whether it is whole, text.
_LOG_LINE = re.compile(r"(\S+) (?:stdout|stderr) [FP] (.*)")
# How systemd writes a time, in a node whose clock shows UTC.
_SYSTEMD_TIME = "%a %Y-%m-%d %H:%M:%S UTC"
# Characters of a line that are kept.
_LONGEST_LINE = 500


def was_edited(static_pod: StaticPodFacts) -> bool:
    """Whether a manifest is newer than what kind had kubeadm write."""
    written = static_pod.configured + _WRITING_SECONDS
    return static_pod.manifest and _WRITING_SECONDS < written < static_pod.changed


def rewriting_command(static_pod: str) -> tuple[str, ...]:
    """Return the command that writes a static pod's manifest in its node as kind made it."""
    return ("kubeadm", "init", "phase", *_PHASES[static_pod], f"--config={KUBEADM_CONFIG}")


def clock_of(output: str) -> float | None:
    """Return the node's time in what LOOK printed, in seconds since 1970; None if it is odd."""
    text = "".join(_sections(output).get("time", ()))
    return float(text) if text.isdecimal() else None


def units_in(output: str) -> tuple[UnitFacts, ...]:
    """Return the units in what LOOK printed; none if systemd did not answer."""
    units: list[UnitFacts] = []
    for block in "\n".join(_sections(output).get("units", ())).split("\n\n"):
        fields = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        if fields.get("Id") and fields.get("ActiveState"):
            units.append(_unit(fields))
    return tuple(units)


def _unit(fields: Mapping[str, str]) -> UnitFacts:
    state = fields["ActiveState"]
    entered = "ActiveEnterTimestamp" if state == "active" else "InactiveEnterTimestamp"
    return UnitFacts(
        name=fields["Id"].removesuffix(".service"),
        state=state,
        detail=fields.get("SubState", ""),
        result=fields.get("Result", ""),
        exit_code=_number(fields.get("ExecMainStatus", "")),
        restarts=_number(fields.get("NRestarts", "")),
        since=_systemd_time(fields.get(entered, "")),
    )


def static_pods_in(output: str) -> tuple[StaticPodFacts, ...]:
    """Return the static pods in what LOOK printed; none if the node has no control plane."""
    times: dict[str, float] = {}
    for line in _sections(output).get("files", ()):
        time, _, path = line.partition(" ")
        times[path] = float(_number(time))
    return tuple(_static_pod(name, times) for name, token in STATIC_PODS.items() if token in times)


def _static_pod(name: str, times: Mapping[str, float]) -> StaticPodFacts:
    manifest = times.get(f"{MANIFESTS}/{name}.yaml")
    settings = (times.get(KUBEADM_CONFIG, 0.0), times.get(STATIC_PODS["kube-apiserver"], 0.0))
    return StaticPodFacts(
        name=name,
        manifest=manifest is not None,
        changed=times.get(MANIFESTS, 0.0) if manifest is None else manifest,
        configured=max(settings),
    )


def with_journals(units: tuple[UnitFacts, ...], output: str) -> tuple[UnitFacts, ...]:
    """Return the units with the ends of their journals, as CLOSE_LOOK printed them."""
    sections = _sections(output)
    journals = {unit.name: _shortened(sections.get(f"journal {unit.name}", ())) for unit in units}
    return tuple(unit.model_copy(update={"lines": journals[unit.name]}) for unit in units)


def with_containers(
    static_pods: tuple[StaticPodFacts, ...], output: str
) -> tuple[StaticPodFacts, ...]:
    """Return the static pods with their containers and logs, as CLOSE_LOOK printed them."""
    sections = _sections(output)
    lines = sections.get("containers", ())
    containers = _newest_containers(lines)
    none = {"state": "" if _LISTED in lines else None}
    curl_codes = dict(line.partition(" ")[::2] for line in sections.get("health", ()))
    return tuple(
        pod.model_copy(
            update={
                **containers.get(pod.name, none),
                "answers": _ANSWERS.get(curl_codes.get(pod.name, "")),
                "lines": _log_lines(sections.get(f"log {pod.name}", ())),
            }
        )
        for pod in static_pods
    )


def _newest_containers(lines: tuple[str, ...]) -> dict[str, dict[str, object]]:
    """Return the fields of each static pod's newest container, by the pod's name."""
    containers: dict[str, dict[str, object]] = {}
    newest: dict[str, int] = {}
    for line in lines:
        words = line.split()
        if len(words) != _COLUMNS or words[0] not in STATIC_PODS:
            continue
        name, attempt, state, exit_code, started, ended = words
        if _number(attempt) >= newest.get(name, 0):
            newest[name] = _number(attempt)
            containers[name] = {
                "state": state.removeprefix("CONTAINER_").lower(),
                "exit_code": _number(exit_code),
                "restarts": _number(attempt),
                "started": _rfc_time(started),
                "ended": _rfc_time(ended),
            }
    return containers


def _log_lines(lines: tuple[str, ...]) -> tuple[str, ...]:
    """Return the lines of a log, each as TIME TEXT."""
    matches = filter(None, map(_LOG_LINE.fullmatch, lines))
    return _shortened(tuple(f"{match[1]} {match[2]}" for match in matches))


def _shortened(lines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(line[:_LONGEST_LINE] for line in lines)


def _sections(output: str) -> dict[str, tuple[str, ...]]:
    """Return the lines of each part of an output, by the name in the mark above it."""
    sections: dict[str, tuple[str, ...]] = {}
    for name, lines in _parts(output):
        sections[name] = tuple(lines)
    return sections


def _parts(output: str) -> Iterator[tuple[str, list[str]]]:
    _, *parts = f"\n{output}".split(f"\n{_MARK}")
    for part in parts:
        name, *lines = part.split("\n")
        yield name.strip(), lines


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _systemd_time(text: str) -> float:
    try:
        return datetime.strptime(text, _SYSTEMD_TIME).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def _rfc_time(text: str) -> float:
    """Return a time as containerd writes it, with up to 9 digits of a second; 0 for none."""
    try:
        time = datetime.fromisoformat(text.partition(".")[0].rstrip("Z")).replace(tzinfo=UTC)
    except ValueError:
        return 0.0
    return max(0.0, time.timestamp())
