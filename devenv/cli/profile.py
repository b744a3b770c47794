"""devenv profile list, show, validate, schema, init."""

from pathlib import Path
from typing import Any

import click

from devenv.cli import values
from devenv.cli.options import output_option, variant_of, variant_options
from devenv.cli.suggestions import SuggestingGroup


@click.group("profile", cls=SuggestingGroup)
def COMMAND() -> None:  # noqa: N802 - found by this name
    """List, show, check and create profiles."""


@COMMAND.command("list")
@output_option
def list_(output: str) -> None:
    """List the profiles that come with devenv."""
    from devenv import data
    from devenv.profiles.load import list_profiles
    from devenv.ui import catalogue
    from devenv.ui.render import render

    render(catalogue.profiles(list_profiles(data.root() / "profiles")), output)


@COMMAND.command("show")
@click.argument("name", shell_complete=values.profiles)
@click.option(
    "--rendered", is_flag=True, help="Print the manifests instead, patched as `up` applies them."
)
@variant_options
@output_option
def show(name: str, output: str, *, rendered: bool, **chosen: Any) -> None:
    """Print a profile as devenv uses it.

    NAME is a profile or a YAML file. Prints it with everything that it extends, and with every
    default. With --rendered, first fetches, builds or renders what is missing.
    """
    from devenv import data, wiring
    from devenv.profiles.load import load
    from devenv.ui import profiles
    from devenv.ui.render import render

    variant = variant_of(chosen)
    if not rendered:
        render(profiles.profile(load(name, data.root() / "profiles", variant)), output)
        return
    with wiring.world() as world:
        objects = world.rendered(name, variant)
    render(profiles.manifests(objects), output)


@COMMAND.command("validate")
@click.argument("name", shell_complete=values.profiles)
@output_option
def validate(name: str, output: str) -> None:
    """Check a profile with all its versions and options.

    NAME is a profile or a YAML file. Lists every error at once, each with its line.
    """
    from devenv import data
    from devenv.diagnosis import codes
    from devenv.profiles.load import check, new_items
    from devenv.ui import profiles
    from devenv.ui.render import render

    folder = data.root() / "profiles"
    profile = check(name, folder, codes.book())
    render(profiles.validated(name, profile, new_items(name, folder)), output)


@COMMAND.command("schema")
def schema() -> None:
    """Print the JSON Schema of profiles, for editors.

    In a checkout it is docs/profile.schema.json.
    """
    from devenv.profiles.schema import schema_text

    click.echo(schema_text(), nl=False)


@COMMAND.command("init")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--extends", shell_complete=values.profiles, help="Extend this profile. [default: offline]"
)
@click.option(
    "--host-port",
    type=click.IntRange(1, 65535),
    help="Port of the gateway on this machine. [default: the first free one from 8888]",
)
@click.option(
    "--node-port",
    type=click.IntRange(30000, 32767),
    help="Port of the gateway in the node. [default: 30888]",
)
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
@output_option
def init(
    file: Path,
    extends: str | None,
    host_port: int | None,
    node_port: int | None,
    output: str,
    *,
    force: bool,
) -> None:
    """Create a profile that extends another.

    Writes it to FILE (-: standard output). On a terminal, asks for whatever you did not pass.
    """
    from devenv import data
    from devenv.base import targets
    from devenv.base.errors import DevenvError, Exit
    from devenv.profiles.draft import write_new
    from devenv.ui import profiles
    from devenv.ui.render import render

    is_printed = targets.is_stdout(file)
    if is_printed and output == "json":
        raise click.UsageError("The profile and -o json can't both go to standard output.")
    if targets.is_file(file) and not force:
        fix = "Choose another name, or pass --force."
        raise DevenvError(f"{file} already exists.", next_step=fix, exit_code=Exit.USAGE)
    folder = data.root() / "profiles"
    base = extends or _ask_for_base(folder)
    if host_port is None:
        host_port = _ask_for_port()
    write_new(file, folder, base, host_port, node_port)
    if not is_printed:
        render(profiles.written(file, base, host_port), output)


def _ask_for_base(folder: Path) -> str:
    from devenv.ui import prompts

    names = sorted(file.stem for file in folder.glob("*.yaml"))
    return prompts.choice("Which profile to start from?", names, "offline")


def _ask_for_port() -> int:
    from devenv import wiring
    from devenv.profiles.draft import free_port
    from devenv.ui import prompts

    with wiring.world() as world:
        default = free_port(world.host.port_owner)
    question = "The gateway's port on this machine?"
    return int(prompts.text(question, str(default), prompts.is_port))
