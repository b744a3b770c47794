"""The incident that this project exists for (docs/facts/gateway.md): a full disk, and envoy-gateway restarted on it.

Both run on an engine of the tests' own, whose whole disk is 7 GB.
"""

import json
from contextlib import suppress

import pytest

from devenv.base.errors import DevenvError
from tests.by_hand import exhaustive
from tests.cluster.lab import Lab

POLICY = (
    "-n",
    "aibrix-system",
    "get",
    "envoyextensionpolicy",
    "aibrix-gateway-plugins-extension-policy",
    "-o",
    "json",
)
UPSTREAM = "patches: [{name: wasm-cache-in-memory, enabled: false}]\n"


FILLER = "devenv-test-filler"
# Takes what is given back meanwhile (an old container's files, a collected layer), until the folder is gone.
KEEP_FULL = "while [ -d /var/fill ]; do dd if=/dev/zero of=/var/fill/rest bs=4k oflag=append conv=notrunc count=1000; sleep 0.1; done 2>/dev/null"


def free_bytes(lab: Lab) -> int:
    df = lab.docker("exec", lab.node, "df", "--output=avail", "--block-size=1", "/var")
    return int(df.split()[-1])


def fill(lab: Lab) -> None:
    """Fill the node's disk as an ordinary user would, and keep it full until `free`.

    Root's reserve is left, so etcd and the API server live on.
    """
    disk = lab.json("status", check=False)["disks"][lab.node]
    assert disk["total"] < 8 << 30, (
        "this is not the small disk: filling it would fill the machine's"
    )
    lab.docker("exec", lab.node, "sh", "-c", "mkdir -p /var/fill && chown 65532 /var/fill")
    user = ("exec", "--user", "65532", lab.node)
    if (large := free_bytes(lab) - (8 << 20)) > 0:
        lab.docker(*user, "fallocate", "-l", str(large), "/var/fill/file")
    lab.docker(*user[:1], "--detach", *user[1:], "timeout", "600", "sh", "-c", KEEP_FULL, FILLER)
    lab.eventually(
        "a full disk",
        lambda: "" if free_bytes(lab) < 1 << 20 else f"{free_bytes(lab)} bytes are free",
        60,
    )


def stop_filling(lab: Lab) -> None:
    """Keep the space that was taken, and take no more."""
    lab.docker("exec", lab.node, "pkill", "-f", FILLER, check=False)


def free(lab: Lab) -> None:
    """Give the space back; nothing where none was taken."""
    stop_filling(lab)
    lab.docker("exec", lab.node, "rm", "-rf", "/var/fill")


def until_latched(lab: Lab) -> None:
    """Restart the controller on the full disk, again where it found room for its cache all the same."""

    def missing() -> str:
        restart_controller(lab)
        with suppress(DevenvError):
            lab.eventually("the lost filter", lambda: "" if status() == 503 else "a 503", 30)
        return (
            "" if status() == 503 else f"a 503: status {status()}, {free_bytes(lab)} bytes are free"
        )

    def status() -> int:
        return lab.request("extension", "--no-doctor")["answer"]["status"]

    lab.eventually("the latched gateway", missing, 180)


def restart_controller(lab: Lab) -> None:
    def pods() -> set[str]:
        return set(
            lab.kubectl(
                "-n",
                "envoy-gateway-system",
                "get",
                "pods",
                "-l",
                "control-plane=envoy-gateway",
                "-o",
                "name",
            ).split()
        )

    before = pods()
    lab.kubectl("-n", "envoy-gateway-system", "delete", *before, "--wait=true")
    lab.eventually("the new controller", lambda: "" if pods() - before else "a new pod")
    lab.kubectl(
        "-n",
        "envoy-gateway-system",
        "rollout",
        "status",
        "deployment/envoy-gateway",
        "--timeout=120s",
    )


def accepted(lab: Lab) -> tuple[str, str]:
    condition = json.loads(lab.kubectl(*POLICY))["status"]["ancestors"][0]["conditions"][0]
    return condition["status"], condition["message"]


@pytest.fixture
def lab(small_disk, tmp_path, request):
    made = Lab(
        tmp_path, f"devenv-test-{request.param[0]}", small_disk.docker_host, request.param[1]
    )
    try:
        assert all(r["ok"] for r in made.up()["requests"])
        yield made
    finally:
        free(made)
        made.devenv("down")


@exhaustive
@pytest.mark.parametrize("lab", [("upstream", UPSTREAM)], indirect=True)
def test_without_the_prevention_a_full_disk_latches_the_gateway(lab):
    fill(lab)
    until_latched(lab)
    lab.eventually(
        "the rejected policy", lambda: "" if accepted(lab)[0] == "False" else "a rejection"
    )
    assert "wasm cache is not initialized" in accepted(lab)[1]
    extension, direct, plain = lab.request("extension"), lab.request("direct"), lab.request("plain")
    assert extension["answer"]["body"] == "no healthy upstream"
    assert extension["access_log"]["flags"] == "UH"
    assert direct["ok"], direct["failures"]
    assert plain["answer"]["status"] == 500
    status = lab.json("status", check=False)
    assert "wasm cache is not initialized" in next(
        c["missing"] for c in status["components"] if c["name"] == "extension-policy"
    )
    free(lab)
    assert lab.request("extension")["answer"]["status"] == 503, (
        "freeing the disk alone heals nothing"
    )


@pytest.mark.parametrize("lab", [("memory", "")], indirect=True)
def test_with_the_prevention_a_full_disk_latches_nothing(lab):
    fill(lab)
    restart_controller(lab)
    # Only the new pod's leader writes the status: a policy that it has not judged yet would prove nothing.
    lease = (
        "-n",
        "envoy-gateway-system",
        "get",
        "lease",
        "5b9825d2.gateway.envoyproxy.io",
        "-o",
        "jsonpath={.spec.holderIdentity}",
    )
    pods = (
        "-n",
        "envoy-gateway-system",
        "get",
        "pods",
        "-l",
        "control-plane=envoy-gateway",
        "-o",
        "jsonpath={.items[*].metadata.name}",
    )
    lab.eventually(
        "the new leader",
        lambda: (
            "" if lab.kubectl(*lease).split("_")[0] in lab.kubectl(*pods).split() else "the lease"
        ),
    )
    assert accepted(lab)[0] == "True"
    for route in ("direct", "extension", "plain"):
        proof = lab.request(route)
        assert proof["ok"], proof["failures"]
