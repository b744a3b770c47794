"""From a saved source file of gateway-plugins to a request that the new code answers: `reload-image --watch` against a person.

The person has `docker build`, `kind load docker-image`, `kubectl rollout restart` and `rollout status`, one after the other
in a script that begins as the file is saved. Both build in the same way. It makes a cluster of its own and removes it:
`python -m bench.loop`, some minutes. What counts is the ratio.
"""

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from bench import traces
from devenv import data, wiring
from tests.cluster.lab import Lab

REF = "devenv.local/gateway-plugins:reference"
ROUNDS = 4
# Of an answer; the source has it once.
HEADER = '"request-id", request'
ASK = {"model": "llama2-7b", "messages": [{"role": "user", "content": "hello"}]}


def save(source: Path, text: str, number: int) -> None:
    """Save the source as somebody's editor would, with a header more that tells the version."""
    new = source.with_suffix(".new")
    new.write_text(text.replace(HEADER, f'{HEADER}, "x-loop", "{number}"', 1))
    new.replace(source)


def answered_by(port: int, number: int) -> bool:
    """Whether a request with a routing strategy is answered by that version."""
    headers = {"content-type": "application/json", "routing-strategy": "random"}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(ASK).encode(), headers
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return answer.headers.get("x-loop") == str(number)
    except OSError:
        return False


def until_answered(lab: Lab, number: int) -> None:
    lab.eventually(f"version {number}", lambda: "" if answered_by(lab.port, number) else "it", 180)


def rounds(
    lab: Lab,
    source: Path,
    text: str,
    first: int,
    act: Callable[[], object],
    after: Callable[[], object],
) -> float:
    """Return the seconds of the median round. `after`: what is done between two rounds, and not measured."""
    taken = []
    for number in range(first, first + ROUNDS):
        began = time.monotonic()
        save(source, text, number)
        act()
        until_answered(lab, number)
        taken.append(time.monotonic() - began)
        after()
    return sorted(taken)[ROUNDS // 2]


def run(*argv: str, env: dict[str, str], cwd: Path | None = None) -> None:
    subprocess.run(argv, check=True, capture_output=True, env=env, cwd=cwd)


def build_script(own: traces.Traces) -> str:
    """Return the build that both ways run."""
    build = f"docker build -q {own.label} -t {REF} ."
    return f"#!/bin/sh\nset -e\ngo build -o gateway-plugins .\n{build}\n"


def measure(own: traces.Traces) -> None:
    """Both ways, on a cluster and a copy of the source."""
    traces.need_images()
    with wiring.world() as world:
        if world.engine.image(REF):
            sys.exit(f"The engine has an image {REF} of your own; this would replace it.")
        folder, kind = own.folder / "plugins", str(world.kind._find())  # noqa: SLF001
        shutil.copytree(data.root() / "images" / "gateway-plugins", folder)
        go = world.builder.files.toolchain.environment(
            world.engine.info().architecture, cgo=False, host=False
        )
        lab = Lab(own.folder / "lab", own.cluster)
        env = {**lab.env, **go, "GOCACHE": str(own.folder / "go-build")}
        build = folder / "build.sh"
        build.write_text(build_script(own))
        build.chmod(0o700)
        profile = own.folder / "own.yaml"
        profile.write_text(
            f"extends: {lab.profile}\nname: loop\nimages: [{{name: gateway-plugins, build: [./build.sh], build_in: plugins}}]\n"
        )
        lab.up()
        # Fills the compiler's cache, which is the bench's own: no round shall wait for that.
        run("./build.sh", env=env, cwd=folder)
        compare(lab, env, folder, kind, profile)


def compare(lab: Lab, env: dict[str, str], folder: Path, kind: str, profile: Path) -> None:
    source = folder / "main.go"
    text = source.read_text()
    kubectl = (
        "docker",
        "exec",
        lab.node,
        "kubectl",
        "--kubeconfig=/etc/kubernetes/admin.conf",
        "-n",
        "aibrix-system",
    )

    def person() -> None:
        run("./build.sh", env=env, cwd=folder)
        run(kind, "load", "docker-image", "--name", lab.cluster, REF, env=env)
        run(*kubectl, "rollout", "restart", "deployment/aibrix-gateway-plugins", env=env)
        run(*kubectl, "rollout", "status", "deployment/aibrix-gateway-plugins", env=env)

    hand = rounds(lab, source, text, 1, person, lambda: None)
    argv = lab.argv(
        "reload-image", "--watch", str(source), "--profile", str(profile), "gateway-plugins"
    )
    with subprocess.Popen(
        argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as watch:
        try:
            # The first round.
            lines = [watch.stdout.readline()]
            told = lambda: lines.append(watch.stdout.readline())  # noqa: E731 - the round has proven itself by then, too
            tool = rounds(lab, source, text, 100, lambda: None, told)
        finally:
            watch.terminate()
    print(
        f"saved to answered: by hand {hand:.1f} s, reload-image --watch {tool:.1f} s: {hand / tool:.1f} times faster"
    )
    print("".join(lines[-2:]), end="")


def main() -> None:
    with traces.made_by("loop") as own:
        measure(own)


if __name__ == "__main__":
    main()
