"""devenv setup."""

import click

from devenv.cli.options import name_option, profile_option


@click.command("setup")
@name_option
@profile_option
@click.option("--yes", is_flag=True, help="Install packages without asking.")
def COMMAND(cluster: str, profile: str | None, *, yes: bool) -> None:  # noqa: N802 - found by this name
    """Install missing prerequisites and start Docker.

    Installs Docker's packages and, if no registry answers, those that images are built with. If devenv may not install
    them, it prints the commands that do.
    """
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.ui import prompts  # noqa: PLC0415

    with wiring.world() as world:
        confirm = prompts.install(assume_yes=yes)
        done = world.setup(world.choice(cluster, profile), confirm).run()
        world.reporter.say(
            "\n".join(done) if done else "Nothing to do: this machine has what devenv needs."
        )
