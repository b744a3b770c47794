import subprocess
import sys

# Stands in for a Ctrl-C that comes while Python still reads devenv's own files.
INTERRUPTED_AT_IMPORT = """
import builtins, sys
usual = builtins.__import__
def interrupted(name, *args):
    if name == sys.argv[1]:
        raise KeyboardInterrupt
    return usual(name, *args)
from devenv.__main__ import main
builtins.__import__ = interrupted
main()
"""


def test_an_interrupt_while_devenv_starts_is_silent():
    argv = [sys.executable, "-c", INTERRUPTED_AT_IMPORT, "devenv.cli.app"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
