from pathlib import Path

import pytest
import yaml

from devenv.install import kustomization

EG = "https://example.com/eg/v1.2.8/install.yaml"
DEPENDENCY = "resources:\n- envoy-gateway\n- ray.yaml\n"
GATEWAY = f"""kind: Kustomization
resources:  # where it comes from
- {EG} # kept
patches:
- path: patch.yaml
images: [{{name: eg, newTag: v1.2.8}}]"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A checkout with a folder that leads to an address, by another folder."""
    config = tmp_path / "source" / "config"
    for folder in ("dependency/envoy-gateway", "shared", ".git"):
        (config / folder).mkdir(parents=True)
    (config / "dependency" / "kustomization.yaml").write_text(DEPENDENCY)
    (config / "dependency" / "ray.yaml").write_text("kind: Ray\n")
    (config / "dependency" / "envoy-gateway" / "kustomization.yml").write_text(GATEWAY)
    (config / "dependency" / "envoy-gateway" / "patch.yaml").write_text("kind: ConfigMap\n")
    (config / "shared" / "Kustomization").write_text(
        "components: [../shared]\nresources: [../dependency]\n"
    )
    return config


def content(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_a_tree_is_all_that_a_folder_leads_to_even_in_a_circle(source: Path):
    tree = kustomization.tree(source / "shared")
    assert [k.folder.name for k in tree] == ["shared", "dependency", "envoy-gateway"]
    assert kustomization.addresses(tree) == [EG]
    assert kustomization.top(tree) == source


@pytest.mark.parametrize("entry", [
    "https://example.com/a.yaml", "http://example.com/a.yaml", "ssh://git@example.com/a", "git@example.com:a/b",
    "github.com/a/b//c?ref=v1", "git::https://example.com/a",
])  # fmt: skip
@pytest.mark.parametrize(
    "place",
    ["resources: ['{}']", "components: ['{}']", "crds: ['{}']", "patches: [{{path: '{}'}}]"],
)
def test_what_is_not_on_this_disk_is_an_address(tmp_path: Path, place: str, entry: str):
    (tmp_path / "kustomization.yaml").write_text(place.format(entry))
    assert kustomization.addresses(kustomization.tree(tmp_path)) == [entry]


@pytest.mark.parametrize("text", [
    "resources: [../other, a.yaml, github.com.yaml, 'file:///a']", "resources: 5", "- a", "a: [", "resources: [{a: b}, 3]",
    "patches: [{patch: 'see https://example.com'}, 7]", "commonAnnotations: {a: 'https://example.com'}",
])  # fmt: skip
def test_what_is_no_address_and_what_is_no_kustomization_name_none(tmp_path: Path, text: str):
    (tmp_path / "kustomization.yaml").write_text(text)
    assert kustomization.addresses(kustomization.tree(tmp_path)) == []


@pytest.mark.parametrize("mode", [0o755, 0o555])
def test_a_copy_has_the_file_in_the_addresss_place_and_all_else_as_it_was(
    source: Path, tmp_path: Path, mode: int
):
    file = tmp_path / "eg.yaml"
    file.write_text("kind: EnvoyGateway\n")
    (source / "dependency" / "envoy-gateway").chmod(mode)
    before = content(source)
    copied = kustomization.copy(
        kustomization.tree(source / "dependency"), {EG: file}, tmp_path / "copy"
    )
    gateway = copied / "envoy-gateway"
    text = (gateway / "kustomization.yml").read_text()
    (name,) = yaml.safe_load(text)["resources"]
    assert text == GATEWAY.replace(EG, name)
    assert (gateway / name).read_text() == "kind: EnvoyGateway\n"
    assert (gateway / "patch.yaml").is_file()
    assert (copied / "ray.yaml").is_file()
    assert content(source) == before


def test_a_copy_keeps_the_ways_between_its_folders(source: Path, tmp_path: Path):
    file = tmp_path / "eg.yaml"
    file.write_text("kind: EnvoyGateway\n")
    (source / "shared" / "loop").symlink_to(source / "shared")
    (source / "shared" / ".git").mkdir()
    tree = kustomization.tree(source / "shared")
    copied = kustomization.copy(tree, {EG: file}, tmp_path / "copy")
    again = kustomization.tree(copied)
    assert [k.folder.name for k in again] == [k.folder.name for k in tree]
    assert kustomization.addresses(again) == []
    assert not (copied / ".git").exists()
