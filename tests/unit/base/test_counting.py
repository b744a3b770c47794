import pytest

from devenv.base.counting import counted, ports_in_words


@pytest.mark.parametrize(("count", "text"), [(0, "0 CPUs"), (1, "1 CPU"), (2, "2 CPUs")])
def test_one_thing_is_not_several(count, text):
    assert counted(count, "CPU") == text


@pytest.mark.parametrize(("ports", "text"), [([], "none"), ([40001], "40001"), ({2, 1}, "1, 2")])
def test_ports_are_no_list_of_pythons(ports, text):
    assert ports_in_words(ports) == text
