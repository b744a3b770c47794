"""The command line: its commands, and the boundary at which errors end.

A command's module is imported only when the command is called.
"""

import importlib
import sys
import time
import traceback
from typing import TYPE_CHECKING

import click

from devenv import __version__
from devenv.base.errors import Exit
from devenv.cli import interrupts, naming, values
from devenv.cli.additions import DEBUG, UNTIMED, common_options, complete
from devenv.cli.failures import tell, tell_total
from devenv.cli.sections import write_sections
from devenv.cli.suggestions import SuggestingGroup
from devenv.ui import verbosity
from devenv.ui.verbosity import Verbosity

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# Name → one line of help. The function is COMMAND in devenv/cli/NAME.py; the list of commands is
# printed without importing any.
COMMANDS = {
    "setup": "Install missing prerequisites and start Docker.",
    "up": "Create the cluster, or finish creating it, and verify every route.",
    "list": "List the clusters.",
    "status": "Show the components, what each is waiting for, the URL and the disks.",
    "doctor": "Diagnose the cluster: root cause, onset, effects and fix.",
    "recover": "Repair what doctor finds, step by step, and verify the result.",
    "reload-image": "Load a rebuilt image into the cluster, and prove that it runs.",
    "restart": "Restart components in the right order, waiting for each.",
    "logs": "Show the components' logs, merged by time.",
    "bugreport": "Collect what a bug report needs into one archive, redacted.",
    "request": "Send a request, and prove which pod and route it took.",
    "test-e2e": "Run AIBrix's own end-to-end tests against the cluster.",
    "model": "Add, list and remove models.",
    "exec": "Run a command or a shell in a component's pod.",
    "kubectl": "Run kubectl on the cluster.",
    "kubeconfig": "Print the cluster's kubeconfig.",
    "disk": "Show what uses the disk, and whether it is within its budget.",
    "prune": "Free disk space without harming the cluster.",
    "schedule": "Schedule a daily prune and health check.",
    "stop": "Stop the cluster to free its CPU and memory.",
    "down": "Remove the cluster.",
    "completion": "Print or install completion for bash, zsh or fish.",
    "profile": "List, show, check and create profiles.",
    "images": "List and build the images that need no registry.",
    "config": "Show what applies here, and where it is set.",
    "version": "Show the versions of devenv, its programs and the cluster.",
}

# Other words for commands.
ALIASES = {"ls": "list"}


class LazyGroup(SuggestingGroup):
    """A group that imports a command's module when it is called, and no sooner.

    Its methods have click's signatures, hence the arguments that they do not use.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """In the order in which one uses them."""
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        """Import the command."""
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"devenv.cli.{name.replace('-', '_')}")
        command: click.Command = module.COMMAND
        return complete(command)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the help of all commands without importing any."""
        write_sections(formatter, COMMANDS)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Offer all commands without importing any, and the options."""
        from click.shell_completion import CompletionItem

        items = [
            CompletionItem(name, help=text)
            for name, text in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]


@click.group(
    cls=LazyGroup,
    params=common_options(),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "-n",
    "--name",
    expose_value=False,
    callback=naming.keep_name,
    shell_complete=values.clusters,
    help="Cluster name, as after the command.",
)
@click.version_option(__version__, "-V", "--version", prog_name="devenv")
def app() -> None:
    """Create a local AIBrix cluster that works, and keep it working after lunch.

    Start with `devenv setup` and `devenv up`; then send requests to http://localhost:8888.
    """


def run(args: list[str] | None = None) -> int:
    """Run a command and return its exit code. Every error is shown here, in one form.

    A command that takes a while ends with its total time on standard error.
    """
    began = time.monotonic()
    settings: dict[str, object] = {}
    code = _run(args, settings)
    if UNTIMED not in settings:
        tell_total(time.monotonic() - began, code)
    return code


def _run(args: list[str] | None, settings: dict[str, object]) -> int:
    given_args = sys.argv[1:] if args is None else args
    verbosity.choose(Verbosity.NORMAL)
    interrupts.handle_signals()
    try:
        code = app.main(args=args, prog_name="devenv", standalone_mode=False, obj=settings)
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt, click.ClickException) as error:
        return tell(error, given_args)
    except Exception as error:  # noqa: BLE001 - an internal error is reported like any other
        if DEBUG in settings:
            traceback.print_exception(error)
        return tell(error, given_args)
    if isinstance(code, int):
        return code
    return Exit.OK
