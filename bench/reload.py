"""`devenv reload-image` against `kind load docker-image`, on the same cluster, until the CRI has the image.

Two images of 1.1 GB, alike but for their random bytes, one for each tool; their last layer, 60 MB, changes. What counts is
the ratio. It makes a cluster of its own and removes it: `python -m bench.reload [--nodes 3] [--docker29]`, some minutes and
8 GB; `--docker29` starts that engine, as root, with what `devenv images build --folder tests/cluster/images` made.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench import traces
from devenv import wiring
from devenv.images.sources.provider import Provider
from tests.cluster import engines
from tests.cluster.lab import Lab, has_ended
from tests.cluster.test_docker29 import RECIPES

# MB.
LARGE, CHANGED = 300, 60
ROUNDS = 5
RELOADS = 20
# The gateway stays on one node: the lab's network has no way between nodes.
WORKER = """
    - role: worker
      kubeadmConfigPatches:
        - "kind: JoinConfiguration\\nnodeRegistration: {taints: [{key: bench, effect: NoSchedule}]}"
"""
NODES = """cluster:
  kind:
    nodes:
    - role: control-plane
      kubeadmConfigPatches: ["kind: InitConfiguration\\nnodeRegistration: {taints: []}"]
"""


@dataclass
class Bench:
    """One cluster, and the images that are put into it."""

    lab: Lab
    kind: str
    base: str
    folder: Path
    # Of containers, and so of the images that are committed of them.
    label: str
    # KiB that a reload-image took at most.
    peak: int = 0
    below: dict[str, str] = field(default_factory=dict)

    def docker(self, *args: str) -> str:
        """Return what docker prints."""
        return self.lab.docker(*args).strip()

    def add(self, image: str, name: str, size: int) -> str:
        """Return an image with one more layer of random bytes."""
        path = self.folder / name
        with path.open("wb") as file:
            file.writelines(os.urandom(1 << 20) for _ in range(size))
        container = self.docker("create", self.label, image, "true")
        self.docker("cp", str(path), f"{container}:/{name}")
        committed = self.docker("commit", container)
        self.docker("rm", container)
        path.unlink()
        return committed

    def build(self, family: str) -> str:
        """Build an image whose last layer is new each time."""
        tag = f"devenv-bench/{family}:1"
        if family not in self.below:
            image = self.base
            for n in range(3):
                image = self.add(image, f"{family}{n}", LARGE)
            self.below[family] = image
            self.docker("tag", image, f"devenv-bench/{family}:below")
        self.docker("tag", self.add(self.below[family], "changed", CHANGED), tag)
        return tag

    def load(self, tag: str) -> float:
        """Return the seconds of `kind load`."""
        began = time.monotonic()
        argv = [self.kind, "load", "docker-image", "--name", self.lab.cluster, tag]
        subprocess.run(argv, check=True, capture_output=True, env=self.lab.env)
        return time.monotonic() - began

    def reload(self, tag: str) -> tuple[float, dict]:
        """Return the seconds until the CRI had the image, and what was told."""
        argv = self.lab.argv("reload-image", "--no-restart", "-o", "json", tag)
        began = time.monotonic()
        with subprocess.Popen(
            argv, env=self.lab.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as run:
            lines = iter(run.stderr)
            next(line for line in lines if has_ended(line, "load"))
            taken = time.monotonic() - began
            rest = run.stdout.read()
            _, _, usage = os.wait4(run.pid, 0)
            run.returncode = 0
        self.peak = max(self.peak, usage.ru_maxrss)
        return taken, json.loads(rest)["result"]["images"][0]

    def untaught(self) -> None:
        """Wait for the push that teaches the engine in the background, and forget what was learned from it."""
        teaching = lambda: any(  # noqa: E731
            "--teach" in (p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])
        )
        self.lab.eventually("the teaching", lambda: "its end" if teaching() else "", 120)
        for path in Path(self.lab.env["XDG_STATE_HOME"]).rglob("layers-*.json"):
            path.unlink()

    def used(self) -> int:
        """Return the bytes that the first node's containerd takes, once it has collected what nobody refers to."""
        seen = [0]
        self.lab.eventually("the collector", lambda: "" if self._same(seen) else "it", 60)
        return seen[-1]

    def _same(self, seen: list[int]) -> bool:
        du = self.docker(
            "exec", self.lab.node, "du", "--summarize", "--block-size=1", "/var/lib/containerd"
        )
        seen.append(int(du.split()[0]))
        return abs(seen[-1] - seen[-2]) < 1 << 20

    def run(self) -> None:
        """Measure, and say it."""
        hand, tool = self.build("hand"), self.build("tool")
        loaded, (taken, _) = self.load(hand), self.reload(tool)
        say(
            f"first load of 1.1 GB: kind load {loaded:.1f} s, reload-image {taken:.1f} s: {taken / loaded:.2f} times"
        )
        self.untaught()
        self.build("hand"), self.build("tool")
        before, loaded = self.used(), self.load(hand)
        kinds = self.used() - before
        before, (taken, told) = self.used(), self.reload(tool)
        grown = self.used() - before
        say(
            f"changed, untaught, by {told['way']}: kind load {loaded:.1f} s, reload-image {taken:.1f} s: {times(loaded, taken)}"
        )
        say(
            f"the node's disk grew by {kinds / (CHANGED << 20):.2f} and {grown / (CHANGED << 20):.2f} times the changed bytes"
        )
        self.untaught()
        self.lab.devenv("reload-image", "--teach", tool)
        by_hand, by_tool = [], []
        for _ in range(ROUNDS):
            self.build("hand"), self.build("tool")
            by_hand.append(self.load(hand))
            taken, told = self.reload(tool)
            by_tool.append(taken)
        loaded, taken = sorted(by_hand)[ROUNDS // 2], sorted(by_tool)[ROUNDS // 2]
        say(
            f"changed, by {told['way']}: kind load {loaded:.1f} s, reload-image {taken:.2f} s: {times(loaded, taken)}"
        )
        say(f"already there: {self.reload(tool)[0]:.2f} s")
        before = self.used()
        for _ in range(RELOADS):
            self.build("tool")
            self.reload(tool)
        piled = (self.used() - before) / (CHANGED << 20)
        say(f"{RELOADS} more reloads: the node's disk has {piled:+.2f} times the changed bytes")
        say(f"the process took {self.peak >> 10} MiB at most")


def times(loaded: float, taken: float) -> str:
    """Say how much faster."""
    return f"{loaded / taken:.1f} times faster"


def say(text: str) -> None:
    print(text, flush=True)


@contextlib.contextmanager
def engine(refs: list[str], folder: Path, *, docker29: bool) -> Iterator[str]:
    """Give the engine's address; empty for the machine's own."""
    if not docker29:
        yield ""
        return
    with wiring.world(RECIPES) as tests_own, wiring.world() as own:
        programs = [tests_own.recipe_file("docker29", file) for file in ("dockerd", "docker-proxy")]
        programs += [
            own.recipe_file("node", f)
            for f in ("containerd", "ctr", "containerd-shim-runc-v2", "runc")
        ]
    path = os.pathsep.join(dict.fromkeys(str(p.parent) for p in programs))
    store = {"features": {"containerd-snapshotter": True}}
    with engines.Engine("bench", folder / "engine", 242, store, path).running(refs) as made:
        yield made.docker_host


def measure(own: traces.Traces, arguments: argparse.Namespace) -> None:
    """Both ways, on one cluster."""
    traces.need_images()
    nodes = arguments.nodes
    with wiring.world() as world:
        refs = [s.ref for s in _sources(world).values()]
        kind = str(world.kind._find())  # noqa: SLF001
        base = world.builder.book.tag(world.builder.book.get("debian"))
    with engine([*refs, base], own.folder, docker29=arguments.docker29) as host:
        overrides = NODES + WORKER * (nodes - 1) if nodes > 1 else ""
        lab = Lab(own.folder, own.cluster, host, overrides)
        bench = Bench(lab, kind, base, own.folder, own.label)
        version = bench.docker("version", "-f", "{{.Server.Version}}")
        say(f"Docker {version}, {nodes} node{'s' if nodes > 1 else ''}")
        lab.up()
        bench.run()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--docker29", action="store_true")
    arguments = parser.parse_args()
    with traces.made_by("reload") as own:
        measure(own, arguments)


def _sources(world: wiring.World) -> dict:
    return Provider(world.engine, world.builder, world.reporter).provide(
        world.choice("none", "offline").profile.images
    )


if __name__ == "__main__":
    sys.exit(main())
