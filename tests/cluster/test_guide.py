"""The commands that README and the guide print, typed on a real cluster."""

import subprocess

import pytest

from tests import guide

# Those that exit with 1 on a cluster whose pods are others than at the last healthy `up`.
MAY_DIFFER = {"devenv doctor --compare"}


@pytest.mark.parametrize("command", guide.run_on_a_cluster())
def test_a_command_that_is_printed_works(cluster, command, tmp_path):
    done = subprocess.run(
        cluster.argv(*guide.arguments(command)),
        env={**cluster.env, "API_KEY": "any"},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0 or (command in MAY_DIFFER and done.returncode == 1), (
        done.stdout + done.stderr
    )
