import pytest

from devenv.base.errors import DevenvError
from devenv.base.text_files import FIX


@pytest.mark.parametrize("next_step", [FIX, "Nothing was changed.", f"Set it. {FIX}"])
def test_an_error_in_a_list_does_not_say_that_nothing_was_changed(next_step):
    error = DevenvError("a", "b", next_step)
    assert "othing" in str(error)
    assert "othing" not in error.as_entry
    assert error.as_entry.startswith("a\nb")


def test_an_error_in_a_list_keeps_its_next_step():
    error = DevenvError("a", "b", f"c; {FIX}")
    assert error.as_entry.splitlines()[2].startswith("c; Correct")
