import pytest

from devenv.base.errors import DevenvError, Exit
from devenv.diagnosis.ignoring import tag_of


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("DE401", "DE401"),
        ("de401", "DE401"),
        ("de313:failedmount", "DE313:FailedMount"),
        ("DE313:SomethingOfAControllers", "DE313:SomethingOfAControllers"),
    ],
)
def test_a_code_or_one_of_its_reasons_is_left_out(text, tag):
    assert tag_of(text) == tag


@pytest.mark.parametrize("text", ["DE999", "DE313:", "DE313:two words", "DE313:FailedMounts"])
def test_what_does_not_exist_or_is_misspelt_is_a_wrong_call(text):
    with pytest.raises(DevenvError) as error:
        tag_of(text)
    assert error.value.exit_code == Exit.USAGE
