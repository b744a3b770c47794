import pytest

from devenv.base.errors import Exit
from devenv.base.network import Trouble
from devenv.images.recipes.build_plan import BuildPlan
from devenv.images.recipes.recipe import Book, ImageStep, Recipe, RecipeFile
from devenv.images.sources.errors import ImageNotAvailableError
from devenv.images.sources.provider import Provider
from devenv.images.sources.registry import Failure, registry_of
from devenv.profiles.model import ProfileImage


class Builder:
    """Knows a recipe for everything, and builds nothing."""

    def __init__(self, host, folder) -> None:
        spec = RecipeFile(
            description="", version="1", image=ImageStep(rootfs="", seconds=500, disk=1)
        )
        (folder / "Dockerfile").write_text("FROM scratch")
        self.host = host
        self.book = Book({"r": Recipe("r", folder, spec)}, "amd64", "")
        self.asked = []

    def plan(self, images, files=()):
        self.asked += images
        return BuildPlan(())

    def build(self, plan):
        assert not plan.pieces


@pytest.fixture
def provider(fakes, tmp_path):
    return Provider(fakes.engine, Builder(fakes.host, tmp_path), fakes.reporter)


def image(ref, recipe="r"):
    return ProfileImage(name=ref.replace("/", "-").replace(":", "-"), ref=ref, recipe=recipe)


def pulls(fakes):
    return [line.removeprefix("pull ") for line in fakes.log if line.startswith("pull ")]


@pytest.mark.parametrize(("words", "again"), [
    ("unauthorized: authentication required", True),
    ("error parsing HTTP 403 response body", True),
    ("manifest unknown", True),
    ("toomanyrequests: pull rate limit", False),
    ("received unexpected HTTP status: 503 Service Unavailable", False),
    ("x509: certificate signed by unknown authority", False),
    ("dial tcp: lookup a.invalid: no such host", False),
])  # fmt: skip
def test_one_registrys_failure_says_nothing_about_another(fakes, provider, words, again):
    fakes.engine.refusals["a.invalid"] = words
    fakes.engine.registry = {"b.invalid/x:1"}
    sources = provider.provide(
        [image("a.invalid/x:1"), image("a.invalid/y:1"), image("b.invalid/x:1")]
    )
    assert [source.how for source in sources.values()] == ["build", "build", "pull"]
    assert pulls(fakes) == ["a.invalid/x:1", *(["a.invalid/y:1"] if again else []), "b.invalid/x:1"]


def test_what_is_built_for_want_of_a_registry_is_said_once_a_registry_and_before(fakes, provider):
    fakes.engine.refusals = {
        "a.invalid": "toomanyrequests: limit",
        "b.invalid": "x509: unknown authority",
    }
    provider.provide([image("a.invalid/x:1"), image("a.invalid/y:1"), image("b.invalid/x:1")])
    assert len(fakes.reporter.said) == 2
    first, second = fakes.reporter.said
    assert Trouble.LIMITED.value in first
    assert "a.invalid-x-1, a.invalid-y-1" in first
    assert "docker login a.invalid" in first
    assert Trouble.UNTRUSTED.value in second
    assert "/etc/docker/certs.d/b.invalid" in second


def test_two_troubles_of_one_registry_are_told_apart(fakes, provider):
    fakes.engine.refusals = {"a.invalid/x:1": "manifest unknown", "a.invalid/y:1": "unauthorized"}
    provider.provide([image("a.invalid/x:1"), image("a.invalid/y:1")])
    assert ["a.invalid-x-1" in said for said in fakes.reporter.said] == [True, False]
    assert ["a.invalid-y-1" in said for said in fakes.reporter.said] == [False, True]


def test_nothing_is_said_where_everything_is_pulled(fakes, provider):
    fakes.engine.registry = {"a.invalid/x:1"}
    provider.provide([image("a.invalid/x:1")])
    assert fakes.reporter.said == []


def test_images_without_a_way_are_told_with_what_each_registry_said(fakes, provider):
    fakes.engine.refusals = {
        "a.invalid": "error parsing HTTP 403 response body",
        "b.invalid": "no such host",
    }
    with pytest.raises(ImageNotAvailableError) as caught:
        provider.provide([image("a.invalid/x:1", ""), image("b.invalid/x:1", "")])
    assert caught.value.refs == ("a.invalid/x:1", "b.invalid/x:1")
    assert caught.value.exit_code is Exit.PREREQUISITE
    assert Trouble.FORBIDDEN.value in caught.value.why
    assert Trouble.SILENT.value in caught.value.why
    assert "docker login a.invalid" in caught.value.next_step
    assert provider.builder.asked == []


def test_every_trouble_has_a_way_out():
    words = [
        "unauthorized",
        "HTTP 403",
        "proxyconnect tcp",
        "toomanyrequests",
        "HTTP 500",
        "x509",
        "manifest unknown",
        "",
    ]
    failures = [Failure("a.invalid/x:1", text) for text in words]
    assert {failure.trouble for failure in failures} == set(Trouble)
    assert all(
        failure.way_out and failure.sentence.startswith("a.invalid ") for failure in failures
    )


@pytest.mark.parametrize(("ref", "registry"), [
    ("redis", "docker.io"), ("aibrix/x:1", "docker.io"), ("r.invalid:5000/x", "r.invalid:5000"), ("localhost/x", "localhost"),
])  # fmt: skip
def test_the_registry_of_a_name(ref, registry):
    assert registry_of(ref) == registry


@pytest.mark.parametrize(("words", "absent"), [
    ('Get "https://a.invalid/v2/": dial tcp: lookup a.invalid on 10.0.0.1:53: no such host', ["https://", "10.0.0.1"]),
    ('Get "https://a.invalid/v2/": dial tcp 10.0.0.2:443: i/o timeout', ["https://"]),
])  # fmt: skip
def test_what_the_engine_says_is_told_without_its_request(words, absent):
    told = Failure("a.invalid/x:1", words).sentence
    assert "a.invalid" in told
    assert not [word for word in absent if word in told]
