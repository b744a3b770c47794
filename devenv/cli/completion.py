"""devenv completion."""

import click

# What the shell's script calls devenv with, by click's own rule.
_VARIABLE = "_DEVENV_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.option(
    "--install",
    is_flag=True,
    help="Write it to a file of yours, and for bash and zsh add a line to .bashrc or .zshrc.",
)
@click.pass_context
def COMMAND(ctx: click.Context, shell: str, *, install: bool) -> None:  # noqa: N802 - loaded as this
    """Print or install completion for a shell.

    It completes commands, options, and values: clusters, profiles, codes, components, models,
    strategies, images, contexts and versions. Those of an engine or API server that is down are
    left out.

    bash must be 4.4 or newer.
    """
    from click.shell_completion import get_completion_class

    completion_class = get_completion_class(shell)
    if completion_class is None:
        raise click.UsageError(f"This version of click knows no completion for {shell}.")
    script = completion_class(ctx.find_root().command, {}, "devenv", _VARIABLE).source()
    # click's script for fish cuts each description at its first comma.
    script = script.replace('string split ","', 'string split --max 1 ","')
    if not install:
        click.echo(script)
        return
    from devenv.workstation import completion

    for line in completion.install(shell, script).lines:
        click.echo(line)
