"""The command line: commands that are imported only when they are called, and the boundary at which errors end."""

import importlib
import signal
import sys
import traceback

import click

from devenv import __version__
from devenv.errors import DevenvError, Exit

# name → one line of help. The function is COMMAND in devenv/cli/NAME.py; help must not import what it needs.
COMMANDS = {
    "setup": "Bring what is missing on this machine, and start the engine.",
    "up": "Make a cluster that answers on every route, or finish making it.",
    "status": "Show the components, what each still lacks, the URL and the disks.",
    "doctor": "Say what is wrong, since when, what follows from it, and the fix.",
    "recover": "Repair what doctor finds, gate after gate, and prove it.",
    "reload-image": "Put a rebuilt image into the cluster, and prove that it runs.",
    "restart": "Restart components in the right order, gate after gate.",
    "logs": "Show the components' logs, merged by time.",
    "request": "Send a request, and prove which pod and route it took.",
    "test-e2e": "Run AIBrix's own end-to-end tests against the cluster.",
    "model": "Add a model as AIBrix discovers them, list them, remove one.",
    "disk": "Show who takes the disk, against its budget.",
    "prune": "Make room, without ever harming the cluster.",
    "schedule": "Have room made every day, before lunch.",
    "stop": "Stop the cluster, to give its CPU and memory back.",
    "down": "Remove the cluster.",
    "profile": "Look at profiles, check them, and begin one of your own.",
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
        command: click.Command = importlib.import_module(f"devenv.cli.{cmd_name.replace('-', '_')}").COMMAND
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the help of all commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show a traceback when something goes wrong.")
@click.version_option(__version__, prog_name="devenv")
@click.pass_context
def app(ctx: click.Context, *, debug: bool) -> None:
    """Give an AIBrix developer a local cluster that works, and goes on working after lunch.

    Start with `devenv setup` and `devenv up`; then send requests to http://localhost:8888.
    """
    ctx.obj = {"debug": debug}


def run(args: list[str] | None = None) -> int:
    """Run a command and return its exit code. Whatever goes wrong is told here, in one form."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        code = app.main(args=args, prog_name="devenv", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nInterrupted. The same command goes on from here.", err=True)
        return Exit.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except DevenvError as error:
        return _tell(error)
    except Exception as error:  # noqa: BLE001 - devenv's own mistake, told in the form of all others
        why = f"{type(error).__name__}: {error}"
        return _tell(DevenvError("devenv has made a mistake of its own.", why, "Please report it, with what --debug shows."))
    return code if isinstance(code, int) else Exit.OK


def _interrupt(_number: int, _frame: object) -> None:
    """Being told to end is the same as an interrupt: what devenv started is ended too."""
    raise KeyboardInterrupt


def _tell(error: DevenvError) -> int:
    if "--debug" in sys.argv:
        traceback.print_exception(error)
    from devenv.ui import reports  # noqa: PLC0415 - help must not wait for it

    reports.error(error)
    return error.exit_code
