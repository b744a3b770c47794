"""The engine ends beneath `up`: the next one heals, with no help. On an engine of the tests' own."""

import subprocess

from tests.cluster.lab import Lab


def test_the_engine_is_stopped_beneath_it(small_disk, tmp_path):
    lab = Lab(tmp_path, "devenv-test-engine", small_disk.docker_host)
    argv = lab.argv("up", "--profile", str(lab.profile))
    try:
        with subprocess.Popen(argv, env=lab.env, stderr=subprocess.PIPE, text=True) as run:
            lab.eventually(
                "the node",
                lambda: (
                    "" if lab.node in lab.docker("ps", "--format", "{{.Names}}") else "a container"
                ),
            )
            small_disk.kill()
            told = run.stderr.read()
        assert run.returncode in {1, 3}
        assert "Error: " in told
        assert "Traceback" not in told
        refused = lab.devenv("up", "--profile", str(lab.profile), check=False)
        assert refused.returncode == 3
        assert small_disk.docker_host in refused.stderr
        small_disk.launch()
        assert lab.proven()
    finally:
        lab.devenv("down")
