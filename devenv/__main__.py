"""`devenv`, and `python -m devenv`."""

import sys


def main() -> None:
    """Run the command line."""
    from devenv.cli.app import run  # noqa: PLC0415 - so that an import error is reported like any other

    sys.exit(run())


if __name__ == "__main__":
    main()
