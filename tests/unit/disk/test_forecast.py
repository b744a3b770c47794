"""When a disk will be full: said only on enough, steady evidence."""

import pytest

from devenv.disk.forecast import full_in

HOUR = 3600.0
NOW = 100 * 24 * HOUR
TOTAL = 1000


def grown(count, hours=1.0, step=10, start=500):
    return [(NOW - (count - 1 - n) * hours * HOUR, start + n * step) for n in range(count)]


def test_steady_growth_is_carried_on():
    assert full_in(grown(10), TOTAL, NOW) == pytest.approx((TOTAL - 590) / 10 * HOUR)


@pytest.mark.parametrize(
    ("why", "samples"),
    [
        ("none", []),
        ("too few", grown(7)),
        ("too short a time", grown(20, hours=0.1)),
        ("no growth", grown(20, step=0)),
        ("it shrinks", grown(20, step=-5, start=900)),
        (
            "it jumps",
            [(at, used + (50 if n % 2 else -50)) for n, (at, used) in enumerate(grown(20, step=1))],
        ),
        ("very far", grown(20, step=1, start=10, hours=24 / 2)[:8]),
        ("long ago", [(at - 30 * 24 * HOUR, used) for at, used in grown(20)]),
    ],
)
def test_nothing_is_said_where_there_is_little_to_say(why, samples):
    assert full_in(samples, TOTAL, NOW) is None, why


def test_room_that_was_made_begins_a_new_count():
    before = [(at - 12 * HOUR, used) for at, used in grown(10, start=700)]
    assert full_in([*before, *grown(5, start=300)], TOTAL, NOW) is None, "five samples since"
    assert full_in([*before, *grown(10, start=300)], TOTAL, NOW) == pytest.approx(
        (TOTAL - 390) / 10 * HOUR
    )
