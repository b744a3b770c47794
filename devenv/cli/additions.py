"""What every command gets besides its own options: --debug, a refusal of --name, examples."""

import click

from devenv.cli import naming

DEBUG = "debug"
# Set for a command whose end a user chooses, or that is another program.
UNTIMED = "untimed"


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
        command.params.append(debug_option())
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
