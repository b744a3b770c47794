"""The shape of `-o json` is a promise. A change here is a new version."""

from devenv.ui.setup import actions


def test_shape_of_setup():
    assert actions(["installed-gcc"]).content() == {"actions": ["installed-gcc"]}
    assert actions([]).content() == {"actions": []}
