import re

from hypothesis import given
from hypothesis import strategies as st

from devenv.models.model import NewModel

NAMES = st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", fullmatch=True)


@given(NAMES)
def test_objects_of_any_model_have_names_that_kubernetes_takes(name):
    slug = NewModel(name).slug
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", slug)
    assert len(NewModel(name).route_name) <= 63
    assert NewModel(name).has_own_name == (slug == name)


@given(NAMES, NAMES)
def test_two_models_never_share_a_name(one, other):
    assert (NewModel(one).slug == NewModel(other).slug) == (one == other)
