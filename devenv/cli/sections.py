"""The commands as the top help groups them."""

from collections.abc import Mapping

import click

SECTIONS = {
    "Cluster": ("setup", "up", "list", "status", "stop", "down"),
    "Development": (
        "reload-image",
        "restart",
        "model",
        "request",
        "exec",
        "kubectl",
        "kubeconfig",
        "test-e2e",
        "images",
    ),
    "Diagnosis": ("doctor", "recover", "logs", "bugreport"),
    "Disk": ("disk", "prune", "schedule"),
    "Configuration": ("profile", "config", "completion", "version"),
}


def write_sections(formatter: click.HelpFormatter, commands: Mapping[str, str]) -> None:
    """Write the commands and their one line of help, section by section, in one column."""
    width = max(map(len, commands))
    for title, names in SECTIONS.items():
        rows = [(name.ljust(width), commands[name]) for name in names]
        with formatter.section(title):
            formatter.write_dl(rows)
