"""kind's own lines, as the step `cluster` shows them."""

from types import SimpleNamespace

from devenv.cluster.making import Making
from tests.fakes.world import FakeReporter

# What kind writes to a pipe.
LINES = (
    'Creating cluster "c" ...\n',
    " • Ensuring node image (kindest/node:v1.34.0) 🖼  ...\n",
    " ✓ Ensuring node image (kindest/node:v1.34.0) 🖼\n",
    " • Preparing nodes 📦   ...\n",
)


def test_what_kind_does_next_is_a_stage_in_its_place():
    reporter = FakeReporter([])
    making = Making(SimpleNamespace(reporter=reporter))
    for line in LINES:
        making._show_line(line)
    assert reporter.log == [
        "cluster: Ensuring node image (kindest/node:v1.34.0) 🖼",
        "cluster: Preparing nodes 📦",
    ]
