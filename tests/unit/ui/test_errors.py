"""The shape of `-o json` is a promise. A change here is a new version."""

from devenv.base.errors import DeclinedError, DevenvError
from devenv.ui import errors


def test_shape_of_a_look_that_failed():
    assert errors.error_shape(DevenvError("a", "b", "c")) == {
        "error": "a",
        "why": "b",
        "next_step": "c",
    }


def test_a_question_that_was_answered_with_no_is_no_error(capsys):
    declined = DeclinedError("Nothing was removed.")
    errors.error(declined)
    assert capsys.readouterr().err == f"{declined.what}\n"
