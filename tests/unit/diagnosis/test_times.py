"""Spans of time, as doctor spells them."""

import pytest

from devenv.diagnosis.times import spell_span


@pytest.mark.parametrize(("span", "text"), [
    (-3, "0 s"), (20, "20 s"), (40, "1 min"), (300, "5 min"), (5000, "83 min"), (7300, "2 h"),
])  # fmt: skip
def test_a_time_is_said_as_a_person_says_it(span, text):
    assert spell_span(span) == text
