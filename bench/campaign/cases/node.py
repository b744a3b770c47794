"""A node's units."""

from bench.campaign.case import Case
from bench.campaign.injections import in_node

CASES = [
    Case("kubelet stopped", "node", (("DE208", "kubelet"),), in_node("systemctl", "stop", "kubelet")),
    Case("containerd stopped", "node", (("DE209", "containerd"),),
         in_node("systemctl", "stop", "containerd")),
]  # fmt: skip
