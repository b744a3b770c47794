import pytest

from devenv.base.errors import DevenvError, Exit
from tests.unit.test_up import up  # noqa: F401 - a fixture


@pytest.mark.parametrize("later", [1, -1])
def test_a_node_that_ends_meanwhile_is_named(up, fakes, monkeypatch, expect_error, later):
    """One that had ended before, and can't be started, has not: then the engine's words count."""

    began = fakes.clock.now()

    def dies(*_):
        fakes.engine.stop("c-control-plane")
        fakes.engine.ended["c-control-plane"] = began + later
        raise DevenvError("The import broke.")

    monkeypatch.setattr(fakes.engine, "save", dies)
    with expect_error(Exit.FAILED):
        up().run(0)
