"""Reading a node's disk, also where the engine loses what `df` has said."""

import pytest

from devenv.base.errors import DevenvError
from devenv.facts.df import node_space
from devenv.ports.processes import Completed

GOOD = Completed(0, "Avail 1B-blocks IFree Inodes Used\n 70 100 5 10 20\n")


class Node:
    """Gives these answers, one after the other."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def exec(self, _node, _argv):
        return self.answers.pop(0)


def test_what_is_neither_used_nor_free_is_reserved():
    space = node_space(Node(GOOD), "n")
    assert (space.free, space.total, space.free_inodes, space.reserved) == (70, 100, 5, 10)


@pytest.mark.parametrize("lost", [Completed(-1, GOOD.output), Completed(0, ""), Completed(0, "70")])
def test_an_answer_that_the_engine_loses_is_asked_for_again(lost):
    assert node_space(Node(lost, GOOD), "n").free == 70


@pytest.mark.parametrize("answer", [Completed(1, "df: /var: gone"), Completed(0, "")])
def test_a_node_that_never_says_is_an_error_with_its_words(answer):
    node = Node(answer, answer)
    with pytest.raises(DevenvError) as caught:
        node_space(node, "n")
    assert caught.value.why == answer.output
    assert node.answers == []
