"""`devenv`, and `python -m devenv`."""

import sys

# Exit.INTERRUPTED, without an import that can be interrupted.
_INTERRUPTED = 130


def main() -> None:
    """Run the command line."""
    try:
        from devenv import streams  # noqa: PLC0415 - so that an import error is reported like any other

        streams.guard()
        from devenv.cli.app import run  # noqa: PLC0415
    except KeyboardInterrupt:
        # What comes later is told by `run`.
        sys.exit(_INTERRUPTED)
    sys.exit(streams.finish(run()))


if __name__ == "__main__":
    main()
