"""A command that a warm server starts is what it is in a process of its own."""

import os
import subprocess
import sys

import pytest

from tests.cluster import warm
from tests.totals import without_total


@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("profile", "show", "nobody-made-it"),
        ("nobody-made-it",),
        ("profile", "list"),
    ],
)
def test_it_ends_as_in_a_process_of_its_own(tmp_path, arguments):
    env = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    argv = [sys.executable, "-m", "devenv", *arguments]
    own = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    done = warm.run(arguments, env)
    assert (done.returncode, done.stdout) == (own.returncode, own.stdout)
    assert without_total(done.stderr) == without_total(own.stderr)


def test_its_environment_is_the_calls_alone():
    for name in ("Bad1", "Bad2"):
        refused = warm.run(("status",), {**os.environ, "DEVENV_CLUSTER": name})
        assert refused.returncode == 2
        assert name in refused.stderr
