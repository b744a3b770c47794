from pathlib import Path

import pytest
import yaml

from devenv import data
from devenv.base.errors import DevenvError, Exit
from devenv.install.checkout import Kustomize, problems
from devenv.ports.processes import Completed
from devenv.profiles.load import load
from devenv.profiles.variant import Variant


def profile_of(folder):
    return load("aibrix", data.root() / "profiles", Variant(checkout=str(folder)))


@pytest.fixture
def source(tmp_path):
    for package in ("plugins", "controllers"):
        (tmp_path / "source" / "cmd" / package).mkdir(parents=True)
    (tmp_path / "source" / "go.mod").write_text(
        "module github.com/vllm-project/aibrix\n\ngo 1.22\n"
    )
    return tmp_path / "source"


def test_a_checkout_is_taken(source):
    assert problems(str(source), profile_of(source)) == []


def test_what_is_no_checkout_says_why(source, check_message):
    profile = profile_of(source)
    (source / "cmd" / "plugins").rmdir()
    (problem,) = problems(str(source), profile)
    check_message(problem)
    (source / "go.mod").write_text("module example.com/x\n")
    check_message(problems(str(source), profile)[0])
    (source / "go.mod").unlink()
    check_message(problems(str(source), profile)[0])
    (problem,) = problems(str(source / "nowhere"), profile)
    check_message(problem)


@pytest.fixture
def kustomize(fakes):
    return Kustomize(fakes.host, fakes.reporter)


def test_what_fails_keeps_what_was_rendered_before(kustomize, fakes, tmp_path, expect_error):
    (tmp_path / "kustomization.yaml").write_text("resources: [x.yaml]\n")
    kept = kustomize.path(str(tmp_path))
    kept.parent.mkdir(parents=True)
    kept.write_text("before")
    fakes.host.programs = {"kubectl"}
    said = "Warning: old\nError: accumulating resources: x.yaml is not there\n"
    fakes.host.results["/usr/bin/kubectl kustomize"] = Completed(1, said)
    with expect_error(Exit.USAGE):
        kustomize.render(str(tmp_path))
    assert kept.read_text() == "before"
    assert list(kept.parent.iterdir()) == [kept]


def test_a_folder_without_a_kustomization_is_refused(kustomize, tmp_path):
    with pytest.raises(DevenvError, match=r"kustomization\.yaml") as failed:
        kustomize.render(str(tmp_path))
    assert failed.value.exit_code is Exit.USAGE


def test_without_a_program_it_says_which_there_are(kustomize, fakes, tmp_path, expect_error):
    (tmp_path / "kustomization.yaml").write_text("resources: []\n")
    fakes.host.programs = set()
    with expect_error(Exit.PREREQUISITE):
        kustomize.render(str(tmp_path))


EG = "https://github.com/envoyproxy/gateway/releases/download/v1.2.8/install.yaml"
OTHER = "https://github.com/ray/crds.yaml"
SILENT = (
    "Error: accumulating resources: accumulation err='accumulating resources from '{0}': Get \"{0}\":"
    " dial tcp: lookup github.com: no such host': failed to run '/usr/bin/git fetch': exit status 128\n"
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "dependency").mkdir()
    (tmp_path / "dependency" / "kustomization.yaml").write_text(f"resources: [{EG}, {OTHER}]\n")
    return tmp_path / "dependency"


def test_an_address_that_devenv_has_a_file_for_is_not_fetched(kustomize, fakes, folder, tmp_path):
    (tmp_path / "eg.yaml").write_text("kind: EnvoyGateway\n")
    fakes.host.programs = {"kustomize"}
    rendered = []

    def build(argv):
        rendered.append(argv[2])
        names = yaml.safe_load((Path(argv[2]) / "kustomization.yaml").read_text())["resources"]
        Path(argv[4]).write_text((Path(argv[2]) / names[0]).read_text() + names[1])

    fakes.host.on_run = build
    replacements = {
        EG: lambda: tmp_path / "eg.yaml",
        "https://example.com": lambda: pytest.fail("the folder does not name it"),
    }
    file = kustomize.render(str(folder), replacements)
    assert file.read_text() == f"kind: EnvoyGateway\n{OTHER}"
    assert rendered[0] != str(folder), "a copy is changed, not the checkout"
    assert not Path(rendered[0]).exists()
    assert file != kustomize.path(str(folder)), "without the file it is another"


@pytest.mark.parametrize("said", [
    SILENT, SILENT.replace('"', '\\"'), "Error: accumulating resources from '{0}': URL is a git repository: status code 404 (Not Found)\n",
    "Error: fatal: unable to access '{0}': Could not resolve host\n",
])  # fmt: skip
def test_an_address_out_of_reach_is_a_missing_prerequisite(kustomize, fakes, folder, said):
    fakes.host.programs = {"kubectl"}
    fakes.host.results["/usr/bin/kubectl kustomize"] = Completed(1, said.format(OTHER))
    with pytest.raises(DevenvError) as failed:
        kustomize.render(str(folder))
    assert failed.value.exit_code is Exit.PREREQUISITE
    assert OTHER in failed.value.what
    assert EG in failed.value.why, "the next one is told, too"
    assert "accumulating" not in str(failed.value)


@pytest.mark.parametrize(
    "said",
    ["may not add resource with an already registered id: {0}", 'Get "https://elsewhere": no'],
)
def test_what_else_is_wrong_keeps_kustomizes_own_words(kustomize, fakes, folder, said):
    fakes.host.programs = {"kubectl"}
    fakes.host.results["/usr/bin/kubectl kustomize"] = Completed(1, said.format(OTHER))
    with pytest.raises(DevenvError) as failed:
        kustomize.render(str(folder))
    assert failed.value.exit_code is Exit.USAGE
    assert said.format(OTHER) in failed.value.why


@pytest.mark.parametrize(
    ("text", "code"), [(f"resources: [{OTHER}]", Exit.PREREQUISITE), ("resources: []", Exit.FAILED)]
)
def test_a_folder_that_takes_too_long_waits_for_its_addresses(kustomize, fakes, folder, text, code):
    (folder / "kustomization.yaml").write_text(text)
    fakes.host.programs = {"kubectl"}

    def late(_):
        raise DevenvError("kubectl did not end within 300 s.")

    fakes.host.on_run = late
    with pytest.raises(DevenvError) as failed:
        kustomize.render(str(folder))
    assert failed.value.exit_code is code
