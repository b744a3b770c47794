"""Make the recipes' Go modules share the versions of their libraries again (decision 5), after one of them was changed.

Run by hand, in a checkout: `.venv/bin/python docs/align.py`; then `devenv images build` says whether it compiles.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.version import Version

from devenv import data, wiring
from devenv.images.recipes.recipe import GoBuild

# Who does not set the versions of Kubernetes' libraries: containerd needs newer ones, the others hardly use them.
APART = {"containerd", "runc", "kind"}
KUBERNETES = ("k8s.io/", "sigs.k8s.io/")
# Compiled for tests only: it takes the others' versions where they are newer, and sets none.
FOLLOWS = {"docker29"}
# kubelet v1.34.4 does not compile with runc's, and kubernetes itself is what the rest follows.
NEVER = {"github.com/opencontainers/cgroups", "k8s.io/kubernetes"}
# An upgrade may bring others with it.
ROUNDS = 5
USED = "{{with .Module}}{{.Path}} {{with .Replace}}{{.Path}} {{.Version}}{{else}}- {{.Version}}{{end}}{{end}}"


def modules(folder: Path) -> Iterator[tuple[Path, list[GoBuild]]]:
    """Yield each folder with a go.mod, and what is compiled in it."""
    with wiring.world(folder) as world:
        for recipe in world.builder.book.recipes.values():
            steps = [s.go for s in recipe.spec.files.values() if s.go]
            for place in sorted({s.dir for s in steps}):
                yield recipe.folder / place, [s for s in steps if s.dir == place]


def go(env: Mapping[str, str], folder: Path, *argv: str) -> str:
    """Run the pinned compiler; its errors go to the terminal."""
    return subprocess.run(
        ["go", *argv], cwd=folder, env=env, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def used(env: Mapping[str, str], folder: Path, steps: list[GoBuild]) -> dict[str, str]:
    """Return the modules that packages are compiled from, with their versions; not those that are replaced by others."""
    lines = go(env, folder, "list", "-deps", "-f", USED, *(s.package for s in steps)).splitlines()
    found = [line.split() for line in lines]
    return {f[0]: f[2] for f in found if len(f) == 3 and f[1] in {"-", f[0]}}  # noqa: PLR2004


def age(version: str) -> tuple[Version, bool, str]:
    """Return what Go's versions are sorted by; a pseudo-version is older than the release that it precedes."""
    release, _, rest = version.removeprefix("v").removesuffix("+incompatible").partition("-")
    return Version(release), not rest, rest


def settled(folder: Path, module: str) -> bool:
    """Whether the folder follows and sets the module's version."""
    return module not in NEVER and not (folder.name in APART and module.startswith(KUBERNETES))


def main() -> None:
    """Upgrade until all agree."""
    with wiring.world() as world:
        toolchain = world.builder.files.toolchain
        toolchain.ensure(world.builder.files.log("toolchain"))
        env = {
            **os.environ,
            **toolchain.environment(world.builder.book.architecture, cgo=False, host=False),
        }
    env["GOFLAGS"] = env["GOFLAGS"].replace("-mod=readonly", "-mod=mod")
    found = {
        **dict(modules(data.root() / "images")),
        **dict(modules(data.root() / "tests" / "cluster" / "images")),
    }
    for _ in range(ROUNDS):
        have = {folder: used(env, folder, steps) for folder, steps in found.items()}
        newest: dict[str, str] = {}
        for folder, libraries in have.items():
            for module, version in libraries.items():
                if settled(folder, module) and folder.name not in FOLLOWS:
                    newest[module] = max(newest.get(module, version), version, key=age)
        wanted = {folder: upgrades(folder, libraries, newest) for folder, libraries in have.items()}
        for folder, changes in wanted.items():
            if changes:
                print(f"{folder.name}: {len(changes)} upgrades")
                go(env, folder, "get", *changes)
                go(env, folder, "mod", "tidy")
        if not any(wanted.values()):
            return
    raise SystemExit("They don't agree yet. Run it again.")


def upgrades(folder: Path, libraries: Mapping[str, str], newest: Mapping[str, str]) -> list[str]:
    """Return what the folder is behind in."""
    behind = {
        m: newest[m]
        for m, v in libraries.items()
        if settled(folder, m) and m in newest and age(newest[m]) > age(v)
    }
    return [f"{module}@{version}" for module, version in behind.items()]


if __name__ == "__main__":
    main()
