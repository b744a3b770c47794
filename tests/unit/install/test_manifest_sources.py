import hashlib
from pathlib import Path

import pytest
import yaml

from devenv import data
from devenv.base.errors import DevenvError, Exit
from devenv.ports.processes import Completed
from devenv.profiles.load import load
from devenv.profiles.variant import Variant
from tests.unit.test_up import checkout_profile, index, own_profile, up  # noqa: F401 - a fixture


def test_a_folder_whose_address_is_out_of_reach_says_the_ways_round(
    up, fakes, tmp_path: Path, expect_error
):
    fakes.host.programs |= {"kubectl"}
    fakes.host.results["/usr/bin/kubectl kustomize"] = Completed(
        1, "from 'https://github.com/x.yaml': Get \"\": no such host"
    )
    profile = checkout_profile(tmp_path)
    with expect_error(Exit.PREREQUISITE):
        up(profile).run(0)
    source = tmp_path / "source"
    for path in ("cmd/plugins", "cmd/controllers", "config/dependency", "config/default"):
        (source / path).mkdir(parents=True)
    (source / "go.mod").write_text("module github.com/vllm-project/aibrix\n")
    for name in ("dependency", "default"):
        (source / "config" / name / "kustomization.yaml").write_text(
            "resources: [https://github.com/x.yaml]\n"
        )
    variant = Variant(version="v0.4.1", checkout=str(source))
    with expect_error(Exit.PREREQUISITE):
        up(load("aibrix", data.root() / "profiles", variant), variant=variant).run(0)


def test_a_folder_is_rendered_with_the_profiles_own_envoy_gateway(up, fakes, tmp_path: Path):
    address = "https://github.com/envoyproxy/gateway/releases/download/v1.2.8/install.yaml"
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(f"resources: [{address}]\n")
    fakes.host.programs |= {"kustomize"}

    def build(argv):
        if argv[0].endswith("kustomize"):
            (name,) = yaml.safe_load((Path(argv[2]) / "kustomization.yaml").read_text())[
                "resources"
            ]
            Path(argv[4]).write_text(
                (Path(argv[2]) / name)
                .read_text()
                .replace("name: envoy-gateway-config", "name: patched")
            )

    fakes.host.on_run = build
    profile = own_profile(tmp_path, "manifests: [{name: own, kustomize: folder}]\n")
    assert up(profile).run(0).changed
    assert fakes.log.count("apply Deployment/envoy-gateway") == 1, "the folder's counts, not both"
    assert not up(profile).run(0).changed
    assert (folder / "kustomization.yaml").read_text() == f"resources: [{address}]\n"


def test_manifests_come_from_a_file_a_folder_and_an_address(up, fakes, tmp_path: Path):
    def page(name: str) -> str:
        return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: default}}\n"

    (tmp_path / "file.yaml").write_text(page("from-file"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "one.yaml").write_text(page("from-folder"))
    fakes.web.pages["https://example.com/m.yaml"] = page("from-web").encode()
    sha256 = hashlib.sha256(page("from-web").encode()).hexdigest()
    profile = own_profile(
        tmp_path,
        "manifests:\n"
        "  - {name: a, path: file.yaml}\n  - {name: b, path: folder}\n"
        f"  - {{name: c, url: 'https://example.com/m.yaml', sha256: {sha256}}}\n",
    )
    assert up(profile).run(0).changed
    assert {f"apply ConfigMap/from-{where}" for where in ("file", "folder", "web")} <= set(
        fakes.log
    )
    assert not up(profile).run(0).changed
    assert fakes.log.count("fetch https://example.com/m.yaml") == 1


def test_a_profile_with_tests_wants_their_checkout(up, fakes):
    profile = load("aibrix-e2e", data.root() / "profiles")
    with pytest.raises(DevenvError) as caught:
        up(profile).run(0)
    assert caught.value.exit_code == Exit.USAGE
    assert not any(entry.startswith(("create", "apply", "pull")) for entry in fakes.log)
