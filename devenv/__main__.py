"""`devenv`, and `python -m devenv`."""

import sys

# Exit.INTERRUPTED, without an import that could be interrupted itself.
_INTERRUPTED = 130


def main() -> None:
    """Run the command line."""
    try:
        # Imported here so that an import error is reported like any other.
        from devenv import streams  # noqa: PLC0415

        streams.guard()
        from devenv.cli.app import run  # noqa: PLC0415
    except KeyboardInterrupt:
        # `run` reports one that comes later.
        sys.exit(_INTERRUPTED)
    sys.exit(streams.finish(run()))


if __name__ == "__main__":
    main()
