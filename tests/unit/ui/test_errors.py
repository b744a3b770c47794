"""The shape of `-o json` is a promise. A change here is a new version."""

from devenv.base.errors import DevenvError
from devenv.ui import errors


def test_shape_of_a_look_that_failed():
    assert errors.error_shape(DevenvError("a", "b", "c")) == {
        "error": "a",
        "why": "b",
        "next_step": "c",
    }
