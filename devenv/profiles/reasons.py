"""Reasons that Kubernetes gives in events and conditions, which `ignore:` may name.

They are an open list: each controller has its own. So an unknown one is refused only if it looks
like a misspelt one of the usual reasons.
"""

import re
from difflib import get_close_matches

# Reasons of the kubelet, the scheduler and the controllers of Kubernetes 1.29 to 1.35.
REASONS = (
    "CreateContainerConfigError",
    "DiskPressure",
    "Evicted",
    "ExceededGracePeriod",
    "FailedAttachVolume",
    "FailedBinding",
    "FailedCreate",
    "FailedCreatePodContainer",
    "FailedCreatePodSandBox",
    "FailedDelete",
    "FailedDetachVolume",
    "FailedKillPod",
    "FailedMapVolume",
    "FailedMount",
    "FailedPostStartHook",
    "FailedPreStopHook",
    "FailedScheduling",
    "FailedSync",
    "FailedToRetrieveImagePullSecret",
    "FailedValidation",
    "MemoryPressure",
    "Missing",
    "NetworkNotReady",
    "NetworkUnavailable",
    "NodeName",
    "PIDPressure",
    "Preempted",
    "ProvisioningFailed",
    "SchedulingGated",
    "Unhealthy",
    "Unschedulable",
    "VolumeMismatch",
    "WaitForFirstConsumer",
)
_FORM = re.compile(r"[A-Za-z][A-Za-z0-9]*")
# How alike a misspelt reason is to the right one, from 0 to 1.
_ALIKE = 0.85


def reason_problem(reason: str) -> str:
    """Return why a text can't be a reason of Kubernetes', "" if it can."""
    if not _FORM.fullmatch(reason):
        return f"{reason!r} is not a reason of Kubernetes', which is one word"
    matches = get_close_matches(reason, REASONS, n=1, cutoff=_ALIKE)
    if reason not in REASONS and matches:
        return f"Kubernetes has no reason {reason}; did you mean {matches[0]}?"
    return ""
