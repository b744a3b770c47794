"""The command line: commands that are imported only when they are called, and the boundary at which errors end."""

import importlib
import signal
import sys
import traceback

import click

from devenv import __version__
from devenv.errors import Exit

_DEBUG = "debug"
_DEBUG_HELP = "Show a traceback if the command fails."
# name → one line of help. The function is COMMAND in devenv/cli/NAME.py; help must not import what it needs.
COMMANDS = {
    "setup": "Install missing prerequisites and start Docker.",
    "up": "Create the cluster, or finish creating it, and verify every route.",
    "status": "Show the components, what each still lacks, the URL and the disks.",
    "doctor": "Diagnose the cluster: root cause, onset, effects and fix.",
    "recover": "Repair what doctor finds, step by step, and verify the result.",
    "reload-image": "Load a rebuilt image into the cluster, and prove that it runs.",
    "restart": "Restart components in the right order, waiting for each.",
    "logs": "Show the components' logs, merged by time.",
    "request": "Send a request, and prove which pod and route it took.",
    "test-e2e": "Run AIBrix's own end-to-end tests against the cluster.",
    "model": "Add, list and remove models.",
    "disk": "Show what uses the disk, against its budget.",
    "prune": "Free disk space without harming the cluster.",
    "schedule": "Schedule a daily prune and health check.",
    "stop": "Stop the cluster to free its CPU and memory.",
    "down": "Remove the cluster.",
    "profile": "List, show, check and create profiles.",
    "images": "List and build the images that need no registry.",
}


class LazyGroup(click.Group):
    """A group that imports a command's module when it is called, and no sooner."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """In the order in which one uses them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(
            f"devenv.cli.{cmd_name.replace('-', '_')}"
        ).COMMAND
        return _with_debug(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the help of all commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _with_debug(command: click.Command) -> click.Command:
    """Add --debug to a command and its subcommands, so that it may follow their names."""
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        _with_debug(below)
    if not any(param.name == _DEBUG for param in command.params):
        option = click.Option(
            [f"--{_DEBUG}"],
            is_flag=True,
            expose_value=False,
            callback=_note_debug,
            help=_DEBUG_HELP,
        )
        command.params.append(option)
    return command


def _note_debug(ctx: click.Context, _option: click.Parameter, value: bool) -> bool:  # noqa: FBT001 - click's signature
    if value:
        ctx.find_root().obj[_DEBUG] = True
    return value


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    f"--{_DEBUG}", is_flag=True, expose_value=False, callback=_note_debug, help=_DEBUG_HELP
)
@click.version_option(__version__, prog_name="devenv")
def app() -> None:
    """Give an AIBrix developer a local cluster that works, and goes on working after lunch.

    Start with `devenv setup` and `devenv up`; then send requests to http://localhost:8888.
    """


def run(args: list[str] | None = None) -> int:
    """Run a command and return its exit code. Whatever goes wrong is told here, in one form."""
    settings: dict[str, bool] = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        code = app.main(args=args, prog_name="devenv", standalone_mode=False, obj=settings)
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nInterrupted. Run the same command again to continue.", err=True)
        return Exit.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except Exception as error:  # noqa: BLE001 - an internal error is reported like any other
        if _DEBUG in settings:
            traceback.print_exception(error)
        return _tell(error, sys.argv[1:] if args is None else args)
    return code if isinstance(code, int) else Exit.OK


def _interrupt(_number: int, _frame: object) -> None:
    """Being told to end is the same as an interrupt: what devenv started is ended too."""
    raise KeyboardInterrupt


def _tell(error: Exception, args: list[str]) -> int:
    from devenv.cli.failures import as_told  # noqa: PLC0415 - help must not wait for it
    from devenv.ui import reports  # noqa: PLC0415

    told = as_told(error, args)
    reports.error(told)
    return told.exit_code
