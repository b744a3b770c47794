from devenv.base.partition import partition


def test_each_item_is_in_one_part_and_keeps_its_order():
    assert partition([3, 1, 4, 2], lambda number: number > 2) == ([3, 4], [1, 2])
