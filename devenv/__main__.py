"""`devenv`, and `python -m devenv`."""

import sys


def main() -> None:
    """Run the command line."""
    from devenv import streams  # noqa: PLC0415 - so that an import error is reported like any other

    streams.guard()
    from devenv.cli.app import run  # noqa: PLC0415

    sys.exit(streams.finish(run()))


if __name__ == "__main__":
    main()
