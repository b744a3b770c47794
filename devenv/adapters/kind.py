"""kind's own program."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from devenv.base.errors import DevenvError, Exit
from devenv.ports.host import Host
from devenv.ports.processes import Environment, OnLine

# Seconds. Creating a cluster takes 11 to 14 s (facts of the lab); a slow laptop that pulls needs
# minutes.
_TIMEOUT = 600.0
# Last lines of its output that an error quotes.
_QUOTED_LINES = 15


class KindProgram:
    """Runs kind.

    `find` returns where the program is, since devenv may have built it. `engine` returns the
    variables by which the docker program that kind calls finds the same engine as devenv does.
    """

    def __init__(
        self, host: Host, find: Callable[[], Path | None], engine: Callable[[], Environment]
    ) -> None:
        self._host, self._find, self._engine = host, find, engine

    def version(self) -> str | None:
        """Return kind's version such as v0.33.0. If kind is not installed, return None."""
        program = self._find()
        if program is None:
            return None
        output = self._host.run([str(program), "version"]).output
        match = re.search(r"v\d+\.\d+\.\d+\S*", output)
        return match.group() if match else "unknown"

    def create(self, name: str, config: str, image: str, log: OnLine) -> None:
        """Create a cluster from the text of a config in kind's own format."""
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(config)
            file.flush()
            options = ["--name", name, "--config", file.name, "--image", image, "--wait", "0s"]
            self._run(["create", "cluster", *options], log)

    def delete(self, name: str, log: OnLine) -> None:
        """Delete the cluster with its nodes and their volumes."""
        self._run(["delete", "cluster", "--name", name], log)

    def export_kubeconfig(self, name: str, log: OnLine) -> None:
        """Write the cluster's context to the user's kubeconfig."""
        self._run(["export", "kubeconfig", "--name", name], log)

    def _run(self, argv: list[str], log: OnLine) -> None:
        """Run kind. Raises DevenvError with the end of its output if it fails."""
        program = self._find()
        if program is None:
            raise DevenvError(
                "kind is not installed.",
                next_step="Run `devenv setup`.",
                exit_code=Exit.PREREQUISITE,
            )
        env = {"KIND_EXPERIMENTAL_PROVIDER": "docker", **self._engine()}
        result = self._host.run([str(program), *argv], env=env, on_line=log, timeout=_TIMEOUT)
        if result.failed:
            raise DevenvError(
                f"`kind {' '.join(argv[:2])}` failed.",
                _end_of(result.output),
                f"To see it fail again, run `kind {' '.join(argv)}`.",
            )


def _end_of(output: str) -> str:
    """Return the last lines, without each of kubeadm's tries to reach what it starts."""
    lines = output.rstrip().splitlines()
    telling_lines = [line for line in lines if "round_trippers.go" not in line]
    return "\n".join(telling_lines[-_QUOTED_LINES:])
