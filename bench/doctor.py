"""`devenv doctor` on a healthy cluster against the fifteen commands of the incident's write-up, one after the other.

`devenv recover` of a latched gateway against a person with kubectl, in the same order, until the policy is accepted and
three requests are good. What counts is the ratio. Run by hand, with a cluster up: `python -m bench.doctor [CLUSTER]`.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from bench import traces
from devenv import wiring

EG, AIBRIX, POLICY = (
    "envoy-gateway-system",
    "aibrix-system",
    "aibrix-gateway-plugins-extension-policy",
)
OWNER = "gateway.envoyproxy.io/owning-gateway-name=aibrix-eg"
ROUNDS = 5


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


class Person:
    """Somebody with kubectl and docker."""

    def __init__(self, cluster: str, folder: Path) -> None:
        self.cluster, self.node = cluster, f"{cluster}-control-plane"
        run("docker", "cp", f"{self.node}:/usr/bin/kubectl", str(folder / "kubectl"))
        self.kubectl = [str(folder / "kubectl"), "--context", f"kind-{cluster}"]

    def k(self, *argv: str) -> str:
        """Run kubectl."""
        return run(*self.kubectl, *argv)

    def fifteen(self) -> None:
        """Run df and system df; top and describe nodes; the policies; logs of three; routes; gateway and class."""
        run("docker", "exec", self.node, "df", "-h", "/")
        run("docker", "system", "df")
        # Fails without metrics, as it did.
        subprocess.run([*self.kubectl, "top", "nodes"], check=False, capture_output=True)
        self.k("describe", "nodes")
        self.k("-n", AIBRIX, "get", "envoyextensionpolicy", "-o", "yaml")
        self.k("-n", AIBRIX, "describe", "envoyextensionpolicy")
        for _ in ("errors", "wasm"):
            self.k("-n", EG, "logs", "deployment/envoy-gateway", "--tail=500")
        self.k("-n", AIBRIX, "logs", "deployment/aibrix-gateway-plugins", "--tail=200")
        for _ in range(2):
            self.k("-n", EG, "logs", "-l", OWNER, "-c", "envoy", "--tail=200")
        self.k("-n", AIBRIX, "describe", "httproute", "aibrix-reserved-router")
        self.k("get", "httproute", "-A")
        self.k("-n", AIBRIX, "describe", "gateway", "aibrix-eg")
        self.k("describe", "gatewayclass", "aibrix-eg")

    def repair(self, prove: "wiring.Prober") -> None:
        """Restart the controller, then the proxy; wait for rollouts, then the policy, then the requests."""
        for which in ("control-plane=envoy-gateway", OWNER):
            name = self.k("-n", EG, "get", "deployment", "-l", which, "-o", "name").split()[0]
            self.k("-n", EG, "rollout", "restart", name)
            self.k("-n", EG, "rollout", "status", name, "--timeout=120s")
        deadline = time.monotonic() + 120
        while not (self.led() and self.accepted()):
            if time.monotonic() > deadline:
                raise TimeoutError("the policy")
        prove.until_proven(60)

    def led(self) -> bool:
        """Whether one of the pods that are there writes status."""
        lease = json.loads(
            self.k("-n", EG, "get", "lease", "5b9825d2.gateway.envoyproxy.io", "-o", "json")
        )
        holder = lease["spec"]["holderIdentity"].rpartition("_")[0]
        return holder in self.k(
            "-n", EG, "get", "pods", "-l", "control-plane=envoy-gateway", "-o", "name"
        )

    def accepted(self) -> bool:
        """Whether every condition of the extension policy is true."""
        policy = json.loads(
            self.k("-n", AIBRIX, "get", "envoyextensionpolicy", POLICY, "-o", "json")
        )
        return all(c["status"] == "True" for c in policy["status"]["ancestors"][0]["conditions"])


def timed(work: "object", rounds: int = 1) -> float:
    """Return the median of so many runs, in seconds."""
    taken = []
    for _ in range(rounds):
        began = time.monotonic()
        work()  # type: ignore[operator]
        taken.append(time.monotonic() - began)
    return sorted(taken)[len(taken) // 2]


def measure(own: traces.Traces, cluster: str) -> None:
    """Both ways, on a cluster of the user's."""
    devenv = [sys.executable, "-m", "devenv"]
    with wiring.world() as world:
        person = Person(cluster, own.folder)
        hand = timed(person.fifteen, ROUNDS)
        tool = timed(lambda: run(*devenv, "doctor", "--name", cluster), ROUNDS)
        print(f"fifteen commands {hand:.2f} s, devenv doctor {tool:.2f} s: {tool / hand:.2f} times")
        prober = world.prober(cluster, world.choice(cluster, None).profile)
        hand = timed(lambda: person.repair(prober))
        tool = timed(lambda: run(*devenv, "restart", "envoy-gateway", "proxy", "--name", cluster))
        prober.until_proven(60)
        print(f"restart by hand {hand:.1f} s, devenv restart {tool:.1f} s: {tool / hand:.2f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cluster", nargs="?", default="devenv")
    cluster = parser.parse_args().cluster
    with traces.made_by("doctor") as own:
        measure(own, cluster)


if __name__ == "__main__":
    main()
