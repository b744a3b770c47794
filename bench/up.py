"""`devenv up` against a careful person with kind, `kind load` and kubectl, until the same three requests succeed.

Both start from nothing but the images in the engine, one after the other, on the same machine: what counts is the
ratio. Run by hand: `make bench`. Times of one run on one machine prove nothing about another.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from devenv import data, wiring
from devenv.images.load import normalise
from devenv.images.sources import Provider
from devenv.lifecycle import manifests
from devenv.profiles.model import Profile

NAME, PORT = "devenv-bench", 18888


def run(*argv: str, stdin: str | None = None) -> None:
    subprocess.run(argv, check=True, capture_output=True, text=True, input=stdin)


def devenv(*args: str) -> None:
    run(sys.executable, "-m", "devenv", *args)


def by_hand(world: wiring.World, profile: Profile) -> None:
    """One thing after the other, each only when the one before is done."""
    sources = Provider(world.engine, world.builder, world.reporter).provide(profile.images)
    folder = data.root() / "manifests"
    rendered = manifests.render(
        profile, lambda s: folder / s.path if s.path else world.recipe_file(*s.recipe_file)
    )
    node, kind = f"{NAME}-control-plane", str(world.kind._find())  # noqa: SLF001
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write(manifests.kind_config(profile))
        config.flush()
        image = sources[profile.cluster.image].ref
        run(kind, "create", "cluster", "--name", NAME, "--config", config.name, "--image", image)
    for wanted in profile.cluster_images:
        ref = sources[wanted.name].ref
        run(kind, "load", "docker-image", ref, "--name", NAME)
        run(
            "docker",
            "exec",
            node,
            "ctr",
            "-n",
            "k8s.io",
            "images",
            "tag",
            "--force",
            ref,
            normalise(wanted.ref),
        )
    kubectl = ("docker", "exec", "-i", node, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf")
    run(
        *kubectl,
        "apply",
        "--server-side",
        "-f",
        "-",
        stdin=yaml.safe_dump_all(rendered.definitions),
    )
    run(*kubectl, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    rest = [o for name in rendered.sources for o in rendered.rest(name)]
    run(*kubectl, "apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(rest))
    world.prober(NAME, profile).until_proven(240)


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"KUBECONFIG": f"{home}/kubeconfig", "XDG_STATE_HOME": f"{home}/state"}
        own = Path(home) / "bench.yaml"
        own.write_text(f"extends: offline\nname: bench\ngateway: {{host_port: {PORT}}}\n")
        with wiring.world() as world:
            profile = world.choice(NAME, str(own)).profile
            began = time.monotonic()
            try:
                by_hand(world, profile)
                hand = time.monotonic() - began
            finally:
                world.kind.delete(NAME, lambda _: None)
        began = time.monotonic()
        try:
            devenv("up", "--name", NAME, "--profile", str(own))
            tool = time.monotonic() - began
            began = time.monotonic()
            devenv("up", "--name", NAME)
            again = time.monotonic() - began
        finally:
            devenv("down", "--name", NAME)
    print(
        f"by hand {hand:.1f} s, devenv up {tool:.1f} s: {tool / hand:.2f} times; a second up {again:.1f} s"
    )


if __name__ == "__main__":
    main()
