"""A place for one test cluster: its own name, port, kubeconfig and state, never the user's."""

import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from devenv.adapters.clock import SystemClock
from devenv.base.wait import Deadline, until
from tests.cluster import warm

REQUIRED = ("node", "envoy-gateway", "redis", "busybox", "gateway-plugins", "envoy", "vllm-mock")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# The number of a step that has ended.
_NUMBER = re.compile(r"^✓ \[(\d+)/(\d+)\] ", re.MULTILINE)
# The line about a step that has ended, or about several that took no time: ✓ [2/18] images (2 loaded), model  0.0 s
_ENDED = re.compile(r"✓ (?:\[\d+/\d+\] )?(?P<names>.+?)(?:  |$)")


def has_ended(line: str, step: str) -> bool:
    """Whether a line of progress says that a step has ended: STEP, or STEP and of what."""
    match = _ENDED.match(line)
    names = match["names"].split(", ") if match else []
    return any(f"{name} ".startswith(f"{step} ") for name in names)


def step_numbers(progress: str) -> list[tuple[int, int]]:
    """Return the numbers of the steps that have a line of their own: (its number, of how many)."""
    return [(int(number), int(total)) for number, total in _NUMBER.findall(progress)]


@dataclass
class Lab:
    """Runs devenv as a user would, in a world of its own. `docker_host` is empty for the machine's own engine."""

    folder: Path
    cluster: str
    docker_host: str = ""
    overrides: str = ""
    port: int = field(default_factory=free_port)
    built: list[str] = field(default_factory=list)
    base: str = "offline"
    chosen: tuple[str, ...] = ()  # options of `up`

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.profile = self.folder / "profile.yaml"
        # On the machine's own engine no test depends on how full its disk is, nor makes room on it.
        budgets = (
            ""
            if self.docker_host
            else "budgets: {host: {keep_free: 0}, engine: {keep_free: 0}, node: {keep_free: 0}}\n"
        )
        content = f"extends: {self.base}\nname: test\ngateway: {{host_port: {self.port}}}\n{budgets}auto_prune: no\n{self.overrides}"
        self.profile.write_text(content)

    @property
    def env(self) -> dict[str, str]:
        own = {
            "KUBECONFIG": str(self.folder / "kubeconfig"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "DEVENV_CLUSTER": self.cluster,
        }
        return {
            **os.environ,
            **own,
            **({"DOCKER_HOST": self.docker_host} if self.docker_host else {}),
        }

    @property
    def node(self) -> str:
        return f"{self.cluster}-control-plane"

    def argv(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "devenv", *args]

    def devenv(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = warm.run(args, self.env)
        assert not check or done.returncode == 0, (
            f"devenv {' '.join(args)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def json(self, *args: str, check: bool = True):
        return json.loads(self.devenv(*args, "-o", "json", check=check).stdout)["result"]

    def up(self):
        return self.json("up", "--profile", str(self.profile), *self.chosen)

    def proven(self) -> bool:
        """Whether `up` ends with a request answered on every route."""
        return all(r["ok"] for r in self.up()["requests"])

    def request(self, route: str, *args: str):
        return self.json("request", "--route", route, *args, check=False)

    def docker(self, *args: str, check: bool = True) -> str:
        done = subprocess.run(
            ["docker", *args],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert not check or done.returncode == 0, f"docker {args}: {done.stdout}{done.stderr}"
        return done.stdout

    def clear(self) -> None:
        """Remove what a killed run left under this name, which only tests use."""
        self.devenv("down", check=False)
        self.docker("rm", "-fv", self.node, check=False)

    def build(self, tag: str, folder: Path) -> None:
        """Build an image that the engine does not keep: whoever owns this lab forgets what it has built."""
        self.built.append(self.docker("build", "-q", "-t", tag, str(folder)).strip())

    def forget_images(self) -> None:
        self.docker("rmi", "-f", *self.built, check=False)
        self.built.clear()

    def names_for_pushes(self) -> list[str]:
        """Names that a push of an image built here has left in the engine, whose process is gone.

        Other tests use this engine at the same time. What they build, and what they kill, is theirs.
        """
        table = self.docker("images", "--no-trunc", "--format", "{{.ID}} {{.Repository}} {{.Tag}}")
        names: list[str] = []
        for row in table.splitlines():
            image, repository, tag = row.split()
            ours = image in self.built and repository.startswith("127.0.0.1:")
            # What has no tag any more lost its last one to someone else.
            if ours and tag != "<none>" and not psutil.pid_exists(int(tag.partition("-")[0])):
                names.append(f"{repository}:{tag}")
        return names

    def kubectl(self, *args: str, check: bool = True) -> str:
        return self.docker(
            "exec",
            self.node,
            "kubectl",
            "--kubeconfig=/etc/kubernetes/admin.conf",
            *args,
            check=check,
        )

    def kubectl_in(self, stdin: str, *args: str) -> str:
        """kubectl with something on its standard input."""
        argv = [
            "docker",
            "exec",
            "-i",
            self.node,
            "kubectl",
            "--kubeconfig=/etc/kubernetes/admin.conf",
            *args,
        ]
        done = subprocess.run(
            argv,
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"kubectl {args}: {done.stdout}{done.stderr}"
        return done.stdout

    def doctor(self):
        return self.json("doctor", check=False)

    def eventually(self, what: str, missing, seconds: float = 120, pause: float = 0.5) -> None:
        """Wait until nothing is missing. A look takes the CPU from what it waits for: half of the time none is made."""
        clock = SystemClock()

        def unhurried_look() -> str:
            began = clock.now()
            if lack := missing():
                clock.sleep(min(clock.now() - began, 3))
            return lack

        until(what, unhurried_look, Deadline(clock, seconds), pause=pause)


def why_not() -> str:
    """Why the cluster tier can't run here; "" if it can."""
    script = (
        "from devenv import wiring\n"
        "with wiring.world() as w:\n"
        "    from devenv.images.sources.provider import Provider\n"
        "    c = w.choice('none', 'offline')\n"
        "    print([i.name for i in c.profile.images if not Provider(w.engine, w.builder, w.reporter).ready([i])])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        return f"no engine: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'no answer'}"
    missing = done.stdout.strip()
    return (
        ""
        if missing == "[]"
        else f"not in the engine: {missing}; run `devenv images build`, or `devenv up` once"
    )
