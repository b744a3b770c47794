"""`devenv reload-image` against `kind load docker-image`, on the same cluster, until the CRI has the image.

Two images of 1 GB, alike but for their random bytes, one for each tool; their last layer, 60 MB, changes. What counts is
the ratio. Run by hand, with a cluster up: `python -m bench.reload [CLUSTER]`. It takes some minutes and 5 GB.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from devenv import wiring

LARGE, CHANGED = 300, 60  # MB
ROUNDS = 3
NONCE = time.time_ns()  # so that nothing of an earlier run is there yet


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def build(folder: Path, base: str, family: str, version: int) -> str:
    """Build one version; what is below its last layer is cached by the engine."""
    large = [f"RUN echo {NONCE} && head -c {LARGE}M /dev/urandom > /{family}{n}" for n in range(3)]
    last = f"RUN echo {NONCE} {version} && head -c {CHANGED}M /dev/urandom > /changed"
    (folder / "Dockerfile").write_text("\n".join([f"FROM {base}", *large, last]))
    tag = f"devenv-bench/{family}:1"
    run("docker", "build", "-q", "-t", tag, str(folder))
    return tag


def timed(*argv: str) -> float:
    began = time.monotonic()
    run(*argv)
    return time.monotonic() - began


def free(node: str) -> int:
    run("docker", "exec", node, "sync")
    return int(run("docker", "exec", node, "df", "--output=avail", "--block-size=1", "/var").split()[-1])


def main() -> None:
    cluster = sys.argv[1] if len(sys.argv) > 1 else "devenv"
    node = f"{cluster}-control-plane"
    devenv = [sys.executable, "-m", "devenv"]
    reload = [*devenv, "reload-image", "--no-restart", "--name", cluster, "-o", "json"]
    with tempfile.TemporaryDirectory() as name, wiring.world() as world:
        folder, kind = Path(name), str(world.kind._find())  # noqa: SLF001
        base = world.builder.book.tag(world.builder.book.get("debian"))
        load = [kind, "load", "docker-image", "--name", cluster]
        tags = [build(folder, base, family, 1) for family in ("hand", "tool")]
        print(f"first load: kind load {timed(*load, tags[0]):.1f} s, reload-image {timed(*reload, tags[1]):.1f} s")
        build(folder, base, "hand", 2)
        build(folder, base, "tool", 2)
        hand, before = timed(*load, tags[0]), free(node)
        tool = timed(*reload, tags[1])
        print(f"changed, the engine untaught: kind load {hand:.1f} s, reload-image {tool:.1f} s: {hand / tool:.1f} times faster")
        print(f"the node's disk grew by {(before - free(node)) / (CHANGED << 20):.2f} times the changed bytes")
        run(*devenv, "reload-image", "--teach", "--name", cluster, tags[1])
        taken = []
        for version in range(3, 3 + ROUNDS):
            build(folder, base, "tool", version)
            began = time.monotonic()
            told = json.loads(run(*reload, tags[1]))["result"]["images"][0]
            taken.append(time.monotonic() - began)
        tool = sorted(taken)[ROUNDS // 2]
        move = told["seconds"]["move"]
        print(f"changed, by {told['way']}: reload-image {tool:.1f} s, {move:.1f} s of it to move: {hand / tool:.1f} times faster")
        print(f"already there: {timed(*reload, tags[1]):.1f} s")
        for tag in tags:
            run("docker", "rmi", tag)
            subprocess.run(["docker", "exec", node, "crictl", "rmi", tag], check=False, capture_output=True)


if __name__ == "__main__":
    main()
