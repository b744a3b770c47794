from devenv.profiles.merge import merge


def test_maps_are_merged_by_key_and_null_removes():
    assert merge({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": None, "e": 4}}) == {
        "a": 1,
        "b": {"d": 3, "e": 4},
    }


def test_lists_of_named_things_are_merged_by_name_and_keep_their_order():
    base = [{"name": "x", "v": 1}, {"name": "y", "v": 2}]
    assert merge(base, [{"name": "z"}, {"name": "x", "v": 9}]) == [
        {"name": "x", "v": 9},
        {"name": "y", "v": 2},
        {"name": "z"},
    ]


def test_other_lists_are_replaced():
    assert merge({"a": [1, 2]}, {"a": [3]}) == {"a": [3]}


def test_a_null_in_a_new_map_does_not_stay():
    assert merge({}, {"a": {"b": None, "c": 1}}) == {"a": {"c": 1}}


def test_nothing_is_modified():
    base = {"a": [{"name": "x", "v": 1}]}
    merge(base, {"a": [{"name": "x", "v": 2}]})
    assert base == {"a": [{"name": "x", "v": 1}]}
