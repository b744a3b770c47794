"""A plan over 500 images, and `devenv disk` as users call it: `python -m bench.prune`, some seconds."""

import random
import subprocess
import sys
import time

from bench import traces
from devenv.disk.plan import ENGINE, Thing, Worth, plan

IMAGES, LAYERS, SHARED = 500, 20, 200
GIB = 1 << 30


def inventory() -> list[Thing]:
    """Images that share some of their layers, half of them protected."""
    chance = random.Random(1)
    pool = {f"layer{n}": chance.randrange(1 << 30) for n in range(SHARED)}
    things = []
    for n in range(IMAGES):
        shared = {name: pool[name] for name in chance.sample(sorted(pool), LAYERS // 2)}
        own = {f"own{n}.{k}": chance.randrange(1 << 28) for k in range(LAYERS // 2)}
        worth = chance.choice([Worth.DANGLING, Worth.SUPERSEDED, Worth.IMAGE])
        things.append(
            Thing(
                f"image{n}",
                worth,
                shared | own,
                n,
                "a container has it" if n % 2 else "",
                ENGINE,
                str(n),
            )
        )
    return things


def measure(_own: traces.Traces) -> None:
    """The plan, and the whole command."""
    things = inventory()
    for goal in (10 * GIB, 1 << 62):
        began = time.monotonic()
        found = plan(things, goal)
        print(f"plan of {len(found)} out of {IMAGES} images: {time.monotonic() - began:.3f} s")
    for again in ("first", "second"):
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "devenv", "disk"], stdout=subprocess.DEVNULL, check=False
        )
        count = len(
            subprocess.run(
                ["docker", "images", "-q"], capture_output=True, text=True, check=True
            ).stdout.split()
        )
        print(f"devenv disk, {again}: {time.monotonic() - began:.2f} s with {count} images")


def main() -> None:
    with traces.made_by("prune") as own:
        measure(own)


if __name__ == "__main__":
    main()
