"""What every command gets besides its own options.

That is --quiet, --verbose and --debug, a refusal of --name, and examples.
"""

import click

from devenv.cli import naming
from devenv.ui import verbosity
from devenv.ui.verbosity import Verbosity

DEBUG = "debug"
# Set for a command whose end a user chooses, or that is another program.
UNTIMED = "untimed"
# What the root's context keeps of --quiet and --verbose.
_VERBOSITY = "verbosity"


def common_options() -> list[click.Parameter]:
    """Return the options that may stand before a command's name and after it."""
    quiet_help = "Show no progress: only the result, warnings and errors."
    verbose_help = "Show more progress: every change, and the programs that run."
    return [
        _verbosity_option("-q", Verbosity.QUIET, quiet_help),
        _verbosity_option("-v", Verbosity.VERBOSE, verbose_help),
        debug_option(),
    ]


def _verbosity_option(letter: str, choice: Verbosity, help_text: str) -> click.Option:
    return click.Option(
        [letter, f"--{choice.value}"],
        is_flag=True,
        expose_value=False,
        callback=_choose_verbosity,
        help=help_text,
    )


def _choose_verbosity(ctx: click.Context, option: click.Parameter, value: bool) -> None:  # noqa: FBT001
    """Apply --quiet or --verbose. Raises UsageError if both are given."""
    if not value:
        return
    settings = ctx.find_root().obj
    choice = Verbosity(option.name)
    if settings.setdefault(_VERBOSITY, choice) is not choice:
        raise click.UsageError("--quiet and --verbose contradict each other: pass only one.")
    verbosity.choose(choice)


def debug_option() -> click.Option:
    """Return --debug, which may stand before a command's name and after it."""
    return click.Option(
        [f"--{DEBUG}"],
        is_flag=True,
        expose_value=False,
        callback=_note_debug,
        help="Show a traceback if the command fails.",
    )


def complete(command: click.Command, group: str = "") -> click.Command:
    """Add to a command and its subcommands what every command has, and return it."""
    from devenv.cli.examples import epilog

    path = f"{group} {command.name}".strip()
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            complete(subcommand, path)
    else:
        naming.add_refusal(command)
    if not any(param.name == DEBUG for param in command.params):
        command.params += common_options()
    command.epilog = epilog(path)
    return command


def leave_out_total() -> None:
    """Don't print at the end how long this command took."""
    settings = click.get_current_context().find_root().obj
    # None where a test calls the command by itself.
    if settings is not None:
        settings[UNTIMED] = True


def _note_debug(ctx: click.Context, _option: click.Parameter, value: bool) -> bool:  # noqa: FBT001
    if value:
        ctx.find_root().obj[DEBUG] = True
    return value
