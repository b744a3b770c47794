"""Signs at the beginning of a line, in rich's markup, and words that several reports share."""

from rich.markup import escape

from devenv import name_flag

CHECK = "[green]✓[/green]"
CROSS = "[bold red]✗[/bold red]"
# A cross that is not the verdict on the whole.
PART_CROSS = "[red]✗[/red]"
NOTE = "[yellow]![/yellow]"
QUESTION = "[yellow]?[/yellow]"
UNDER_WAY = "[yellow]…[/yellow]"
FIX = "[green]→[/green]"


def bold(text: str) -> str:
    """Return text in bold; brackets in it stay what they are."""
    return f"[bold]{escape(text)}[/bold]"


def dim(text: str) -> str:
    """Return text that may be overlooked; brackets in it stay what they are."""
    return f"[dim]{escape(text)}[/dim]"


def up_command(cluster: str) -> str:
    """Return the command that creates, starts or repairs a cluster, to copy."""
    return f"devenv up{name_flag(cluster)}"
