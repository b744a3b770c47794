"""A local AIBrix cluster that works, and goes on working after lunch."""

__version__ = "0.1.0"

DEFAULT_CLUSTER = "devenv"  # the one that needs no --name
