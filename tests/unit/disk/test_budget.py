"""Figures as df has them; budgets on what users can have."""

import pytest

from devenv.base.errors import DevenvError
from devenv.disk.budget import Marks, marks, taken, used
from devenv.disk.ledgers import Disk
from devenv.facts.df import parse
from devenv.ports.host import Space
from devenv.profiles.model import Budget

GIB = 1 << 30


def test_what_is_reserved_for_root_is_not_in_use_and_no_user_can_have_it():
    space = Space(free=20 * GIB, total=100 * GIB, free_inodes=1, total_inodes=0, reserved=50 * GIB)
    assert (used(space), taken(space)) == (30 * GIB, 80 * GIB)
    limits = marks(Budget(keep_free="25%"), space)
    assert limits.over(space)
    assert not marks(Budget(keep_free="15%"), space).over(space)


def test_of_a_node_df_tells_what_is_reserved():
    assert parse("n", "Avail 1B-blocks IFree Inodes Used\n20 100 5 9 30\n") == Space(
        20, 100, 5, 9, 50
    )
    with pytest.raises(DevenvError):
        parse("n", "20 100 5 9\n")


@pytest.mark.parametrize(("reserved", "goal"), [(0, 15), (5, 10), (20, 10)])
def test_on_a_full_disk_what_root_has_taken_of_its_part_must_be_freed_first(reserved, goal):
    """By default 5 % are root's: what of them is still reserved need not be freed."""
    disk = Disk("1", ("engine",), Space(0, 100, 0, 0, reserved), Marks(95, 90))
    assert disk.goal == goal
