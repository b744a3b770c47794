"""`devenv up` against a careful person with kind, `kind load` and kubectl, until the same three requests succeed.

Both start from nothing but the images in the engine, one after the other, on the same machine: what counts is the
ratio. Run by hand: `make bench`. Times of one run on one machine prove nothing about another.
"""

import os
import subprocess
import sys
import time

import yaml

from bench import traces
from devenv import data, wiring
from devenv.base.image_names import normalise
from devenv.images.sources.provider import Provider
from devenv.install import manifests
from devenv.profiles.model import Profile

PORT = 18888


def run(*argv: str, stdin: str | None = None) -> None:
    subprocess.run(argv, check=True, capture_output=True, text=True, input=stdin)


def devenv(*args: str) -> None:
    run(sys.executable, "-m", "devenv", *args)


def by_hand(world: wiring.World, profile: Profile, own: traces.Traces) -> None:
    """One thing after the other, each only when the one before is done."""
    sources = Provider(world.engine, world.builder, world.reporter).provide(profile.images)
    folder = data.root() / "manifests"
    rendered = manifests.render(
        profile, lambda s: folder / s.path if s.path else world.recipe_file(*s.recipe_file)
    )
    name = own.cluster
    node, kind = f"{name}-control-plane", str(world.kind._find())  # noqa: SLF001
    config = own.folder / "kind.yaml"
    config.write_text(manifests.kind_config(profile))
    image = sources[profile.cluster.image].ref
    run(kind, "create", "cluster", "--name", name, "--config", str(config), "--image", image)
    for wanted in profile.cluster_images:
        ref = sources[wanted.name].ref
        run(kind, "load", "docker-image", ref, "--name", name)
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
    world.prober(name, profile).until_proven(240)


def measure(own: traces.Traces) -> None:
    """Both ways, one cluster after the other."""
    traces.need_images()
    os.environ |= own.user_folders
    file = own.folder / "bench.yaml"
    file.write_text(f"extends: offline\nname: bench\ngateway: {{host_port: {PORT}}}\n")
    with wiring.world() as world:
        profile = world.choice(own.cluster, str(file)).profile
        began = time.monotonic()
        by_hand(world, profile, own)
        hand = time.monotonic() - began
    own.remove()
    began = time.monotonic()
    devenv("up", "--name", own.cluster, "--profile", str(file))
    tool = time.monotonic() - began
    print(f"by hand {hand:.1f} s, devenv up {tool:.1f} s: {tool / hand:.2f} times", flush=True)
    began = time.monotonic()
    devenv("up", "--name", own.cluster)
    print(f"a second up {time.monotonic() - began:.1f} s")


def main() -> None:
    with traces.made_by("up") as own:
        measure(own)


if __name__ == "__main__":
    main()
