"""devenv profile list, show, validate, schema, init."""

from pathlib import Path
from typing import Any

import click

from devenv.cli.options import output_option, variant_of, variant_options


@click.group("profile")
def COMMAND() -> None:  # noqa: N802 - found by this name
    """List, show, check and create profiles."""


@COMMAND.command("list")
@output_option
def list_(output: str) -> None:
    """Show the profiles that come with devenv."""
    from devenv import data  # noqa: PLC0415 - help must not wait for it
    from devenv.profiles.load import known  # noqa: PLC0415
    from devenv.ui import reports  # noqa: PLC0415

    found = known(data.root() / "profiles")
    if output == "json":
        reports.emit_json(
            "profiles", [{"name": p.name, "description": p.description} for p in found]
        )
    else:
        reports.profiles(found)


@COMMAND.command("show")
@click.argument("name")
@click.option(
    "--rendered", is_flag=True, help="Print the manifests instead, as `up` applies them: patched."
)
@variant_options
def show(name: str, *, rendered: bool, **chosen: Any) -> None:
    """Print a profile as devenv uses it.

    NAME is a profile or a YAML file. Prints it with everything that it extends, and with every default. With --rendered,
    first fetches, builds or renders what is missing.
    """
    from devenv import data, wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.profiles.load import load, spell  # noqa: PLC0415

    variant = variant_of(chosen)
    if not rendered:
        click.echo(spell(load(name, data.root() / "profiles", variant)), nl=False)
        return
    with wiring.world() as world:
        content = world.rendered(name, variant)
    click.echo(content, nl=False)


@COMMAND.command("validate")
@click.argument("name")
def validate(name: str) -> None:
    """Check a profile with all its versions and options.

    NAME is a profile or a YAML file. Lists every error at once, each with its line.
    """
    from devenv import data  # noqa: PLC0415 - help must not wait for it
    from devenv.diagnosis import codes  # noqa: PLC0415
    from devenv.profiles.load import added, check  # noqa: PLC0415

    profile = check(name, data.root() / "profiles", codes.book())
    click.echo(
        f"{name} is valid: {len(profile.images)} images, {len(profile.components)} components, {len(profile.requests)} requests."
    )
    if new := added(name, data.root() / "profiles"):
        click.echo(f"New names: {', '.join(new)}.")


@COMMAND.command("schema")
def schema() -> None:
    """Print the JSON Schema of profiles, for editors. It is docs/profile.schema.json in a checkout."""
    from devenv.profiles.load import schema_text  # noqa: PLC0415 - help must not wait for it

    click.echo(schema_text(), nl=False)


@COMMAND.command("init")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--extends", help="Extend this profile. [default: offline]")
@click.option(
    "--host-port",
    type=click.IntRange(1, 65535),
    help="Use this port for the gateway on this machine. [default: the first free one from 8888 on]",
)
@click.option(
    "--node-port",
    type=click.IntRange(30000, 32767),
    help="Use this port for the gateway in the node. [default: 30888]",
)
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
def init(
    file: Path, extends: str | None, host_port: int | None, node_port: int | None, *, force: bool
) -> None:
    """Create a profile that extends another.

    Writes it to FILE (-: standard output). On a terminal, asks for what the options leave open.
    """
    from devenv import data, targets, wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.errors import DevenvError, Exit  # noqa: PLC0415
    from devenv.profiles.load import begin, free_port  # noqa: PLC0415
    from devenv.ui import prompts  # noqa: PLC0415

    if targets.is_file(file) and not force:
        raise DevenvError(
            f"{file} already exists.",
            next_step="Choose another name, or pass --force.",
            exit_code=Exit.USAGE,
        )
    folder = data.root() / "profiles"
    base = extends or prompts.choice(
        "Which profile to start from?", sorted(p.stem for p in folder.glob("*.yaml")), "offline"
    )
    if host_port is None:
        with wiring.world() as world:
            free = free_port(world.host.port_owner)
        host_port = int(
            prompts.text("The gateway's port on this machine?", str(free), prompts.is_port)
        )
    begin(file, folder, base, host_port, node_port)
    if not targets.is_stdout(file):
        click.echo(f"Wrote {file}. Use it with: devenv up --name {file.stem} --profile {file}")
