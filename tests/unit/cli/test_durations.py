import click
import pytest

from devenv.cli.durations import seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"), [(None, 0), ("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86400)]
)
def test_a_duration_has_a_unit(text, seconds):
    assert seconds_of(None, None, text) == seconds


@pytest.mark.parametrize("text", ["", "30", "s", "0s", "-1s", "1.5h", "1w", "9999999s"])
def test_anything_else_is_wrong_usage(text):
    with pytest.raises(click.UsageError):
        seconds_of(None, None, text)
