import pytest

from devenv import data
from devenv.errors import DevenvError, Exit
from devenv.lifecycle.checkout import Kustomize, problems
from devenv.ports import Completed
from devenv.profiles.load import load
from devenv.profiles.variant import Variant


def profile_of(folder):
    return load("aibrix", data.root() / "profiles", Variant(checkout=str(folder)))


@pytest.fixture
def source(tmp_path):
    for package in ("plugins", "controllers"):
        (tmp_path / "source" / "cmd" / package).mkdir(parents=True)
    (tmp_path / "source" / "go.mod").write_text("module github.com/vllm-project/aibrix\n\ngo 1.22\n")
    return tmp_path / "source"


def test_a_checkout_is_taken(source):
    assert problems(str(source), profile_of(source)) == []


def test_what_is_no_checkout_says_why(source):
    profile = profile_of(source)
    (source / "cmd" / "plugins").rmdir()
    assert problems(str(source), profile) == [f"{source}/cmd/plugins is missing: the checkout is not whole"]
    (source / "go.mod").write_text("module example.com/x\n")
    assert "its go.mod says example.com/x" in problems(str(source), profile)[0]
    (source / "go.mod").unlink()
    assert "it has no go.mod" in problems(str(source), profile)[0]
    assert problems(str(source / "nowhere"), profile) == [f"{source}/nowhere is no folder"]


@pytest.fixture
def kustomize(fakes):
    return Kustomize(fakes.host, fakes.reporter)


def test_what_fails_keeps_what_was_rendered_before(kustomize, fakes, tmp_path):
    (tmp_path / "kustomization.yaml").write_text("resources: [x.yaml]\n")
    kept = kustomize.path(str(tmp_path))
    kept.parent.mkdir(parents=True)
    kept.write_text("before")
    fakes.host.programs = {"kubectl"}
    said = "Warning: old\nError: accumulating resources: x.yaml is not there\n"
    fakes.host.results["/usr/bin/kubectl kustomize"] = Completed(1, said)
    with pytest.raises(DevenvError, match="can't be rendered") as failed:
        kustomize.render(str(tmp_path))
    assert failed.value.exit_code is Exit.USAGE
    assert "x.yaml is not there" in failed.value.why
    assert kept.read_text() == "before"
    assert list(kept.parent.iterdir()) == [kept]


def test_a_folder_without_a_kustomization_is_refused(kustomize, tmp_path):
    with pytest.raises(DevenvError, match="is no kustomize folder"):
        kustomize.render(str(tmp_path))


def test_without_a_program_it_says_which_there_are(kustomize, fakes, tmp_path):
    (tmp_path / "kustomization.yaml").write_text("resources: []\n")
    fakes.host.programs = set()
    with pytest.raises(DevenvError, match="neither kustomize nor kubectl") as failed:
        kustomize.render(str(tmp_path))
    assert failed.value.exit_code is Exit.PREREQUISITE
