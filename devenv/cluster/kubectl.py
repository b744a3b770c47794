"""kubectl on one cluster: the host's own or, if the host has none, the node's.

docs/decisions/0015-kubectl.md says why.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devenv.cluster.kubeconfig import ADMIN_CONFIG, ClusterKubeconfig
from devenv.ports.containers import Containers
from devenv.ports.host import Host
from devenv.ports.processes import Completed, Environment
from devenv.ports.reporter import Say

_VARIABLE = "KUBECONFIG"
# Seconds for a kubectl that no user watches.
_SECONDS = 60.0


@dataclass(frozen=True)
class Kubectl:
    """Runs kubectl with arguments that nothing is added to: KUBECONFIG names the cluster.

    `engine` returns the variables by which the docker program finds the engine. Raises DevenvError
    unless devenv has the cluster, and it runs.
    """

    kubeconfig: ClusterKubeconfig
    host: Host
    containers: Containers
    engine: Callable[[], Environment]
    say: Say

    def attach(self, arguments: Sequence[str], *, has_terminal: bool) -> int:
        """Run it with this process's own streams, and return its exit code.

        `has_terminal`: whether these streams are a terminal.
        """
        program = self.host.which("kubectl")
        if program:
            env = {_VARIABLE: str(self.kubeconfig.write())}
            return self.host.attach([str(program), *arguments], env)
        node = self.kubeconfig.node().name
        terminal = ["--tty"] if has_terminal else []
        variable = ["--env", f"{_VARIABLE}={ADMIN_CONFIG}"]
        docker = ["docker", "exec", "--interactive", *terminal, *variable, node]
        code = self.host.attach([*docker, "kubectl", *arguments], self.engine())
        if code:
            self._explain_files(arguments, node)
        return code

    def _explain_files(self, arguments: Sequence[str], node: str) -> None:
        """After a failure, say that the node does not have the host's files if one was named."""
        for argument in arguments:
            # Also the value of `--filename=a.yaml`.
            name = argument.rpartition("=")[2]
            if name and Path(name).is_file():
                self.say(
                    f"This machine has no kubectl, so the one in the node {node} was used; it does"
                    f" not see {name}. Pass a file by standard input (`-f - < FILE`), or install"
                    " kubectl."
                )
                return

    def run(self, arguments: Sequence[str]) -> Completed:
        """Run it to its end, and return its output."""
        program = self.host.which("kubectl")
        if program:
            env = {_VARIABLE: str(self.kubeconfig.write())}
            return self.host.run([str(program), *arguments], env=env, timeout=_SECONDS)
        node = self.kubeconfig.node().name
        config = f"--kubeconfig={ADMIN_CONFIG}"
        return self.containers.exec(node, ["kubectl", config, *arguments])
