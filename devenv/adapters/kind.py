"""kind's own program."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from devenv.errors import DevenvError, Exit
from devenv.ports import Host, OnLine

_CREATE_TIMEOUT = (
    # Seconds; 11 to 14 s is usual (facts of the lab), a slow laptop that pulls needs minutes.
    600.0
)


class KindProgram:
    """Runs kind.

    `find` says where it is, since devenv may have built it; `engine` gives the variables by which the docker program
    that kind calls finds the same engine as devenv does.
    """

    def __init__(
        self, host: Host, find: Callable[[], Path | None], engine: Callable[[], dict[str, str]]
    ) -> None:
        self._host, self._find, self._engine = host, find, engine

    def version(self) -> str | None:
        """Return kind's version such as v0.33.0, None where there is no kind."""
        program = self._find()
        if program is None:
            return None
        match = re.search(r"v\d+\.\d+\.\d+\S*", self._host.run([str(program), "version"]).output)
        return match.group() if match else "unknown"

    def create(self, name: str, config: str, image: str, log: OnLine) -> None:
        """Create a cluster from kind's own config format. Raises DevenvError with the end of what kind said."""
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(config)
            file.flush()
            self._run(
                [
                    "create",
                    "cluster",
                    "--name",
                    name,
                    "--config",
                    file.name,
                    "--image",
                    image,
                    "--wait",
                    "0s",
                ],
                log,
            )

    def delete(self, name: str, log: OnLine) -> None:
        """Delete the cluster with its nodes and their volumes."""
        self._run(["delete", "cluster", "--name", name], log)

    def export_kubeconfig(self, name: str, log: OnLine) -> None:
        """Write the cluster's context to the user's kubeconfig."""
        self._run(["export", "kubeconfig", "--name", name], log)

    def _run(self, argv: list[str], log: OnLine) -> None:
        program = self._find()
        if program is None:
            raise DevenvError(
                "kind is not installed.",
                next_step="Run `devenv setup`.",
                exit_code=Exit.PREREQUISITE,
            )
        env = {"KIND_EXPERIMENTAL_PROVIDER": "docker", **self._engine()}
        result = self._host.run(
            [str(program), *argv], env=env, on_line=log, timeout=_CREATE_TIMEOUT
        )
        if result.code != 0:
            # Without each of kubeadm's tries to reach what it starts.
            telling = [
                line
                for line in result.output.rstrip().splitlines()
                if "round_trippers.go" not in line
            ]
            end = "\n".join(telling[-15:])
            raise DevenvError(
                f"`kind {' '.join(argv[:2])}` failed.", end, f"By hand: kind {' '.join(argv)}"
            )
