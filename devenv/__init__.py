"""A local AIBrix cluster that works, and goes on working after lunch."""

__version__ = "0.1.0"

# The one that needs no --name.
DEFAULT_CLUSTER = "devenv"
