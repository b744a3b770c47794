import pytest

from devenv.base.errors import DevenvError, Exit
from devenv.base.image_names import normalise
from devenv.images.sources.provider import Provider, choose
from devenv.images.sources.stamp import Stamp, own_ref
from devenv.ports.engine import Image
from devenv.profiles.model import GoProgram, ProfileImage

ENVOY = ProfileImage(name="envoy", ref="docker.io/envoyproxy/envoy:v1", recipe="envoy")
BUILT = "devenv.local/envoy:key"


@pytest.mark.parametrize(("there", "registry", "how", "ref"), [
    ({BUILT, ENVOY.ref}, True, "engine", BUILT),
    ({ENVOY.ref}, False, "engine", ENVOY.ref),
    (set(), True, "pull", ENVOY.ref),
    (set(), False, "build", BUILT),
])  # fmt: skip
def test_what_is_there_comes_before_what_must_be_fetched(there, registry, how, ref):
    source = choose(ENVOY, BUILT, there.__contains__, registry=registry)
    assert (source.how, source.ref) == (how, ref)


def test_devenvs_own_images_are_never_pulled():
    own = ProfileImage(name="x", ref="devenv.local/x:reference", recipe="x", pull=False)
    assert choose(own, BUILT, lambda _: False, registry=True).how == "build"


def test_an_image_without_a_way_is_refused_with_how_to_bring_it():
    lost = ProfileImage(name="x", ref="example.com/x:1")
    with pytest.raises(DevenvError) as caught:
        choose(lost, "", lambda _: False, registry=False)
    assert caught.value.exit_code == Exit.PREREQUISITE
    assert "docker load" in caught.value.next_step


@pytest.mark.parametrize(("ref", "name"), [
    ("redis", "docker.io/library/redis:latest"),
    ("envoyproxy/envoy:v1", "docker.io/envoyproxy/envoy:v1"),
    ("localhost/x", "localhost/x:latest"),
    ("localhost:5000/x:1", "localhost:5000/x:1"),
    ("devenv.local/x:1", "devenv.local/x:1"),
    ("kindest/node:v1@sha256:abc", "docker.io/kindest/node:v1@sha256:abc"),
    ("redis@sha256:abc", "docker.io/library/redis@sha256:abc"),
])  # fmt: skip
def test_names_are_spelt_as_containerd_has_them(ref, name):
    assert normalise(ref) == name


PROGRAM = GoProgram(package="./cmd/p", entrypoint="/p")
CHECKOUT = ProfileImage(
    name="p", ref="a/p:nightly", build_in="/src", go=PROGRAM, from_checkout=True
)
BY_COMMAND = ProfileImage(
    name="p", ref="a/p:nightly", build_in="/src", build=("make",), from_checkout=True
)
NOW = Stamp("/src", "commit", "changes")


@pytest.fixture
def provider(fakes):
    return Provider(fakes.engine, None, fakes.reporter, states={"/src": NOW})


def held(fakes, ref, state=None):
    labels = state.labels if state else {}
    fakes.engine.there[ref] = Image("sha256:1", "amd64", 1, labels, (ref,))


@pytest.mark.parametrize(("state", "how"), [
    (NOW, "engine"),
    (Stamp("/src", "commit", ""), "source"),
    (Stamp("/src", "another", "changes"), "source"),
    (None, "source"),
])  # fmt: skip
def test_a_checkouts_image_is_chosen_by_its_sources_and_not_by_its_name(
    provider, fakes, state, how
):
    held(fakes, own_ref(CHECKOUT), state)
    held(fakes, CHECKOUT.ref, Stamp("/other", "commit", "changes"))
    source = provider._choose(CHECKOUT, registry=False)
    assert (source.how, source.ref) == (how, own_ref(CHECKOUT))


@pytest.mark.parametrize(("state", "how"), [(None, "engine"), (Stamp("/other"), "source")])
def test_what_a_user_built_by_the_checkouts_command_is_taken_unless_it_is_anothers(
    provider, fakes, state, how
):
    held(fakes, BY_COMMAND.ref, state)
    assert provider._choose(BY_COMMAND, registry=False).how == how
