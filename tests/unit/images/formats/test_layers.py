"""What is sent plus what is there always makes the image whole, and nothing that is there is sent."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from devenv.images.formats.layers import chain_ids, layers_to_send


def digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


LAYERS = st.lists(st.integers(0, 9).map(lambda n: digest(str(n))), min_size=1, max_size=8)


def test_the_chain_of_the_image_spec():
    one, two = digest("a"), digest("b")
    assert chain_ids([one, two]) == (one, digest(f"{one} {two}"))


@given(history=LAYERS, images=st.lists(LAYERS, max_size=4))
def test_what_is_sent_and_what_is_there_make_the_image_whole(history, images):
    """A node has whole images: with a chain it has all that is below."""
    there = {chain for image in images for chain in chain_ids(image)}
    sent = layers_to_send(history, there)
    chains = chain_ids(history)
    for diff, chain in zip(history, chains, strict=True):
        assert chain in there or diff in sent


@given(history=LAYERS, images=st.lists(LAYERS, max_size=4))
def test_no_more_is_sent_than_what_stands_above_the_highest_chain_that_is_there(history, images):
    there = {chain for image in images for chain in chain_ids(image)}
    above = [d for d, c in zip(history, chain_ids(history), strict=True) if c not in there]
    assert layers_to_send(history, there) == set(above)


@given(history=LAYERS)
def test_an_image_that_is_there_needs_nothing(history):
    assert layers_to_send(history, set(chain_ids(history))) == set()
    assert layers_to_send(history, set()) == set(history)
