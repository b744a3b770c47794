"""A command that passes everything after its name on to another program, untouched."""

from typing import Any

import click


class PassingCommand(click.Command):
    """A command whose callback gets the `arguments` as they were typed.

    Only `--help` or `-h` as the first of them is devenv's own. Its other parameters come from the
    environment and the options before its name, and help does not list them.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse nothing but a request for help."""
        own_arguments = args[:1] if args[:1] in (["-h"], ["--help"]) else []
        super().parse_args(ctx, own_arguments)
        ctx.params["arguments"] = tuple(args)
        return []

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Return what follows the command's name in its usage."""
        return ["[ARGUMENT]..."]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the option for help alone."""
        help_option = self.get_help_option(ctx)
        record = help_option.get_help_record(ctx) if help_option else None
        if record:
            with formatter.section("Options"):
                formatter.write_dl([record])


def chosen_cluster(cluster: str) -> str:
    """Return the cluster that was named before the command, else the command's own `cluster`."""
    settings: Any = click.get_current_context().find_root().obj or {}
    return str(settings.get("cluster") or cluster)
