import pytest

from devenv import data
from devenv.base.errors import Exit
from devenv.images.sources.inplace import InPlace
from devenv.ports.processes import Completed
from devenv.profiles.load import load
from devenv.reload.build import Build


@pytest.fixture
def build(fakes, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(
        "extends: offline\nname: own\nimages: [{name: vllm-mock, build: [make, image], build_in: src}]\n"
    )
    profile = load(str(own), data.root() / "profiles")
    in_place = InPlace(
        fakes.host,
        fakes.engine,
        fakes.reporter,
        lambda _: pytest.fail("no compiler is needed"),
        lambda _: pytest.fail("no base is needed"),
    )
    return Build(profile, in_place)


@pytest.mark.parametrize("ref", ["vllm-mock", "devenv.local/vllm-mock:reference"])
def test_the_profiles_command_is_run(build, fakes, ref):
    build.run([ref])
    assert "run make image" in fakes.log


def test_the_folder_is_seen_from_the_profiles(build, tmp_path):
    (image,) = [i for i in build.profile.images if i.name == "vllm-mock"]
    assert image.build_in == str(tmp_path / "src")


def test_nothing_is_built_where_one_has_no_command(build, fakes, expect_error):
    with expect_error(Exit.USAGE):
        build.run(["vllm-mock", "redis", "other:1"])
    assert "run make image" not in fakes.log


def test_without_a_checkout_the_command_that_takes_one_is_named(build, expect_error):
    aibrix = load("aibrix", data.root() / "profiles")
    (image,) = [image for image in aibrix.images if image.name == "gateway-plugins"]
    assert image.from_checkout
    with expect_error(Exit.USAGE) as caught:
        Build(aibrix, build.in_place).run(["gateway-plugins"])
    assert "`devenv up --checkout PATH`" in caught.value.next_step
    with expect_error(Exit.USAGE) as caught:
        build.run(["gateway-plugins"])
    assert "`devenv up --checkout PATH`" in caught.value.next_step


def test_what_failed_is_told_with_its_last_lines(build, fakes, expect_error):
    fakes.host.results["make image"] = Completed(2, "\n".join(map(str, range(40))))
    with expect_error(Exit.FAILED):
        build.run(["vllm-mock"])
